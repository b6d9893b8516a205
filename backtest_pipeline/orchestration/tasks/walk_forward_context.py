"""What a run of a walk-forward works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.walk_forward_config import from_walk_forward_config, walk_forward_as_asked
from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
from backtest_pipeline.orchestration.tasks.search_context import SearchContext
from backtest_pipeline.research.fold_plan import FoldPlan, fold_plan
from backtest_pipeline.strategies.sweep_resolution import resolve_walk_forward
from backtest_pipeline.workflows.sweep_progress import SweepProgress
from backtest_pipeline.workflows.walk_forward_chunks import TrainingTally, WalkForwardWork, run_trainings
from backtest_pipeline.workflows.walk_forward_files import WalkForwardFiles, write_walk_forward

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.results.sweep_parts import SweepParts
    from backtest_pipeline.workflows.execution_data import ExecutionData


class WalkForwardContext(SearchContext[WalkForwardRequest, WalkForwardWork, TrainingTally, WalkForwardFiles]):
    """One run's walk-forward, its candles and what its trials have yielded, each made on first use."""

    def plan(self, config: Mapping[str, Any]) -> FoldPlan:
        """The folds, on the candles that there are.

        Raises:
            BacktestError: the request is invalid, its candles cannot be used, or are not enough for a fold.
        """
        request = self.request(config)
        candles = self.loaded(config)[request.sweep.backtest.timeframe].candles
        return fold_plan(candles, request, self.candle_store.zone.key)

    def _resolved(self, config: Mapping[str, Any]) -> WalkForwardRequest:
        return resolve_walk_forward(from_walk_forward_config(config))

    def _as_asked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return walk_forward_as_asked(config)

    def _backtest(self, request: WalkForwardRequest) -> BacktestRequest:
        return request.sweep.backtest

    def _new_work(
        self,
        request: WalkForwardRequest,
        candles: dict[str, dict[str, Candles]],
        data: ExecutionData,
        parts: SweepParts,
        timezone: str,
    ) -> WalkForwardWork:
        own = candles[request.sweep.backtest.timeframe]
        return WalkForwardWork(fold_plan(own, request, timezone), own, parts, timezone, data)

    def _run(
        self,
        work: WalkForwardWork,
        executor: Executor,
        processes: int,
        progress: Callable[[SweepProgress], None],
    ) -> TrainingTally:
        return run_trainings(work, executor, processes, progress)

    def _write(self, folder: Path, work: WalkForwardWork, tally: TrainingTally) -> WalkForwardFiles:
        return write_walk_forward(folder, work, tally)
