"""Breakout from a Donchian channel."""

from __future__ import annotations

from pydantic import Field

from backtest_pipeline.engine.indicators import before, donchian
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams


class DonchianBreakout(Strategy):
    """Follows breakouts: buys a close above the highest high of the bars before it, as the Turtles did.

    Enters long where the close is above the highest high of the `entry_window` bars before, leaves where it
    is below the lowest low of the `exit_window` bars before; mirrored for shorts.
    """

    name = "donchian_breakout"

    class Params(StrategyParams):
        """Two channels."""

        entry_window: int = Field(20, ge=1, le=10_000, description="bars of the channel to break out of")
        exit_window: int = Field(10, ge=1, le=10_000, description="bars of the channel to fall back out of")

    def warmup_bars(self, params: Params) -> int:
        """The longer of the two channels, which end at the bar before."""
        return max(params.entry_window, params.exit_window)

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        low, high = (before(end) for end in donchian(candles.high, candles.low, params.entry_window))
        exit_low, exit_high = (before(end) for end in donchian(candles.high, candles.low, params.exit_window))
        return Signals(
            entry=candles.close > high,
            exit=candles.close < exit_low,
            short_entry=candles.close < low,
            short_exit=candles.close > exit_high,
            lines={"entry high": high, "entry low": low, "exit high": exit_high, "exit low": exit_low},
        )
