"""A backtest from candles to result: signals, simulation, study, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backtest_pipeline.engine.account_choice import Extras, Markets
from backtest_pipeline.engine.diagnostics import about_warm_up, about_years, diagnose
from backtest_pipeline.engine.frames import equity_frame, signals_frame, trades_frame
from backtest_pipeline.engine.inputs import SeenCandles, benchmark_candles, seen_candles, warmup_bars_of
from backtest_pipeline.engine.lookahead import look_ahead_of_run
from backtest_pipeline.engine.measured_accounts import (
    AskedPortfolio,
    AskedSymbol,
    MeasuredAccounts,
    ask_portfolio,
    ask_symbol,
    measured_accounts,
)
from backtest_pipeline.engine.portfolio_lookahead import look_ahead_of_portfolio_run
from backtest_pipeline.engine.progress import Progress, ProgressCallback
from backtest_pipeline.model.errors import StrategyFaulty
from backtest_pipeline.model.market import CalendarsUsed
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.strategy import Strategy

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.model.strategy import AnyStrategy, StrategyParams


def run(
    candles: Mapping[str, Candles],
    request: BacktestRequest,
    strategy: AnyStrategy,
    params: StrategyParams,
    progress_callback: ProgressCallback | None = None,
    timezone: str = "UTC",
    schedules: Mapping[str, Schedule] | None = None,
    extras: Extras | None = None,
) -> BacktestResult:
    """Runs a strategy over the request's symbols.

    Args:
        candles: by symbol, at least the request's and its benchmark's; of those before the request's
            `start`, the strategy sees as many as are to warm it up.
        request: checked, with every default written out.
        strategy: the request's strategy.
        params: an instance of the strategy's own `Params`.
        progress_callback: called with a fraction that rises from 0 to 1 and a stage, about a hundred times
            at most; whatever it raises stops the run and passes through.
        timezone: what a `start` or `end` without a zone means.
        schedules: by symbol, the sessions of its exchange where they are known, which distinguish holidays
            from gaps.
        extras: finer candles and funding rates, as far as the request asks for them.

    Raises:
        RequestInvalid: a symbol has no candles among those given, or candles of another timeframe.
        CandlesInvalid: a symbol's candles are empty.
        CandlesMissing: a symbol has no candle from the request's `start` to its `end`.
        StrategyFaulty: the strategy raised, or answered something else than signals.
    """
    warmup_bars = warmup_bars_of(request, strategy, params)
    seen = seen_candles(candles, request, warmup_bars, timezone)
    chosen = [own.traded for own in seen]
    benchmark = benchmark_candles(candles, request, timezone)
    progress = Progress(progress_callback, sum(len(own) for own in chosen))
    symbols = [ask_symbol(own, request, strategy, params, progress) for own in seen]
    portfolio = None
    if isinstance(strategy, PortfolioStrategy):
        portfolio = ask_portfolio(seen, request, strategy, params)
    accounts = measured_accounts(
        symbols, portfolio, request, benchmark, progress, Markets(extras or Extras())
    )
    result = _result(request, symbols, accounts, schedules or {})
    result.diagnostics.extend(about_warm_up(seen, warmup_bars))
    verdict, remarks = _look_ahead(seen, symbols, portfolio, request, strategy, params)
    result.checks["look_ahead"] = verdict
    result.diagnostics.extend(remarks)
    progress.finish()
    return result


def _look_ahead(
    seen: Sequence[SeenCandles],
    symbols: Sequence[AskedSymbol],
    portfolio: AskedPortfolio | None,
    request: BacktestRequest,
    strategy: AnyStrategy,
    params: StrategyParams,
) -> tuple[dict[str, Any], list[str]]:
    """The verdict of the light look-ahead check, and in sentences."""
    candles = [own.candles for own in seen]
    if portfolio is not None and isinstance(strategy, PortfolioStrategy):
        return look_ahead_of_portfolio_run(
            strategy, params, candles, portfolio.seen, portfolio.weights, request.seed
        )
    if not isinstance(strategy, Strategy):
        raise StrategyFaulty(strategy.name, "this is neither a Strategy nor a PortfolioStrategy")
    return look_ahead_of_run(
        strategy,
        params,
        candles,
        [one.study.bar + own.warmup_bars for own, one in zip(seen, symbols, strict=True)],
        request.seed,
        signals=[one.answer for one in symbols],
        direction=request.direction,
    )


def _result(
    request: BacktestRequest,
    symbols: Sequence[AskedSymbol],
    accounts: MeasuredAccounts,
    schedules: Mapping[str, Schedule],
) -> BacktestResult:
    candles = [one.traded.candles for one in symbols]
    calendars = {own.symbol: one.calendar for own, one in zip(candles, symbols, strict=True)}
    calendar, calendar_note = accounts.calendar
    return BacktestResult(
        signals=signals_frame(candles, [one.study for one in symbols]),
        trades=trades_frame(candles, [own.trades for own in accounts.outcomes]),
        equity=equity_frame(accounts.curve, accounts.exposure_frac, accounts.drawdown_frac),
        metrics=accounts.metrics,
        by_symbol={
            own.symbol: found or dict(accounts.metrics)
            for own, found in zip(candles, accounts.by_symbol, strict=True)
        },
        request=request,
        diagnostics=[
            *about_years(calendars, accounts.curve.elapsed_us),
            *diagnose(request, candles, calendars, accounts.outcomes, schedules),
        ],
        calendars=CalendarsUsed(
            account=calendar.used(calendar_note),
            by_symbol={symbol: own.used() for symbol, own in calendars.items()},
        ),
        positions=accounts.positions,
    )
