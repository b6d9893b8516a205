"""Momentum of the price itself."""

from __future__ import annotations

from pydantic import Field

from backtest_pipeline.engine.indicators import before, crossed_above, crossed_below
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams


class Momentum(Strategy):
    """Buys what has risen over the last bars and holds it until the rise is gone; mirrored for shorts.

    With the return of the close over `window` bars: enters long where it rises above `threshold`, leaves
    where it falls below 0; enters short where it falls below minus `threshold`, leaves where it rises above
    0.
    """

    name = "momentum"

    class Params(StrategyParams):
        """Window and threshold."""

        window: int = Field(20, ge=1, le=10_000, description="bars over which the return is taken")
        threshold: float = Field(0.0, ge=0, le=10, description="least return to enter, as a fraction")

    def warmup_bars(self, params: Params) -> int:
        """The window of the return, of the bar before as well."""
        return params.window + 1

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        rise = candles.close / before(candles.close, params.window) - 1
        return Signals(
            entry=crossed_above(rise, params.threshold),
            exit=crossed_below(rise, 0.0),
            short_entry=crossed_below(rise, -params.threshold),
            short_exit=crossed_above(rise, 0.0),
            panes={"Return over the window": {"return": rise, "threshold": params.threshold, "zero": 0.0}},
        )
