"""Volume surge with a long bullish candle."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from backtest_pipeline.engine.indicators import sma
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams


class VolumeLongCandle(Strategy):
    """Buys a long bullish candle on surging volume and holds it for a fixed number of bars.

    A signal needs both: volume of at least `vol_multiplier` times the mean of the window that ends at the
    bar, and a body of at least `body_pct` of the open whose wicks are each shorter than twice that.
    Confidence: the surge over twice the multiplier, at most 1; 0 where the whole window has no volume.
    """

    name = "volume_long_candle"

    class Params(StrategyParams):
        """Volume, candle and holding period."""

        vol_ma_window: int = Field(20, ge=1, le=500, description="window of the mean volume, in bars")
        vol_multiplier: float = Field(
            1.5, ge=1.0, le=10.0, description="least volume, in multiples of the window's mean"
        )
        body_pct: float = Field(
            0.02, ge=0.001, le=0.5, description="least body of the candle, as a fraction of its open"
        )
        hold_period_bars: int = Field(1, ge=1, le=100, description="bars from entry to exit")

    def warmup_bars(self, params: Params) -> int:
        """The window of the mean volume, less the bar itself."""
        return params.vol_ma_window - 1

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        mean = sma(candles.volume, params.vol_ma_window)
        body = (candles.close - candles.open) / candles.open
        upper = (candles.high - candles.close) / candles.open
        lower = (candles.open - candles.low) / candles.open
        wick = 2 * params.body_pct
        least = mean * params.vol_multiplier
        surge = candles.volume >= least
        long_candle = (
            (body >= params.body_pct) & (candles.close > candles.open) & (upper < wick) & (lower < wick)
        )
        confidence = np.zeros(len(candles))
        np.divide(candles.volume, mean, out=confidence, where=mean > 0)
        np.minimum(confidence / (2 * params.vol_multiplier), 1.0, out=confidence)
        panes = {"Volume": {"volume": candles.volume, "mean": mean, "least": least}}
        return Signals(entry=surge & long_candle, confidence=confidence, panes=panes)

    def holding_period_bars(self, params: Params) -> int:
        """Bars from entry to exit."""
        return params.hold_period_bars
