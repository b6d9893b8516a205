"""The engine alone: candles and a request in, a result out; no store, no server, no Dagster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from backtest_pipeline.engine.run import run
from backtest_pipeline.strategies.registry import Resolved, resolve

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.schedule import Schedule


def run_backtest(
    candles: Mapping[str, Candles],
    request: BacktestRequest,
    progress_callback: Callable[[float, str], None] | None = None,
    *,
    timezone: str = "UTC",
    schedules: Mapping[str, Schedule] | None = None,
) -> BacktestResult:
    """Runs a backtest in this process.

    Every field that decides a result has its effect here. `model.request.SERVICE_FIELDS` have none: those
    say how the service queues, watches and keeps a task.

    Args:
        candles: by symbol, at least the request's, in the request's timeframe. What lies before the
            request's `start` or after its `end` is left out, as `CandleStore.load` would have done.
        request: what to run.
        progress_callback: called with a fraction that rises from 0 to 1 and a stage, about a hundred times
            at most; whatever it raises stops the run and passes through.
        timezone: what a `start` or `end` without a zone means; the service passes CANDLE_TIMEZONE.
        schedules: by symbol, the sessions of its exchange where they are known (`CandleStore.schedule`);
            they distinguish holidays from gaps in the remarks and change no number.

    Returns:
        The result, its request with every parameter default written out.

    Raises:
        StrategyUnknown: nothing is registered under the request's strategy.
        ParamsInvalid: the parameters break the strategy's own model.
        RequestInvalid: a symbol has no candles among those given, or candles of another timeframe.
        CandlesInvalid: a symbol's candles are empty.
        CandlesMissing: a symbol has no candle from the request's `start` to its `end`.
        StrategyFaulty: the strategy raised, or answered something else than signals.
    """
    return run_resolved(candles, resolve(request), progress_callback, timezone=timezone, schedules=schedules)


def run_resolved(
    candles: Mapping[str, Candles],
    resolved: Resolved,
    progress_callback: Callable[[float, str], None] | None = None,
    *,
    timezone: str = "UTC",
    schedules: Mapping[str, Schedule] | None = None,
) -> BacktestResult:
    """As `run_backtest`, of a request that has been resolved."""
    return run(
        candles,
        resolved.request,
        resolved.strategy,
        resolved.params,
        progress_callback,
        timezone=timezone,
        schedules=schedules,
    )
