"""Our own pages, on the same origin as Dagster's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Receive, Scope, Send

from backtest_pipeline.web.access.guard import USER
from backtest_pipeline.web.access.refusal import send_json
from backtest_pipeline.web.monitoring.cached import Cached
from backtest_pipeline.web.monitoring.health_checks import Check, send_health
from backtest_pipeline.web.monitoring.prometheus import Figures, Metrics
from backtest_pipeline.web.pages.result_pages import ResultPages

HEALTH = "/healthz"
METRICS = "/metrics"
TASKS = "/tasks/"
_HEALTH_KEPT_S, _METRICS_KEPT_S, _PATIENCE_S = 2.0, 5.0, 10.0


class OwnPages:
    """ASGI middleware that answers for health, metrics and results, with or without the path prefix."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        prefix: str,
        results: ResultPages,
        checks: Callable[[], Sequence[Check]],
        figures: Callable[[Sequence[Check]], Figures],
    ) -> None:
        """Stands before an app.

        Args:
            app: answers for everything else.
            prefix: the path prefix of the whole server, or empty.
            results: answers for the tasks' files.
            checks: looks at the service, in a thread.
            figures: counts, in a thread, given what the checks found.
        """
        self._app = app
        self._prefix = prefix
        self._results = results
        self._checks = Cached(checks, keep_s=_HEALTH_KEPT_S, patience_s=_PATIENCE_S)
        self._metrics = Metrics()
        self._page = Cached(
            lambda: self._metrics.page(figures(checks())), keep_s=_METRICS_KEPT_S, patience_s=_PATIENCE_S
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers where the path is ours."""
        path = self._without_prefix(scope["path"]) if scope["type"] == "http" else ""
        if path not in {HEALTH, METRICS} and not path.startswith(TASKS):
            await self._app(scope, receive, send)
        elif scope["method"] not in {"GET", "HEAD"}:
            problem = {"errors": [{"message": "this page is only read; send GET"}]}
            await send_json(send, 405, problem, {"allow": "GET, HEAD"})
        elif path == HEALTH:
            await send_health(self._checks, scope.get(USER), send, guarded=USER in scope)
        elif path == METRICS:
            await self._send_metrics(send)
        else:
            await self._results(path.removeprefix(TASKS), scope, send)

    async def _send_metrics(self, send: Send) -> None:
        try:
            page = await self._page.get()
        except TimeoutError:
            await send_json(send, 503, {"errors": [{"message": "counting takes too long; see /healthz"}]})
            return
        kind = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        await send({"type": "http.response.body", "body": page})

    def _without_prefix(self, path: str) -> str:
        if self._prefix and path.startswith(f"{self._prefix}/"):
            return path[len(self._prefix) :]
        return path


def open_paths(prefix: str) -> list[str]:
    """Paths that strangers may read: the health, so that whatever restarts the service needs no token."""
    return sorted({HEALTH, f"{prefix}{HEALTH}"})
