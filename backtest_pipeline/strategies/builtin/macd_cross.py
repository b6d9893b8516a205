"""Crossing of the MACD line and its signal line."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from backtest_pipeline.engine.indicators import crossings, ema_memory, macd
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams


class MacdCross(Strategy):
    """Follows turning momentum: long while the MACD line is above its signal line.

    The line is the difference of two exponential averages of the close, the signal line its own average.
    Enters long (and leaves short) where the line crosses above, enters short (and leaves long) where it
    crosses below.
    """

    name = "macd_cross"

    class Params(StrategyParams):
        """Three windows."""

        fast: int = Field(12, ge=1, le=10_000, description="window of the fast average, in bars")
        slow: int = Field(26, ge=2, le=10_000, description="window of the slow average, in bars")
        signal: int = Field(9, ge=1, le=10_000, description="window of the signal line, in bars")

        @model_validator(mode="after")
        def _fast_is_faster(self) -> Self:
            if self.fast >= self.slow:
                raise ValueError(f"fast ({self.fast} bars) must be less than slow ({self.slow} bars)")
            return self

    def warmup_bars(self, params: Params) -> int:
        """Until the starts of slow average and signal line have faded, at the bar before as well."""
        return ema_memory(params.slow) + ema_memory(params.signal) + 1

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        line, signal = macd(candles.close, params.fast, params.slow, params.signal)
        up, down = crossings(line, signal)
        return Signals(
            entry=up,
            exit=down,
            short_entry=down,
            short_exit=up,
            panes={"MACD": {"line": line, "signal": signal, "zero": 0.0}},
        )
