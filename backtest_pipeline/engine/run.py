"""A backtest from candles to result: signals, simulation, study, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backtest_pipeline.engine.accounts import JointAccount, Outcome, simulate_symbol
from backtest_pipeline.engine.calendar import Calendar, account_calendar, calendar_of
from backtest_pipeline.engine.diagnostics import about_warm_up, about_years, diagnose
from backtest_pipeline.engine.frames import equity_frame, signals_frame, trades_frame
from backtest_pipeline.engine.inputs import (
    SeenCandles,
    benchmark_candles,
    holding_period_of,
    seen_candles,
    signals_of,
    warmup_bars_of,
)
from backtest_pipeline.engine.lookahead import look_ahead_of_run
from backtest_pipeline.engine.metrics.account_metrics import account_metrics
from backtest_pipeline.engine.progress import Progress, ProgressCallback
from backtest_pipeline.engine.records import joined, settings_of
from backtest_pipeline.engine.signal_study import SignalStudy, study_signals
from backtest_pipeline.model.market import CalendarsUsed
from backtest_pipeline.model.result import BacktestResult, Metrics

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.model.signal_checks import CheckedSignals
    from backtest_pipeline.model.strategy import Strategy, StrategyParams


@dataclass(frozen=True, eq=False, slots=True)
class _Symbol:
    """What became of one symbol.

    Attributes:
        candles: those that were traded.
        signals: of the bars of the warm-up and of those that were traded.
        metrics: empty for an only symbol, whose metrics are the account's.
    """

    candles: Candles
    calendar: Calendar
    signals: CheckedSignals
    study: SignalStudy
    outcome: Outcome
    metrics: Metrics


def run(
    candles: Mapping[str, Candles],
    request: BacktestRequest,
    strategy: Strategy,
    params: StrategyParams,
    progress_callback: ProgressCallback | None = None,
    timezone: str = "UTC",
    schedules: Mapping[str, Schedule] | None = None,
) -> BacktestResult:
    """Runs a strategy over the request's symbols, each with an equal share of the cash.

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
    joint = JointAccount(chosen)
    symbols = [
        _run_symbol(own, request, strategy, params, progress, joint, benchmark, is_only_one=len(seen) == 1)
        for own in seen
    ]
    result = _result(request, symbols, joint, benchmark, schedules or {})
    result.diagnostics.extend(about_warm_up(seen, warmup_bars))
    signal_bars = [one.study.bar + own.warmup_bars for own, one in zip(seen, symbols, strict=True)]
    verdict, remarks = look_ahead_of_run(
        strategy,
        params,
        [own.candles for own in seen],
        signal_bars,
        request.seed,
        signals=[one.signals for one in symbols],
        direction=request.direction,
    )
    result.checks["look_ahead"] = verdict
    result.diagnostics.extend(remarks)
    progress.finish()
    return result


def _run_symbol(
    seen: SeenCandles,
    request: BacktestRequest,
    strategy: Strategy,
    params: StrategyParams,
    progress: Progress,
    joint: JointAccount,
    benchmark: Candles | None,
    *,
    is_only_one: bool,
) -> _Symbol:
    answer = signals_of(strategy, params, seen.candles, request.seed)
    candles, signals = seen.traded, seen.traded_signals(answer)
    progress.advance(len(candles), "signals")
    holding_period = holding_period_of(strategy, params)
    study = study_signals(candles, signals, request.direction, holding_period)
    outcome, curve = simulate_symbol(
        candles,
        signals,
        settings_of(request, request.max_hold_bars or holding_period),
        request.initial_cash / len(request.symbols),
        progress.chunk_bars,
        lambda bars: progress.advance(bars, "simulation"),
    )
    joint.add(curve)
    calendar = calendar_of(candles, request.calendar)
    if is_only_one:
        return _Symbol(candles, calendar, answer, study, outcome, {})
    metrics, _, _ = account_metrics(
        curve.against(benchmark),
        calendar.periods_per_year,
        outcome.trades,
        study.timestamp,
        study.return_frac,
    )
    return _Symbol(candles, calendar, answer, study, outcome, metrics)


def _result(
    request: BacktestRequest,
    symbols: Sequence[_Symbol],
    joint: JointAccount,
    benchmark: Candles | None,
    schedules: Mapping[str, Schedule],
) -> BacktestResult:
    candles = [one.candles for one in symbols]
    studies = [one.study for one in symbols]
    trades = [one.outcome.trades for one in symbols]
    curve = joint.curve().against(benchmark)
    calendars = {one.candles.symbol: one.calendar for one in symbols}
    calendar, calendar_note = account_calendar(calendars, curve.timestamp, request.timeframe)
    metrics, exposure_frac, drawdown_frac = account_metrics(
        curve,
        calendar.periods_per_year,
        joined(trades),
        joined([one.study.timestamp for one in symbols]),
        joined([study.return_frac for study in studies]),
    )
    return BacktestResult(
        signals=signals_frame(candles, studies),
        trades=trades_frame(candles, trades),
        equity=equity_frame(curve, exposure_frac, drawdown_frac),
        metrics=metrics,
        by_symbol={one.candles.symbol: one.metrics or dict(metrics) for one in symbols},
        request=request,
        diagnostics=[
            *about_years(calendars, curve.elapsed_us),
            *diagnose(request, candles, calendars, [one.outcome for one in symbols], schedules),
        ],
        calendars=CalendarsUsed(
            account=calendar.used(calendar_note),
            by_symbol={symbol: own.used() for symbol, own in calendars.items()},
        ),
    )
