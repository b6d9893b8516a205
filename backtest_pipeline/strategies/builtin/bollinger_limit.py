"""Reversion from Bollinger bands, by limit orders."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from backtest_pipeline.engine.indicators import bollinger, crossed_above, crossed_below
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams


class BollingerLimit(Strategy):
    """Waits with limit orders at the Bollinger bands and takes its profit at the middle; mirrored for shorts.

    At each bar an order waits to buy at the lower band, where the close is above that. The position's target
    is the middle as it was then; it leaves earlier where the close crosses above the middle of the day. A
    band at or below zero, or of no width, has no order.
    """

    name = "bollinger_limit"

    class Params(StrategyParams):
        """Bands."""

        window: int = Field(20, ge=2, le=10_000, description="window of mean and deviation, in bars")
        deviations: float = Field(2.0, gt=0, le=10, description="standard deviations from middle to band")

    def warmup_bars(self, params: Params) -> int:
        """The window of the bands, which ends at the bar before as well: a crossing compares both."""
        return params.window

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        close = candles.close
        lower, middle, upper = bollinger(close, params.window, params.deviations)
        buys, sells = (lower > 0) & (lower < close), upper > close
        return Signals(
            entry=np.zeros(len(candles), dtype=np.bool_),
            exit=crossed_above(close, middle),
            short_exit=crossed_below(close, middle),
            entry_limit=np.where(buys, lower, np.nan),
            short_entry_limit=np.where(sells, upper, np.nan),
            target_price=middle,
            lines={"upper": upper, "middle": middle, "lower": lower},
        )
