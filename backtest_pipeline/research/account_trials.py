"""Trials that need the kernel of accounts: run one by one, by the very code that runs their own backtests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.account_choice import Extras, Markets, Traded
from backtest_pipeline.engine.calendar import calendar_of
from backtest_pipeline.engine.inputs import benchmark_candles, holding_period_of
from backtest_pipeline.engine.measured_accounts import (
    AskedSymbol,
    MeasuredAccounts,
    ask_portfolio,
    measured_accounts,
)
from backtest_pipeline.engine.progress import Progress
from backtest_pipeline.engine.signal_study import study_signals
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.portfolio_rules import portfolio_problems
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy
from backtest_pipeline.model.signal_checks import check_signals, no_signals
from backtest_pipeline.model.strategy import Strategy
from backtest_pipeline.research.block_kernel import write_account_blocks
from backtest_pipeline.research.kernel_arrays import FIGURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.inputs import SeenCandles
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.funding_rates import FundingRates
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import Metrics
    from backtest_pipeline.model.strategy import AnyStrategy, StrategyParams
    from backtest_pipeline.research.trial_market import Market
    from backtest_pipeline.research.trial_rows import Found


@dataclass(frozen=True, eq=False, slots=True)
class TrialExtras:
    """What trials may need beside candles.

    Attributes:
        detail: finer candles, by timeframe and symbol.
        funding: rates by symbol.
    """

    detail: Mapping[str, Mapping[str, Candles]] = field(default_factory=dict)
    funding: Mapping[str, FundingRates] = field(default_factory=dict)

    def of(self, request: BacktestRequest) -> Extras:
        """What one request asks for."""
        detail = self.detail.get(request.detail_timeframe) if request.detail_timeframe else None
        return Extras(detail, self.funding if request.funding else None)


class AccountTrials:
    """Runs trials of the same candles one by one.

    Attributes:
        market: the candles.

    Args:
        market: the same.
        given: all candles of the timeframe, among them the benchmark's.
        extras: finer candles and funding rates.
        timezone: what a `start` or `end` without a zone means.
    """

    def __init__(
        self, market: Market, given: Mapping[str, Candles], extras: TrialExtras, timezone: str
    ) -> None:
        self.market = market
        self._given = given
        self._extras = extras
        self._timezone = timezone
        self._markets: dict[tuple[Any, ...], Markets] = {}

    def run(
        self,
        request: BacktestRequest,
        strategy: AnyStrategy,
        params: StrategyParams,
        seen: Sequence[SeenCandles],
        answers: Sequence[object],
        found: Found,
    ) -> None:
        """Runs a trial and writes its figures.

        Args:
            request: the trial's.
            strategy: the trial's.
            params: an instance of the strategy's own `Params`.
            seen: what the strategy saw of each symbol.
            answers: what it answered on each; nothing of a portfolio strategy.
            found: the arrays of one trial, as `TrialRows.room` makes them.

        Raises:
            RequestInvalid: a portfolio strategy cannot be run with what is asked for.
            StrategyFaulty: as `check_signals` and `weights_of`.
        """
        if isinstance(strategy, PortfolioStrategy) and (problems := portfolio_problems(request)):
            raise RequestInvalid(problems)
        symbols = [
            self._asked(place, request, strategy, params, own, answers) for place, own in enumerate(seen)
        ]
        portfolio = None
        if isinstance(strategy, PortfolioStrategy):
            portfolio = ask_portfolio(seen, request, strategy, params)
        accounts = measured_accounts(
            symbols,
            portfolio,
            request,
            benchmark_candles(self._given, request, self._timezone),
            Progress(None, self.market.bars),
            self._markets_of(request),
        )
        _write(accounts, request.initial_cash, found)

    def _asked(
        self,
        place: int,
        request: BacktestRequest,
        strategy: AnyStrategy,
        params: StrategyParams,
        seen: SeenCandles,
        answers: Sequence[object],
    ) -> AskedSymbol:
        candles = self.market.candles[place]
        hold_bars = None
        if isinstance(strategy, Strategy):
            answer = check_signals(strategy.name, answers[place], len(seen.candles))
            hold_bars = holding_period_of(strategy, params)
        else:
            answer = no_signals(len(seen.candles))
        signals = seen.traded_signals(answer)
        calendar = calendar_of(candles, request.calendar)
        traded = Traded(candles, signals, request.max_hold_bars or hold_bars, calendar.periods_per_year)
        study = study_signals(candles, signals, request.direction, hold_bars)
        return AskedSymbol(traded, calendar, answer, study)

    def _markets_of(self, request: BacktestRequest) -> Markets:
        key = (request.detail_timeframe, request.funding)
        if key not in self._markets:
            self._markets[key] = Markets(self._extras.of(request))
        return self._markets[key]


def _write(accounts: MeasuredAccounts, initial_cash: float, found: Found) -> None:
    figures, symbol_figures, counts, sums, squares = found
    figures[0] = _row(accounts.metrics)
    for place in range(len(symbol_figures)):
        symbol_figures[place] = _row(accounts.by_symbol[place])
    curve = accounts.curve
    write_account_blocks(
        curve.equity, initial_cash, np.empty(len(curve.equity)), counts[0], sums[0], squares[0]
    )


def _row(metrics: Metrics) -> NDArray[np.float64]:
    values = [metrics[name] for name in FIGURES]
    return np.array([np.nan if value is None else value for value in values])
