"""Finding a task that has the wanted result already: same request, same candles, same code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.model.exchanges import AUTO
from backtest_pipeline.model.manifest import CandleFingerprint, FundingFingerprint, Manifest
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.task_kind import strategies_of
from backtest_pipeline.model.task_request import TaskRequest, backtest_in
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import file_problem
from backtest_pipeline.strategies.code_version import package_version
from backtest_pipeline.strategies.registry import code_sha256_of, code_sha256_on_disk_of
from backtest_pipeline.workflows.execution_data import load_execution_data, times_of_then
from backtest_pipeline.workflows.needed_candles import needed_candles

_Facts = tuple[int, str, str | None, str | None]

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

    def task_id(self, request: TaskRequest, among: Sequence[str], submitted_code: str | None) -> str | None:
        """Id of the first of some completed tasks that has the request's result, or none.

        Args:
            request: what is asked for, every default written out.
            among: tasks that were asked for in the same words, the preferred one first.
            submitted_code: digest of the code that the result must be of; none: whatever runs here.
        """
        names = strategies_of(request.to_dict())
        code = code_sha256_on_disk_of(*names)
        if code is None or code != code_sha256_of(*names) or submitted_code not in {None, code}:
            return None  # no sources, or a worker would refuse the request
        try:
            found = [self._of(task_id, request, code) for task_id in among]
            seen_alike = self._seen_alike(request, [one for one in found if one is not None])
            return next((one.task_id for one in seen_alike if self._is_whole(one)), None)
        except (BacktestError, OSError):
            return None

    def _of(self, task_id: str, request: TaskRequest, code: str) -> Manifest | None:
        """The manifest of a task that answers the request, and will still be there for half a day."""
        try:
            manifest = self.tasks.manifest(task_id)
        except BacktestError:
            return None
        expires_at = manifest.timestamps.expires_at
        asked = backtest_in(request)
        answers = (
            manifest.status == "completed"
            and (expires_at is None or expires_at - self.now() > _LEAST_LEFT)
            and manifest.pinned >= asked.pinned
            and manifest.request_digest == request.digest()
            and manifest.environment.backtest_pipeline == package_version()
            and manifest.environment.code_sha256 == code
        )
        return manifest if answers else None

    def _seen_alike(self, request: TaskRequest, manifests: Sequence[Manifest]) -> list[Manifest]:
        """Those whose candles were the ones that there are now; only one symbol's are kept in memory."""
        all_needed = needed_candles(request, self.candles.zone)
        every = {(needed.timeframe, symbol) for needed in all_needed for symbol in needed.symbols}
        seen = [(one, _facts_by_candles(one)) for one in manifests]
        left = [(one, facts) for one, facts in seen if facts.keys() == every]
        for needed in all_needed:
            for symbol in needed.symbols:
                if not left or self.gives_up():
                    return []
                now = needed.load(self.candles, [symbol])[symbol]
                wanted = _facts_now(request, now, needed.fingerprint(now, self.candles.zone))
                left = [(one, facts) for one, facts in left if facts[needed.timeframe, symbol] == wanted]
        return [one for one, _ in left if self._executed_alike(request, one)]

    def _executed_alike(self, request: TaskRequest, manifest: Manifest) -> bool:
        """Whether finer candles and funding rates are the ones that there are now."""
        now = load_execution_data(self.candles, request, times_of_then(manifest))
        was = manifest.detail_candles, manifest.funding_rates
        return _hashes(now.detail_fingerprints(), now.funding_fingerprints()) == _hashes(*was)

    def _is_whole(self, manifest: Manifest) -> bool:
        folder = self.tasks.layout.task(manifest.task_id)
        return not any(file_problem(folder, file) for file in manifest.result_files)


def _hashes(
    detail: Sequence[CandleFingerprint], funding: Sequence[FundingFingerprint]
) -> set[tuple[str, str, str]]:
    candles = {(seen.symbol, seen.timeframe or "", seen.sha256) for seen in detail}
    return candles | {(seen.symbol, "funding", seen.sha256) for seen in funding}


def _facts_now(request: TaskRequest, candles: Candles, seen: CandleFingerprint) -> _Facts:
    """What makes candles the same, the calendar that is recorded for them included where it matters."""
    matters = not isinstance(request, BacktestRequest) or (
        request.calendar == AUTO and candles.symbol in request.symbols
    )
    calendar = candles.recorded_calendar if matters else None
    return seen.rows, seen.sha256, seen.warmup_sha256, calendar


def _facts_by_candles(manifest: Manifest) -> dict[tuple[str, str], _Facts]:
    """What a task has seen, by timeframe and symbol, as `_facts_now` says it."""
    used = manifest.calendars
    return {
        (seen.timeframe or manifest.timeframe, seen.symbol): (
            seen.rows,
            seen.sha256,
            seen.warmup_sha256,
            seen.calendar if manifest.kind != "backtest" else used.recorded(seen.symbol) if used else None,
        )
        for seen in manifest.candles
    }
