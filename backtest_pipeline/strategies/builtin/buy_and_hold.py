"""The yardstick."""

from __future__ import annotations

import numpy as np

from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams


class BuyAndHold(Strategy):
    """Buys at the first bar and never sells: what any other strategy has to beat."""

    name = "buy_and_hold"

    class Params(StrategyParams):
        """None."""

    def signals(self, candles: Candles, params: Params) -> Signals:  # noqa: ARG002  there are none
        """See the class."""
        entry = np.zeros(len(candles), dtype=np.bool_)
        entry[:1] = True
        return Signals(entry=entry, lines={"first close": float(candles.close[0])} if len(candles) else None)
