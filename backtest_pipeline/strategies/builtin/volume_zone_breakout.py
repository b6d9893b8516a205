"""Breakout over a volume-by-price zone."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from backtest_pipeline.engine.indicators import body_range, volume_zone_level
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams


class VolumeZoneBreakout(Strategy):
    """Buys when the high breaks out over the price zone where the top share of recent volume changed hands.

    The zone's lower edge over the bars before the bar is the resistance; a signal needs a high of at least
    the resistance plus the buffer. Confidence: 0.5 plus the fraction by which the high exceeds that level,
    at most 1.
    """

    name = "volume_zone_breakout"

    class Params(StrategyParams):
        """Zone, breakout and holding period."""

        volume_window: int = Field(60, ge=10, le=500, description="bars before the bar, itself excluded")
        top_percentile: float = Field(
            0.2, ge=0.05, le=0.5, description="share of the window's volume in the zone, from the top"
        )
        breakout_buffer: float = Field(
            0.01, ge=0, le=0.05, description="excess over the resistance, as a fraction of it"
        )
        hold_period_bars: int = Field(1, ge=1, le=100, description="bars from entry to exit")
        num_bins: int = Field(20, ge=5, le=100, description="price bins of the window")
        include_wicks: bool = Field(True, description="a candle ranges from low to high, not over its body")
        first_break_only: bool = Field(False, description="signal only on the first bar above the level")

    def warmup_bars(self, params: Params) -> int:
        """The bars of the zone, and the bar before where only first breaks count."""
        return params.volume_window + params.first_break_only

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        bottom, top = candles.low, candles.high
        if not params.include_wicks:
            bottom, top = body_range(candles.open, candles.close)
        resistance = volume_zone_level(
            bottom, top, candles.volume, params.volume_window, params.num_bins, params.top_percentile
        )
        level = resistance * (1 + params.breakout_buffer)
        above = candles.high >= level
        entry = above.copy()
        if params.first_break_only:
            entry[1:] &= ~above[:-1]
        confidence = np.zeros(len(candles))
        np.minimum(0.5 + (candles.high - level) / level, 1.0, out=confidence, where=above)
        lines = {"resistance": resistance, "breakout level": level}
        return Signals(entry=entry, confidence=confidence, lines=lines)

    def holding_period_bars(self, params: Params) -> int:
        """Bars from entry to exit."""
        return params.hold_period_bars
