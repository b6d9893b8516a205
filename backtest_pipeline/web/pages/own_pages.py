"""Our own pages, on the same origin as Dagster's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backtest_pipeline.web.access.guard import USER
from backtest_pipeline.web.access.refusal import json_answer
from backtest_pipeline.web.addresses import RESULTS
from backtest_pipeline.web.monitoring.cached import Cached
from backtest_pipeline.web.monitoring.health_checks import Check, health_answer
from backtest_pipeline.web.monitoring.prometheus import Figures, Metrics
from backtest_pipeline.web.pages.result_pages import ResultPages
from backtest_pipeline.web.pages.results_app import ResultsApp

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
        tables: ResultsApp | None = None,
        checks: Callable[[], Sequence[Check]],
        figures: Callable[[Sequence[Check]], Figures],
    ) -> None:
        """Stands before an app.

        Args:
            app: answers for everything else.
            prefix: the path prefix of the whole server, or empty.
            results: answers for the tasks' files.
            tables: answers below `/results`; `None` where there are no such pages.
            checks: looks at the service, in a thread.
            figures: counts, in a thread, given what the checks found.
        """
        self._app = app
        self._prefix = prefix
        self._results = results
        self._tables = tables
        self._checks = Cached(checks, keep_s=_HEALTH_KEPT_S, patience_s=_PATIENCE_S)
        self._metrics = Metrics()
        self._page = Cached(
            lambda: self._metrics.page(figures(checks())), keep_s=_METRICS_KEPT_S, patience_s=_PATIENCE_S
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers where the path is ours."""
        path = self._without_prefix(scope["path"]) if scope["type"] == "http" else ""
        if self._tables is not None and (path == RESULTS or path.startswith(f"{RESULTS}/")):
            await self._tables(path, scope, receive, send)
        elif path not in {HEALTH, METRICS} and not path.startswith(TASKS):
            await self._app(scope, receive, send)
        elif scope["method"] not in {"GET", "HEAD"}:
            problem = {"errors": [{"message": "this page is only read; send GET"}]}
            await json_answer(405, problem, {"allow": "GET, HEAD"})(scope, receive, send)
        elif path == HEALTH:
            answer = await health_answer(self._checks, scope.get(USER), guarded=USER in scope)
            await answer(scope, receive, send)
        elif path == METRICS:
            answer = await self._metrics_answer()
            await answer(scope, receive, send)
        else:
            await self._results(path.removeprefix(TASKS), scope, receive, send)

    async def _metrics_answer(self) -> Response:
        try:
            page = await self._page.get()
        except TimeoutError:
            return json_answer(503, {"errors": [{"message": "counting takes too long; see /healthz"}]})
        return Response(page, headers={"cache-control": "no-store"}, media_type=CONTENT_TYPE_LATEST)

    def _without_prefix(self, path: str) -> str:
        if self._prefix and path.startswith(f"{self._prefix}/"):
            return path[len(self._prefix) :]
        return path


def open_paths(prefix: str) -> list[str]:
    """Paths that strangers may read: the health, so that whatever restarts the service needs no token."""
    return sorted({HEALTH, f"{prefix}{HEALTH}"})
