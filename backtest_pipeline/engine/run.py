"""A backtest from candles to result: signals, simulation, study, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backtest_pipeline.engine.account_choice import Extras, Traded, run_alone, run_shared
from backtest_pipeline.engine.accounts import Curve, JointAccount, Outcome
from backtest_pipeline.engine.calendar import Calendar, account_calendar, calendar_of
from backtest_pipeline.engine.diagnostics import about_warm_up, about_years, diagnose
from backtest_pipeline.engine.frames import equity_frame, positions_frame, signals_frame, trades_frame
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
from backtest_pipeline.engine.records import joined
from backtest_pipeline.engine.signal_study import SignalStudy, study_signals
from backtest_pipeline.model.market import CalendarsUsed
from backtest_pipeline.model.result import BacktestResult, Metrics

if TYPE_CHECKING:
    import pandas as pd

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.model.signal_checks import CheckedSignals
    from backtest_pipeline.model.strategy import Strategy, StrategyParams


@dataclass(frozen=True, eq=False, slots=True)
class _Symbol:
    """What became of one symbol.

    Attributes:
        traded: what was traded, and how.
        calendar: its calendar.
        answer: the strategy's signals of the bars of the warm-up and of those that were traded.
        study: of the latter.
    """

    traded: Traded
    calendar: Calendar
    answer: CheckedSignals
    study: SignalStudy


@dataclass(frozen=True, eq=False, slots=True)
class _Accounts:
    """What the accounts of a run did.

    Attributes:
        outcomes: each symbol's.
        metrics: each symbol's; empty for an only one, whose metrics are the account's.
        joint: the account of all.
        positions: of a shared account, or `None`.
    """

    outcomes: Sequence[Outcome]
    metrics: Sequence[Metrics]
    joint: Curve
    positions: pd.DataFrame | None = None


def run(
    candles: Mapping[str, Candles],
    request: BacktestRequest,
    strategy: Strategy,
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
    symbols = [_ask(own, request, strategy, params, progress) for own in seen]
    accounts = (_shared if request.account == "shared" else _split)(
        symbols, request, benchmark, progress, extras or Extras()
    )
    result = _result(request, symbols, accounts, benchmark, schedules or {})
    result.diagnostics.extend(about_warm_up(seen, warmup_bars))
    signal_bars = [one.study.bar + own.warmup_bars for own, one in zip(seen, symbols, strict=True)]
    verdict, remarks = look_ahead_of_run(
        strategy,
        params,
        [own.candles for own in seen],
        signal_bars,
        request.seed,
        signals=[one.answer for one in symbols],
        direction=request.direction,
    )
    result.checks["look_ahead"] = verdict
    result.diagnostics.extend(remarks)
    progress.finish()
    return result


def _ask(
    seen: SeenCandles,
    request: BacktestRequest,
    strategy: Strategy,
    params: StrategyParams,
    progress: Progress,
) -> _Symbol:
    """Asks the strategy about one symbol."""
    answer = signals_of(strategy, params, seen.candles, request.seed)
    candles, signals = seen.traded, seen.traded_signals(answer)
    progress.advance(len(candles), "signals")
    holding_period = holding_period_of(strategy, params)
    calendar = calendar_of(candles, request.calendar)
    traded = Traded(candles, signals, request.max_hold_bars or holding_period, calendar.periods_per_year)
    return _Symbol(
        traded, calendar, answer, study_signals(candles, signals, request.direction, holding_period)
    )


def _split(
    symbols: Sequence[_Symbol],
    request: BacktestRequest,
    benchmark: Candles | None,
    progress: Progress,
    extras: Extras,
) -> _Accounts:
    """Runs an account for each symbol, each with an equal share of the cash."""
    joint = JointAccount([one.traded.candles for one in symbols])
    outcomes, metrics = [], []
    for one in symbols:
        outcome, curve = run_alone(
            one.traded,
            request,
            request.initial_cash / len(symbols),
            progress.chunk_bars,
            lambda bars: progress.advance(bars, "simulation"),
            extras,
        )
        joint.add(curve)
        outcomes.append(outcome)
        metrics.append({} if len(symbols) == 1 else _metrics(one, outcome, curve, benchmark))
    return _Accounts(outcomes, metrics, joint.curve())


def _shared(
    symbols: Sequence[_Symbol],
    request: BacktestRequest,
    benchmark: Candles | None,
    progress: Progress,
    extras: Extras,
) -> _Accounts:
    """Runs one account for all symbols."""
    account = run_shared(
        [one.traded for one in symbols],
        request,
        progress.chunk_bars,
        lambda bars: progress.advance(bars, "simulation"),
        extras,
    )
    metrics = [
        {} if len(symbols) == 1 else _metrics(one, outcome, curve, benchmark)
        for one, outcome, curve in zip(symbols, account.outcomes, account.own, strict=True)
    ]
    positions = positions_frame(account.market.candles, account.changes)
    return _Accounts(account.outcomes, metrics, account.joint, positions)


def _metrics(one: _Symbol, outcome: Outcome, curve: Curve, benchmark: Candles | None) -> Metrics:
    metrics, _, _ = account_metrics(
        curve.against(benchmark),
        one.calendar.periods_per_year,
        outcome.trades,
        one.study.timestamp,
        one.study.return_frac,
    )
    return metrics


def _result(
    request: BacktestRequest,
    symbols: Sequence[_Symbol],
    accounts: _Accounts,
    benchmark: Candles | None,
    schedules: Mapping[str, Schedule],
) -> BacktestResult:
    candles = [one.traded.candles for one in symbols]
    studies = [one.study for one in symbols]
    trades = [own.trades for own in accounts.outcomes]
    curve = accounts.joint.against(benchmark)
    calendars = {own.symbol: one.calendar for own, one in zip(candles, symbols, strict=True)}
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
        by_symbol={
            own.symbol: found or dict(metrics) for own, found in zip(candles, accounts.metrics, strict=True)
        },
        request=request,
        diagnostics=[
            *about_years(calendars, curve.elapsed_us),
            *diagnose(request, candles, calendars, accounts.outcomes, schedules),
        ],
        calendars=CalendarsUsed(
            account=calendar.used(calendar_note),
            by_symbol={symbol: own.used() for symbol, own in calendars.items()},
        ),
        positions=accounts.positions,
    )
