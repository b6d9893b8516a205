"""The accounts of a backtest and their metrics, without tables and remarks: trials need these as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.account_arrays import Targets
from backtest_pipeline.engine.account_choice import Markets, Traded, run_alone, run_shared
from backtest_pipeline.engine.account_run import no_signal_arrays
from backtest_pipeline.engine.accounts import Curve, JointAccount, Outcome
from backtest_pipeline.engine.calendar import Calendar, account_calendar, calendar_of
from backtest_pipeline.engine.frames import positions_frame
from backtest_pipeline.engine.inputs import holding_period_of, signals_of
from backtest_pipeline.engine.metrics.account_metrics import account_metrics
from backtest_pipeline.engine.panel_building import SeenPanel, seen_panel
from backtest_pipeline.engine.portfolio_answers import CheckedWeights, weights_of
from backtest_pipeline.engine.records import joined
from backtest_pipeline.engine.signal_study import SignalStudy, study_signals
from backtest_pipeline.model.signal_checks import CheckedSignals, no_signals
from backtest_pipeline.model.strategy import Strategy

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from backtest_pipeline.engine.account_market import AccountMarket
    from backtest_pipeline.engine.inputs import SeenCandles
    from backtest_pipeline.engine.progress import Progress
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import Metrics
    from backtest_pipeline.model.strategy import AnyStrategy, StrategyParams


@dataclass(frozen=True, eq=False, slots=True)
class AskedSymbol:
    """One symbol and what the strategy said of it.

    Attributes:
        traded: what is traded, and how.
        calendar: its calendar.
        answer: the signals of the bars of the warm-up and of those that are traded; none of a portfolio's.
        study: of the latter.
    """

    traded: Traded
    calendar: Calendar
    answer: CheckedSignals
    study: SignalStudy


@dataclass(frozen=True, eq=False, slots=True)
class AskedPortfolio:
    """What a portfolio strategy saw and said.

    Attributes:
        seen: all symbols on one axis, bars of the warm-up included.
        weights: of all rows.
    """

    seen: SeenPanel
    weights: CheckedWeights

    def targets(self, market: AccountMarket) -> Targets:
        """The weights that are acted upon, by the step in which they are known."""
        traded = self.weights.since(self.seen.warmup_rows)
        rows = np.flatnonzero(traded.acted_rows)
        weights = traded.weights[rows][:, list(market.ranks)]
        return Targets(
            market.row_steps[rows],
            np.ascontiguousarray(weights).reshape(-1),
            np.array([traded.drift_frac]),
        )


@dataclass(frozen=True, eq=False, slots=True)
class MeasuredAccounts:
    """What the accounts of a backtest did.

    Attributes:
        outcomes: each symbol's.
        by_symbol: each symbol's metrics; empty for an only one, whose metrics are the account's.
        curve: the account of all.
        calendar: by which it is annualised, with what there is to say of it.
        metrics: the account's.
        exposure_frac, drawdown_frac: shape (n,), of the curve.
        positions: of a shared account, or `None`.
    """

    outcomes: Sequence[Outcome]
    by_symbol: Sequence[Metrics]
    curve: Curve
    calendar: tuple[Calendar, str]
    metrics: Metrics
    exposure_frac: NDArray[np.float64]
    drawdown_frac: NDArray[np.float64]
    positions: pd.DataFrame | None = None


def ask_symbol(
    seen: SeenCandles,
    request: BacktestRequest,
    strategy: AnyStrategy,
    params: StrategyParams,
    progress: Progress,
) -> AskedSymbol:
    """Asks a strategy about one symbol; one of portfolios has no signals.

    Raises:
        StrategyFaulty: as `signals_of` and `holding_period_of`.
    """
    holding_period = None
    if isinstance(strategy, Strategy):
        answer = signals_of(strategy, params, seen.candles, request.seed)
        holding_period = holding_period_of(strategy, params)
    else:
        answer = no_signals(len(seen.candles))
    candles = seen.traded
    progress.advance(len(candles), "signals")
    calendar = calendar_of(candles, request.calendar)
    return asked_symbol(request, candles, calendar, answer, seen.traded_signals(answer), holding_period)


def asked_symbol(
    request: BacktestRequest,
    candles: Candles,
    calendar: Calendar,
    answer: CheckedSignals,
    signals: CheckedSignals,
    holding_period: int | None,
) -> AskedSymbol:
    """A symbol with a strategy's answer, which is measured.

    Args:
        request: what is asked for.
        candles: those that are traded.
        calendar: the symbol's.
        answer: of all bars that the strategy saw.
        signals: of the bars that are traded.
        holding_period: of the strategy.
    """
    traded = Traded(candles, signals, request.max_hold_bars or holding_period, calendar.periods_per_year)
    study = study_signals(candles, signals, request.direction, holding_period)
    return AskedSymbol(traded, calendar, answer, study)


def ask_portfolio(
    seen: Sequence[SeenCandles],
    request: BacktestRequest,
    strategy: PortfolioStrategy,
    params: StrategyParams,
) -> AskedPortfolio:
    """Asks a portfolio strategy about all symbols.

    Raises:
        StrategyFaulty: as `weights_of`.
    """
    panel = seen_panel(seen)
    weights = weights_of(
        strategy,
        params,
        panel.panel,
        request.seed,
        direction=request.direction,
        leverage=request.leverage,
        warmup_rows=panel.warmup_rows,
    )
    return AskedPortfolio(panel, weights)


def measured_accounts(
    symbols: Sequence[AskedSymbol],
    portfolio: AskedPortfolio | None,
    request: BacktestRequest,
    benchmark: Candles | None,
    progress: Progress,
    markets: Markets,
) -> MeasuredAccounts:
    """Runs the accounts that a request asks for, and measures them.

    Args:
        symbols: in the request's order.
        portfolio: of a portfolio strategy.
        request: what is asked for.
        benchmark: what the accounts are measured against; `None`: themselves.
        progress: takes note of the bars done.
        markets: finer candles and funding rates, and what was made of them.
    """
    run = _shared if request.account == "shared" else _split
    outcomes, by_symbol, curve, positions = run(symbols, portfolio, request, benchmark, progress, markets)
    curve = curve.against(benchmark)
    calendars = {one.traded.candles.symbol: one.calendar for one in symbols}
    calendar = account_calendar(calendars, curve.timestamp, request.timeframe)
    metrics, exposure_frac, drawdown_frac = account_metrics(
        curve,
        calendar[0].periods_per_year,
        joined([own.trades for own in outcomes]),
        joined([one.study.timestamp for one in symbols]),
        joined([one.study.return_frac for one in symbols]),
    )
    return MeasuredAccounts(
        outcomes, by_symbol, curve, calendar, metrics, exposure_frac, drawdown_frac, positions
    )


_Run = tuple[Sequence[Outcome], Sequence["Metrics"], Curve, "pd.DataFrame | None"]


def _split(
    symbols: Sequence[AskedSymbol],
    portfolio: AskedPortfolio | None,  # noqa: ARG001  a portfolio shares its account
    request: BacktestRequest,
    benchmark: Candles | None,
    progress: Progress,
    markets: Markets,
) -> _Run:
    """Runs an account for each symbol, each with an equal share of the cash."""
    joint = JointAccount([one.traded.candles for one in symbols])
    outcomes, metrics = [], []
    for one in symbols:
        outcome, curve = run_alone(
            one.traded,
            request,
            request.initial_cash / len(symbols),
            progress.chunk_bars,
            partial(progress.advance, stage="simulation"),
            markets,
        )
        joint.add(curve)
        outcomes.append(outcome)
        metrics.append({} if len(symbols) == 1 else _metrics(one, outcome, curve, benchmark))
    return outcomes, metrics, joint.curve(), None


def _shared(
    symbols: Sequence[AskedSymbol],
    portfolio: AskedPortfolio | None,
    request: BacktestRequest,
    benchmark: Candles | None,
    progress: Progress,
    markets: Markets,
) -> _Run:
    """Runs one account for all symbols."""
    traded = [one.traded for one in symbols]
    account = run_shared(
        traded,
        request,
        progress.chunk_bars,
        partial(progress.advance, stage="simulation"),
        markets,
        signals=no_signal_arrays(sum(len(own.candles) for own in traded)) if portfolio else None,
        targets=portfolio.targets if portfolio else None,
    )
    metrics = [
        {} if len(symbols) == 1 else _metrics(one, outcome, curve, benchmark)
        for one, outcome, curve in zip(symbols, account.outcomes, account.own, strict=True)
    ]
    positions = positions_frame(account.market.candles, account.changes)
    return account.outcomes, metrics, account.joint, positions


def _metrics(one: AskedSymbol, outcome: Outcome, curve: Curve, benchmark: Candles | None) -> Metrics:
    metrics, _, _ = account_metrics(
        curve.against(benchmark),
        one.calendar.periods_per_year,
        outcome.trades,
        one.study.timestamp,
        one.study.return_frac,
    )
    return metrics
