"""A strategy for tests: pending orders, several entries, conflicts, which the built-in ones do not have."""

from __future__ import annotations

import numpy as np

from backtest_pipeline import Candles, Signals, Strategy, StrategyParams

ROUND = 24
"""Bars after which it begins anew."""


class RestingOrders(Strategy):
    """In a round of bars: an entry, which an exit contradicts; another; an exit; and two limit orders."""

    name = "resting_orders"

    class Params(StrategyParams):
        """None."""

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        """One limit is the next bar's low, which no honest strategy knows, the other 2 % below the close."""
        bar = np.arange(len(candles)) % ROUND
        limit = np.full(len(candles), np.nan)
        touched = np.flatnonzero(bar[:-1] == 14)
        limit[touched] = candles.low[touched + 1]
        limit[bar == 17] = 0.98 * candles.close[bar == 17]
        return Signals(
            entry=(bar == 0) | (bar == 4), exit=(bar == 0) | (bar == 12) | (bar == 22), entry_limit=limit
        )
