"""Crossing of two exponential moving averages."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from backtest_pipeline.engine.indicators import crossings, ema, ema_memory
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams


class EmaCross(Strategy):
    """Follows the trend: long while the fast exponential average of the close is above the slow one.

    Enters long (and leaves short) at the bar where the fast average crosses above the slow one; enters short
    (and leaves long) where it crosses below.
    """

    name = "ema_cross"

    class Params(StrategyParams):
        """Two windows."""

        fast: int = Field(12, ge=1, le=10_000, description="window of the fast average, in bars")
        slow: int = Field(26, ge=2, le=10_000, description="window of the slow average, in bars")

        @model_validator(mode="after")
        def _fast_is_faster(self) -> Self:
            if self.fast >= self.slow:
                raise ValueError(f"fast ({self.fast} bars) must be less than slow ({self.slow} bars)")
            return self

    def warmup_bars(self, params: Params) -> int:
        """Until the start of the slow average has faded, at the bar before as well."""
        return ema_memory(params.slow) + 1

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        fast, slow = ema(candles.close, params.fast), ema(candles.close, params.slow)
        up, down = crossings(fast, slow)
        lines = {"fast": fast, "slow": slow}
        return Signals(entry=up, exit=down, short_entry=down, short_exit=up, lines=lines)
