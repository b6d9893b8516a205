"""Crossing of two simple moving averages."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from backtest_pipeline.engine.indicators import crossings, sma
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams


class SmaCross(Strategy):
    """Follows the trend: long while the fast moving average of the close is above the slow one.

    Enters long (and leaves short) at the bar where the fast average crosses above the slow one; enters short
    (and leaves long) where it crosses below.
    """

    name = "sma_cross"

    class Params(StrategyParams):
        """Two windows."""

        fast: int = Field(10, ge=1, le=10_000, description="window of the fast average, in bars")
        slow: int = Field(20, ge=2, le=10_000, description="window of the slow average, in bars")

        @model_validator(mode="after")
        def _fast_is_faster(self) -> Self:
            if self.fast >= self.slow:
                raise ValueError(f"fast ({self.fast} bars) must be less than slow ({self.slow} bars)")
            return self

    def warmup_bars(self, params: Params) -> int:
        """The slow window, which ends at the bar before as well: a crossing compares both."""
        return params.slow

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        fast, slow = sma(candles.close, params.fast), sma(candles.close, params.slow)
        up, down = crossings(fast, slow)
        lines = {"fast": fast, "slow": slow}
        return Signals(entry=up, exit=down, short_entry=down, short_exit=up, lines=lines)
