"""Finding a task that has the wanted result already: same request, same candles, same code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.model.exchanges import AUTO
from backtest_pipeline.model.manifest import CandleFingerprint, Manifest
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import file_problem
from backtest_pipeline.strategies.code_version import code_sha256, code_sha256_on_disk, package_version
from backtest_pipeline.strategies.registry import Resolved

_Facts = tuple[int, str, str | None]

_LEAST_LEFT = timedelta(hours=12)


@dataclass(frozen=True)
class SameResult:
    """Looks for a task whose result a request would yield again, to the last byte.

    It is a best effort: with the candles or the results out of sight nothing is found, and the request runs.

    Attributes:
        tasks: where results lie.
        candles: where the candles lie that a worker would read.
        now: the clock.
        gives_up: whether it has taken too long; asked before the candles of each symbol are read.
    """

    tasks: TaskStore
    candles: CandleStore
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    gives_up: Callable[[], bool] = lambda: False

    def task_id(self, resolved: Resolved, among: Sequence[str], submitted_code: str | None) -> str | None:
        """Id of the first of some completed tasks that has the request's result, or none.

        Args:
            resolved: what is asked for.
            among: tasks that were asked for in the same words, the preferred one first.
            submitted_code: digest of the code that the result must be of; none: whatever runs here.
        """
        code = code_sha256_on_disk(type(resolved.strategy))
        if code is None or code != code_sha256(type(resolved.strategy)) or submitted_code not in {None, code}:
            return None  # no sources, or a worker would refuse the request
        try:
            found = [self._of(task_id, resolved.request, code) for task_id in among]
            seen_alike = self._seen_alike(resolved.request, [one for one in found if one is not None])
            return next((one.task_id for one in seen_alike if self._is_whole(one)), None)
        except (BacktestError, OSError):
            return None

    def _of(self, task_id: str, request: BacktestRequest, code: str) -> Manifest | None:
        """The manifest of a task that answers the request, and will still be there for half a day."""
        try:
            manifest = self.tasks.manifest(task_id)
        except BacktestError:
            return None
        expires_at = manifest.timestamps.expires_at
        answers = (
            manifest.status == "completed"
            and (expires_at is None or expires_at - self.now() > _LEAST_LEFT)
            and manifest.pinned >= request.pinned
            and manifest.request_digest == request.digest()
            and manifest.environment.backtest_pipeline == package_version()
            and manifest.environment.code_sha256 == code
        )
        return manifest if answers else None

    def _seen_alike(self, request: BacktestRequest, manifests: Sequence[Manifest]) -> list[Manifest]:
        """Those whose candles were the ones that there are now; only one symbol's are kept in memory."""
        by_record = request.calendar == AUTO
        left = [one for one in manifests if {seen.symbol for seen in one.candles} == {*request.symbols}]
        for symbol in request.symbols:
            if not left or self.gives_up():
                return []
            now = self.candles.load([symbol], request.timeframe, request.start, request.end)[symbol]
            calendar = self.candles.calendar(now) if by_record else None
            facts = _facts(CandleFingerprint.of(now), calendar)
            left = [one for one in left if _seen_by(one, symbol) == facts]
        return left

    def _is_whole(self, manifest: Manifest) -> bool:
        folder = self.tasks.layout.task(manifest.task_id)
        return not any(file_problem(folder, file) for file in manifest.result_files)


def _seen_by(manifest: Manifest, symbol: str) -> _Facts:
    [seen] = [one for one in manifest.candles if one.symbol == symbol]
    return _facts(seen, manifest.calendars.recorded(symbol) if manifest.calendars else None)


def _facts(seen: CandleFingerprint, recorded_calendar: str | None) -> _Facts:
    """What makes candles the same, the calendar that is recorded for them included."""
    return seen.rows, seen.sha256, recorded_calendar
