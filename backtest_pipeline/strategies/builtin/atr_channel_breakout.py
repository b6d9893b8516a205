"""Breakout from a channel of average true ranges, by stop orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from backtest_pipeline.engine.indicators import (
    atr,
    crossed_above,
    crossed_below,
    ema,
    ema_memory,
    wilder_memory,
)
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams

if TYPE_CHECKING:
    from numpy.typing import NDArray


class AtrChannelBreakout(Strategy):
    """Follows breakouts from a channel of average true ranges by stop orders, each with its stop loss.

    The channel lies `entry_atr` average true ranges around an exponential average of the close (Keltner).
    While the close is above the average, an order waits to buy at the upper end; the position's stop lies
    `stop_atr` average true ranges below that order. It leaves where the close crosses below the average;
    mirrored for shorts. With the request's `sizing` `risk`, each position risks the same.
    """

    name = "atr_channel_breakout"

    class Params(StrategyParams):
        """The channel and the stop."""

        window: int = Field(20, ge=1, le=10_000, description="window of the average, in bars")
        atr_window: int = Field(14, ge=1, le=10_000, description="window of the average true range, in bars")
        entry_atr: float = Field(2.0, gt=0, le=100, description="average true ranges from average to order")
        stop_atr: float = Field(2.0, gt=0, le=100, description="average true ranges from order to stop loss")

    def warmup_bars(self, params: Params) -> int:
        """The longer memory of the two averages, and the bar before: a crossing compares both."""
        return max(ema_memory(params.window), wilder_memory(params.atr_window)) + 1

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        close = candles.close
        middle = ema(close, params.window)
        spread = atr(candles.high, candles.low, close, params.atr_window)
        upper, lower = middle + params.entry_atr * spread, middle - params.entry_atr * spread
        distance = params.stop_atr * spread
        rising, falling = close > middle, close < middle
        return Signals(
            entry=np.zeros(len(candles), dtype=np.bool_),
            exit=crossed_below(close, middle),
            short_exit=crossed_above(close, middle),
            entry_stop=_prices(upper, rising),
            short_entry_stop=_prices(lower, falling),
            stop_price=_prices(np.where(rising, upper - distance, lower + distance), rising | falling),
            lines={"upper": upper, "average": middle, "lower": lower},
        )


def _prices(prices: NDArray[np.float64], wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The prices where they are wanted, unless they lie at zero or below."""
    return np.where(wanted & (prices > 0), prices, np.nan)
