"""A walk-forward without any service: candles and a request in, a result out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from backtest_pipeline.engine.inputs import benchmark_candles, chosen_candles
from backtest_pipeline.model.request_model import require_kind
from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
from backtest_pipeline.model.walk_forward_result import WalkForwardResult
from backtest_pipeline.research.fold_choice import winner_of
from backtest_pipeline.research.fold_plan import FoldPlan, fold_plan
from backtest_pipeline.research.ranking import Ranking, with_ranks
from backtest_pipeline.research.search.kinds import search_of
from backtest_pipeline.results.sweep_tables import frame_of
from backtest_pipeline.strategies.sweep_resolution import resolve_walk_forward
from backtest_pipeline.workflows.given_candles import given_candles, given_execution_data
from backtest_pipeline.workflows.run_sweep import MOST_CALLS, refuse_failed, trial_runner
from backtest_pipeline.workflows.trial_pool import chunk_size, chunks_of_search, trial_pool
from backtest_pipeline.workflows.walked_folds import Winner, walked

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.robustness import Robustness
    from backtest_pipeline.workflows.given_candles import CandlesInput, FundingInput, SweepCandlesInput


def run_walk_forward(
    candles: CandlesInput,
    request: WalkForwardRequest,
    progress_callback: Callable[[float, str], None] | None = None,
    *,
    timezone: str = "UTC",
    processes: int = 1,
    detail: SweepCandlesInput | None = None,
    funding: FundingInput | None = None,
) -> WalkForwardResult:
    """Runs a walk-forward in this process, or in several forked from it.

    The same request and candles yield the same bytes, whatever the number of processes. Each training is a
    sweep of those candles alone, and each test part a backtest that anybody may run: the account out of
    sample is theirs, chained.

    Args:
        candles: by symbol, as `run_backtest` takes them.
        request: what to search and where to test it.
        progress_callback: called with a fraction that rises from 0 to 1 and how many trials are done, about a
            hundred times at most; whatever it raises stops the walk-forward and passes through.
        timezone: what a `start`, an `end` or a frame's time without a zone means.
        processes: how many work at once; 1 is this one.
        detail: candles of the `detail_timeframe`, as `run_sweep` takes them.
        funding: the funding rates of each symbol, as `run_backtest` takes them.

    Raises:
        StrategyUnknown: nothing is registered under a strategy's name.
        ParamsInvalid: a parameter is unknown, or one of its values is refused whatever the others are.
        RequestInvalid: there are too few candles for one fold, or none of a symbol.
        CandlesMissing: a symbol has no candle in a part of a fold.
        TrialsFailed: not one trial of a training could be run, as the strategy raised in all.
        WorkersDied: processes were killed again and again at the same trials.
    """
    require_kind(request, WalkForwardRequest)
    backtest = request.sweep.backtest
    given = given_candles(candles, backtest.symbols, backtest.timeframe, timezone)
    data = given_execution_data(detail, funding, request, timezone)
    plan = fold_plan(given, resolve_walk_forward(request), timezone)
    runners = [
        trial_runner(given, plan.sweep(number), data, timezone=timezone)
        for number in range(len(plan.trainings))
    ]
    searches = [search_of(runner.request) for runner in runners]
    planned, done, said = sum(search.trials for search in searches), 0, 0.0
    tables: list[pa.Table] = []
    with trial_pool(runners, processes) as run_all:
        for number, (runner, search) in enumerate(zip(runners, searches, strict=True)):
            size, chunks = chunk_size(runner, search, processes), []
            for chunk in chunks_of_search(search, size, partial(run_all, number)):
                chunks.append(chunk.trials)
                done += len(chunk.trials)
                if progress_callback is not None and (
                    done == planned or done / planned - said >= 1 / MOST_CALLS
                ):
                    said = done / planned
                    progress_callback(said, f"{done:,} of {planned:,} trials")
            runner.forget()
            ranking = Ranking(runner.request)
            for table in chunks:
                ranking.add(table)
            tables.append(with_ranks(pa.concat_tables(chunks), ranking.ranks()))
            refuse_failed(tables[-1])
    winners = [_winner(plan, tables, number) for number in range(len(plan.folds))]
    found = walked(plan, given, winners, data, timezone=timezone)
    numbered = [with_fold(table, number) for number, table in enumerate(tables)]
    return WalkForwardResult(
        out_of_sample=found.out_of_sample,
        folds=frame_of(found.folds),
        trials=frame_of(pa.concat_tables(numbered)),
        paths=None if found.paths is None else found.paths.to_pandas(),
        request=plan.request,
        assessed=_assessed,
        drawn=partial(_page, given, timezone),
    )


def with_fold(trials: pa.Table, number: int) -> pa.Table:
    """A table of trials, with the number of the training that they are of as its first column."""
    return trials.add_column(0, "fold", pa.array([number] * len(trials), pa.int64()))


def _winner(plan: FoldPlan, tables: list[pa.Table], fold: int) -> Winner | None:
    trainings = plan.folds[fold].trainings
    own = [tables[number] for number in trainings]
    best = winner_of(plan.request.sweep, own, [plan.trainings[number].bars for number in trainings])
    return None if best is None else Winner(best, [table.slice(best, 1) for table in own])


def _page(candles: Mapping[str, Candles], timezone: str, result: WalkForwardResult) -> str:
    """The report of a result, with the candles that its tests have traded."""
    from backtest_pipeline.reports.walk_forward_report import walk_forward_report_html  # noqa: PLC0415  loads the charts

    request = result.out_of_sample.request
    seen = {own.symbol: own for own in chosen_candles(candles, request, timezone)}
    if benchmark := benchmark_candles(candles, request, timezone):
        seen[benchmark.symbol] = benchmark
    return walk_forward_report_html(result, seen)


def _assessed(result: WalkForwardResult) -> Robustness:
    """Statistics of a walk-forward, of whose earlier trials nothing is known."""
    from backtest_pipeline.workflows.assess_walk_forward import assessed_walk_forward  # noqa: PLC0415  loads the bootstrap

    return assessed_walk_forward(result.out_of_sample, result.folds, result.request, result.paths)
