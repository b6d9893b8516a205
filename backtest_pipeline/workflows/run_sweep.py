"""A sweep without any service: candles and a request in, a result out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from backtest_pipeline.engine.account_choice import Extras
from backtest_pipeline.model.errors import TrialsFailed
from backtest_pipeline.model.request_model import require_kind
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.sweep_result import SweepResult
from backtest_pipeline.model.trial_states import COMPLETED, FAILED, INVALID
from backtest_pipeline.research.block_sharpe import TrialBlocks
from backtest_pipeline.research.ranking import Ranking, with_ranks
from backtest_pipeline.research.search.kinds import search_of
from backtest_pipeline.research.trial_market import CandlesByTimeframe
from backtest_pipeline.research.trial_requests import trial_request
from backtest_pipeline.research.trials import TrialRunner
from backtest_pipeline.results.sweep_tables import frame_of
from backtest_pipeline.strategies.sweep_resolution import resolve_sweep
from backtest_pipeline.workflows.execution_data import ExecutionData
from backtest_pipeline.workflows.given_candles import given_execution_data, sweep_candles
from backtest_pipeline.workflows.run_backtest import run_backtest
from backtest_pipeline.workflows.trial_pool import chunk_size, chunks_of_search, trial_pool

if TYPE_CHECKING:
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.robustness import Robustness
    from backtest_pipeline.research.trial_market import CandlesGiven
    from backtest_pipeline.research.trial_table import TrialChunk
    from backtest_pipeline.workflows.given_candles import FundingInput, SweepCandlesInput

MOST_CALLS = 100


def run_sweep(
    candles: SweepCandlesInput,
    request: SweepRequest,
    progress_callback: Callable[[float, str], None] | None = None,
    *,
    timezone: str = "UTC",
    processes: int = 1,
    detail: SweepCandlesInput | None = None,
    funding: FundingInput | None = None,
) -> SweepResult:
    """Runs a sweep in this process, or in several forked from it.

    The same request and candles yield the same bytes, whatever the number of processes. Every row of the
    trials can be run alone by `run_backtest` and yields the same numbers to the last digit.

    Args:
        candles: by symbol, as `run_backtest` takes them; where the sweep varies the timeframe, such a mapping
            for each of them.
        request: what to search.
        progress_callback: called with a fraction that rises from 0 to 1 and how many trials are done, about a
            hundred times at most; whatever it raises stops the sweep and passes through.
        timezone: what a `start`, an `end` or a frame's time without a zone means.
        processes: how many work at once; 1 is this one.
        detail: candles of the `detail_timeframe`, as `run_backtest` takes them; where the sweep varies it,
            such a mapping for each of them.
        funding: the funding rates of each symbol, as `run_backtest` takes them.

    Raises:
        StrategyUnknown: nothing is registered under a strategy's name.
        ParamsInvalid: a parameter is unknown, or one of its values is refused whatever the others are.
        RequestInvalid: there are no candles of a symbol or timeframe that a trial needs, or no funding rates.
        TrialsFailed: not one trial could be run, as the strategy raised in all.
        WorkersDied: processes were killed again and again at the same trials.
    """
    require_kind(request, SweepRequest)
    given = sweep_candles(candles, request, timezone)
    data = given_execution_data(detail, funding, request, timezone)
    runner = trial_runner(given, request, data, timezone=timezone)
    search = search_of(runner.request)
    ranking = Ranking(runner.request)
    chunks: list[TrialChunk] = []
    done, said = 0, 0.0
    size = chunk_size(runner, search, processes)
    with trial_pool([runner], processes) as run_all:
        for chunk in chunks_of_search(search, size, partial(run_all, 0)):
            chunks.append(chunk)
            ranking.add(chunk.trials)
            done += len(chunk.trials)
            fraction = done / search.trials
            if progress_callback is not None and (fraction == 1.0 or fraction - said >= 1 / MOST_CALLS):
                said = fraction
                progress_callback(fraction, f"{done:,} of {search.trials:,} trials")
    trials = with_ranks(pa.concat_tables([chunk.trials for chunk in chunks]), ranking.ranks())
    refuse_failed(trials)
    by_symbol = [chunk.by_symbol for chunk in chunks if chunk.by_symbol is not None]
    return SweepResult(
        trials=frame_of(trials),
        by_symbol=frame_of(pa.concat_tables(by_symbol)) if by_symbol else None,
        blocks=pa.concat_tables([chunk.blocks for chunk in chunks]).to_pandas(),
        best=best_backtest(given, runner, trials, data, timezone),
        request=runner.request,
        assessed=_assessed,
    )


def _assessed(result: SweepResult) -> Robustness | None:
    """Statistics of a sweep, of whose earlier trials nothing is known."""
    from backtest_pipeline.workflows.assess_sweep import assessed_sweep  # noqa: PLC0415  loads the bootstrap

    if result.best is None:
        return None
    periods = result.trials["periods_per_year"].to_numpy(dtype=np.float64)
    blocks = TrialBlocks.of_table(pa.Table.from_pandas(result.blocks, preserve_index=False), periods)
    ran = int((result.trials["state"] != INVALID).sum())
    return assessed_sweep(result.best, blocks, ran, seed=result.request.seed)


def trial_runner(
    candles: CandlesGiven, request: SweepRequest, data: ExecutionData | None = None, *, timezone: str = "UTC"
) -> TrialRunner:
    """What runs a sweep's trials; its `request` is the resolved one.

    Raises:
        StrategyUnknown, ParamsInvalid, RequestInvalid: as `run_sweep`.
    """
    resolved = resolve_sweep(request)
    of = (data or ExecutionData()).of
    return TrialRunner(
        candles,
        resolved.request,
        resolved.strategies,
        timezone=timezone,
        extras=lambda request: Extras(**of(request)),
    )


def refuse_failed(trials: pa.Table) -> None:
    """Makes sure that a sweep has not failed as a whole.

    Raises:
        TrialsFailed: trials were run, and every one failed.
    """
    states = trials.column("state").to_pylist()
    if FAILED in states and COMPLETED not in states:
        first = states.index(FAILED)
        raise TrialsFailed(states.count(FAILED), first, trials.column("error")[first].as_py())


def best_backtest(
    candles: CandlesGiven,
    runner: TrialRunner,
    trials: pa.Table,
    data: ExecutionData,
    timezone: str = "UTC",
) -> BacktestResult | None:
    """The trial of rank 1 as a backtest of its own, the look-ahead check included; none where none ranks."""
    ranks = trials.column("rank").to_pylist()
    if 1 not in ranks:
        return None
    row = ranks.index(1)
    points = runner.space.points_of(trials.slice(row, 1))
    request = trial_request(runner.request, runner.space.values(points, 0))
    own = CandlesByTimeframe(candles).of(request.timeframe)
    return run_backtest(own, request, timezone=timezone, **data.of(request))
