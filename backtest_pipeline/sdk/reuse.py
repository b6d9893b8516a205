"""Finding a task that has the wanted result already: same request, same candles, same code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.model.exchanges import AUTO
from backtest_pipeline.model.manifest import CandleFingerprint, Manifest
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import file_problem
from backtest_pipeline.sdk import queries
from backtest_pipeline.sdk.refusals import refusal_of_answer
from backtest_pipeline.sdk.states import task_of
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.strategies.code_version import code_sha256_on_disk, package_version
from backtest_pipeline.strategies.registry import resolve

_Facts = tuple[int, str, str | None]

_MOST_CANDIDATES = 5
_LEAST_LEFT = timedelta(hours=12)


class Reuse:
    """Looks for tasks whose result a request would yield again, to the last byte.

    It is a best effort: with the strategy, the candles or the results out of sight, or the server in trouble,
    nothing is found and the request runs.
    """

    def __init__(self, graphql: GraphQL, tasks: TaskStore, candles: CandleStore) -> None:
        """Prepares; nothing is read or sent yet.

        Args:
            graphql: the server that knows which tasks there are.
            tasks: where results lie.
            candles: where the server's candles lie.
        """
        self._graphql = graphql
        self._tasks = tasks
        self._candles = candles

    def task_id(self, request: BacktestRequest) -> str | None:
        """Id of the newest completed task with the request's result, or none."""
        try:
            return self._found(request)
        except (BacktestError, OSError):
            return None

    def _found(self, request: BacktestRequest) -> str | None:
        resolved = resolve(request)
        code = code_sha256_on_disk(type(resolved.strategy))
        if code is None or not self._in_sight(resolved.request):
            return None
        digest = resolved.request.digest()
        manifests = [
            manifest
            for task_id in self._candidates(digest)
            if (manifest := self._manifest(task_id)) is not None and _is_of(manifest, digest, code)
        ]
        if not manifests:
            return None
        seen = self._fingerprints(resolved.request)
        return next((one.task_id for one in manifests if _seen_by(one) == seen and self._whole(one)), None)

    def _in_sight(self, request: BacktestRequest) -> bool:
        """Whether results and candles lie here at all; cheaper than to ask the server."""
        return self._tasks.layout.tasks.is_dir() and all(
            self._candles.files(symbol, request.timeframe) for symbol in request.symbols
        )

    def _candidates(self, digest: str) -> list[str]:
        """The newest completed tasks that were asked for in the same words."""
        wanted = {
            "pipelineName": tags.JOB,
            "statuses": ["SUCCESS"],
            "tags": [{"key": tags.REQUEST_DIGEST, "value": digest}],
        }
        variables = {"filter": wanted, "cursor": None, "limit": _MOST_CANDIDATES}
        answer = self._graphql.ask(queries.PAGE, variables)["runsOrError"]
        if answer["__typename"] != "Runs":
            raise refusal_of_answer(self._graphql.url, answer)
        return [task_of(run) for run in answer["results"]]

    def _manifest(self, task_id: str) -> Manifest | None:
        try:
            return self._tasks.manifest(task_id)
        except BacktestError:
            return None

    def _fingerprints(self, request: BacktestRequest) -> dict[str, _Facts]:
        loaded = self._candles.load(request.symbols, request.timeframe, request.start, request.end)
        by_record = request.calendar == AUTO
        return {
            symbol: _facts(
                CandleFingerprint.of(candles), self._candles.calendar(candles) if by_record else None
            )
            for symbol, candles in loaded.items()
        }

    def _whole(self, manifest: Manifest) -> bool:
        folder = self._tasks.layout.task(manifest.task_id)
        return not any(file_problem(folder, file) for file in manifest.result_files)


def _is_of(manifest: Manifest, digest: str, code: str) -> bool:
    """Whether a task answers the request, and will still be there for half a day."""
    expires_at = manifest.timestamps.expires_at
    return (
        manifest.status == "completed"
        and (expires_at is None or expires_at - datetime.now(UTC) > _LEAST_LEFT)
        and manifest.pinned >= bool(manifest.request.get("pinned"))
        and manifest.request_digest == digest
        and manifest.environment.backtest_pipeline == package_version()
        and manifest.environment.code_sha256 == code
    )


def _seen_by(manifest: Manifest) -> dict[str, _Facts]:
    calendars = manifest.calendars
    return {
        seen.symbol: _facts(seen, calendars.recorded(seen.symbol) if calendars else None)
        for seen in manifest.candles
    }


def _facts(seen: CandleFingerprint, recorded_calendar: str | None) -> _Facts:
    """What makes candles the same, the calendar that is recorded for them included."""
    return seen.rows, seen.sha256, recorded_calendar
