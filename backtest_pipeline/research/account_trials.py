"""Trials that need the kernel of accounts: run one by one, by the very code that runs their own backtests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.account_choice import Extras, Markets
from backtest_pipeline.engine.inputs import holding_period_of
from backtest_pipeline.engine.measured_accounts import (
    MeasuredAccounts,
    ask_portfolio,
    asked_symbol,
    measured_accounts,
)
from backtest_pipeline.engine.progress import Progress
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
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import Metrics
    from backtest_pipeline.model.strategy import AnyStrategy, StrategyParams
    from backtest_pipeline.research.trial_market import Market
    from backtest_pipeline.research.trial_rows import Found


ExtrasOf = Callable[["BacktestRequest"], Extras]
"""What a request asks for beside candles."""


class AccountTrials:
    """Runs trials of the same candles one by one.

    Attributes:
        market: the candles.

    Args:
        market: the same.
        extras: finer candles and funding rates that a trial's request asks for.
    """

    def __init__(self, market: Market, extras: ExtrasOf) -> None:
        self.market = market
        self._extras = extras
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
        portfolio, hold_bars = None, None
        if isinstance(strategy, Strategy):
            pairs = zip(answers, seen, strict=True)
            checked = [check_signals(strategy.name, answer, len(own.candles)) for answer, own in pairs]
            hold_bars = holding_period_of(strategy, params)
        else:
            checked = [no_signals(len(own.candles)) for own in seen]
        if isinstance(strategy, PortfolioStrategy):
            if problems := portfolio_problems(request):
                raise RequestInvalid(problems)
            portfolio = ask_portfolio(seen, request, strategy, params)
        market = self.market
        symbols = [
            asked_symbol(request, candles, calendar, answer, own.traded_signals(answer), hold_bars)
            for candles, calendar, answer, own in zip(
                market.candles, market.calendars, checked, seen, strict=True
            )
        ]
        accounts = measured_accounts(
            symbols,
            portfolio,
            request,
            market.benchmark,
            Progress(None, market.bars),
            self._markets_of(request),
        )
        _write(accounts, request.initial_cash, found)

    def _markets_of(self, request: BacktestRequest) -> Markets:
        key = (request.detail_timeframe, request.funding)
        if key not in self._markets:
            self._markets[key] = Markets(self._extras(request))
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
