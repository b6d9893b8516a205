"""Reversion from Bollinger bands."""

from __future__ import annotations

from pydantic import Field

from backtest_pipeline.engine.indicators import bollinger, crossed_above, crossed_below
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams


class BollingerReversion(Strategy):
    """Buys a close below the lower Bollinger band and sells it back at the middle; mirrored for shorts.

    Enters long where the close crosses below the lower band, short where it crosses above the upper one;
    leaves where it crosses the middle on its way back.
    """

    name = "bollinger_reversion"

    class Params(StrategyParams):
        """Bands."""

        window: int = Field(20, ge=2, le=10_000, description="window of mean and deviation, in bars")
        deviations: float = Field(2.0, gt=0, le=10, description="standard deviations from middle to band")

    def warmup_bars(self, params: Params) -> int:
        """The window of the bands, which ends at the bar before as well: a crossing compares both."""
        return params.window

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        lower, middle, upper = bollinger(candles.close, params.window, params.deviations)
        return Signals(
            entry=crossed_below(candles.close, lower),
            exit=crossed_above(candles.close, middle),
            short_entry=crossed_above(candles.close, upper),
            short_exit=crossed_below(candles.close, middle),
            lines={"upper": upper, "middle": middle, "lower": lower},
        )
