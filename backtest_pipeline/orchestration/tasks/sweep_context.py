"""What a run of a sweep works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.sweep_config import from_sweep_config, sweep_as_asked
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.orchestration.tasks.run_context import schedules_of
from backtest_pipeline.orchestration.tasks.search_context import SearchContext
from backtest_pipeline.strategies.sweep_resolution import resolve_sweep
from backtest_pipeline.workflows.run_sweep import trial_runner
from backtest_pipeline.workflows.sweep_chunks import SweepWork, run_trials
from backtest_pipeline.workflows.sweep_files import SweepFiles, write_sweep
from backtest_pipeline.workflows.sweep_progress import SweepProgress
from backtest_pipeline.workflows.trial_tally import TrialTally

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.results.sweep_parts import SweepParts
    from backtest_pipeline.workflows.execution_data import ExecutionData


class SweepContext(SearchContext[SweepRequest, SweepWork, TrialTally, SweepFiles]):
    """One run's sweep, its candles and what its trials have yielded, each made on first use."""

    def _resolved(self, config: Mapping[str, Any]) -> SweepRequest:
        return resolve_sweep(from_sweep_config(config)).request

    def _as_asked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return sweep_as_asked(config)

    def _backtest(self, request: SweepRequest) -> BacktestRequest:
        return request.backtest

    def _new_work(
        self,
        request: SweepRequest,
        candles: dict[str, dict[str, Candles]],
        data: ExecutionData,
        parts: SweepParts,
        timezone: str,
    ) -> SweepWork:
        runner = trial_runner(candles, request, data, timezone=timezone)
        return SweepWork(runner, candles, parts, timezone, data)

    def _run(
        self, work: SweepWork, executor: Executor, processes: int, progress: Callable[[SweepProgress], None]
    ) -> TrialTally:
        return run_trials(work, executor, processes, progress)

    def _write(self, folder: Path, work: SweepWork, tally: TrialTally) -> SweepFiles:
        return write_sweep(folder, work, tally, self._schedules)

    def _schedules(self, timeframe: str, calendar: str) -> dict[str, Schedule]:
        loaded = (self._loaded or {})[timeframe]
        return schedules_of(self.candle_store, loaded.candles, calendar)
