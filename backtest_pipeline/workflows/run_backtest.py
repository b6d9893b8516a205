"""The engine alone: candles and a request in, a result out; no store, no server, no Dagster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from backtest_pipeline.engine.account_choice import Extras
from backtest_pipeline.engine.inputs import benchmark_candles, chosen_candles
from backtest_pipeline.engine.run import run
from backtest_pipeline.strategies.registry import Resolved, resolve
from backtest_pipeline.workflows.coverage_remarks import about_detail, about_funding
from backtest_pipeline.workflows.given_candles import given_candles, given_execution_data

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.funding_rates import FundingRates
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.robustness import Robustness
    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.workflows.given_candles import CandlesInput, FundingInput


def run_backtest(
    candles: CandlesInput,
    request: BacktestRequest,
    progress_callback: Callable[[float, str], None] | None = None,
    *,
    timezone: str = "UTC",
    schedules: Mapping[str, Schedule] | None = None,
    detail: CandlesInput | None = None,
    funding: FundingInput | None = None,
) -> BacktestResult:
    """Runs a backtest in this process.

    Every field that decides a result has its effect here. `model.request.SERVICE_FIELDS` have none: those
    say how the service queues, watches and keeps a task.

    Args:
        candles: by symbol, at least the request's and its benchmark's, in the request's timeframe: `Candles`,
            or pandas frames with a time and the five columns under their usual names. Where the request has
            one symbol and no benchmark, its candles or frame alone will do. What lies before the request's
            `start` or after its `end` is left out, as `CandleStore.load` would have done.
        request: what to run.
        progress_callback: called with a fraction that rises from 0 to 1 and a stage, about a hundred times
            at most; whatever it raises stops the run and passes through.
        timezone: what a `start`, an `end` or a frame's time without a zone means; the service passes
            CANDLE_TIMEZONE.
        schedules: by symbol, the sessions of its exchange where they are known (`CandleStore.schedule`);
            they distinguish holidays from gaps in the remarks and change no number.
        detail: candles of the request's `detail_timeframe`, given as `candles` are; a bar without any, or a
            symbol that is left out, speaks for itself. Without a `detail_timeframe` they are not looked at.
        funding: the funding rates of each symbol (`CandleStore.funding`), or of the only one; a symbol that
            is left out pays none. Without `funding` in the request they are not looked at.

    Returns:
        The result, its request with every parameter default written out.

    Raises:
        StrategyUnknown: nothing is registered under the request's strategy.
        ParamsInvalid: the parameters break the strategy's own model.
        RequestInvalid: a symbol or the benchmark has no candles among those given, or candles of another
            timeframe; or `detail` or `funding` is asked for and not given.
        CandlesInvalid: a symbol's candles are empty, or a frame holds no candles of this timeframe.
        CandlesMissing: a symbol has no candle from the request's `start` to its `end`.
        StrategyFaulty: the strategy raised, or answered something else than signals.
    """
    resolved = resolve(request)
    given = given_candles(candles, request.symbols_read, request.timeframe, timezone)
    data = given_execution_data(detail, funding, request, timezone)
    result = run_resolved(
        given, resolved, progress_callback, timezone=timezone, schedules=schedules, **data.of(request)
    )
    return replace(result, drawn=partial(_page, given, timezone), assessed=_assessed)


def _assessed(result: BacktestResult) -> Robustness:
    """Statistics of a result, of whose earlier trials nothing is known."""
    from backtest_pipeline.workflows.assess_backtest import assessed_backtest  # noqa: PLC0415  loads the bootstrap

    return assessed_backtest(result)


def _page(candles: Mapping[str, Candles], timezone: str, result: BacktestResult) -> str:
    """The report of a result, with the candles that the engine saw."""
    from backtest_pipeline.reports.report import report_html  # noqa: PLC0415  loads the charts

    seen = {own.symbol: own for own in chosen_candles(candles, result.request, timezone)}
    if benchmark := benchmark_candles(candles, result.request, timezone):
        seen[benchmark.symbol] = benchmark
    return report_html(result, seen, robustness=result.robustness)


def run_resolved(
    candles: Mapping[str, Candles],
    resolved: Resolved,
    progress_callback: Callable[[float, str], None] | None = None,
    *,
    timezone: str = "UTC",
    schedules: Mapping[str, Schedule] | None = None,
    detail: Mapping[str, Candles] | None = None,
    funding: Mapping[str, FundingRates] | None = None,
) -> BacktestResult:
    """As `run_backtest`, of a request that has been resolved and of data that have been looked at."""
    result = run(
        candles,
        resolved.request,
        resolved.strategy,
        resolved.params,
        progress_callback,
        timezone=timezone,
        schedules=schedules,
        extras=Extras(detail, funding),
    )
    if detail is not None or funding is not None:
        traded = chosen_candles(candles, result.request, timezone)
        if detail is not None:
            timeframe = str(result.request.detail_timeframe)
            result.diagnostics.extend(about_detail(traded, detail, timeframe))
        if funding is not None:
            result.diagnostics.extend(about_funding(traded, funding))
    return result
