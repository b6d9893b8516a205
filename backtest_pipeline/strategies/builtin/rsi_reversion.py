"""Reversion from extremes of the relative strength index."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from backtest_pipeline.engine.indicators import crossed_above, crossed_below, rsi, wilder_memory
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams


class RsiReversion(Strategy):
    """Buys what has fallen too fast and sells what has risen too fast, by the relative strength index.

    Enters long where the index falls below `oversold`, short where it rises above `overbought`; leaves where
    it crosses `exit_level` on its way back.
    """

    name = "rsi_reversion"

    class Params(StrategyParams):
        """Index and levels."""

        window: int = Field(14, ge=2, le=1_000, description="window of the index, in bars")
        oversold: float = Field(30, gt=0, lt=100, description="level under which to buy, 0 to 100")
        overbought: float = Field(70, gt=0, lt=100, description="level over which to sell short, 0 to 100")
        exit_level: float = Field(50, gt=0, lt=100, description="level at which to leave, 0 to 100")

        @model_validator(mode="after")
        def _levels_rise(self) -> Self:
            if not self.oversold < self.exit_level < self.overbought:
                raise ValueError(
                    f"oversold ({self.oversold:g}), exit_level ({self.exit_level:g}) and overbought "
                    f"({self.overbought:g}) must rise in this order"
                )
            return self

    def warmup_bars(self, params: Params) -> int:
        """Until the start of the index has faded, at the bar before as well."""
        return wilder_memory(params.window) + 1

    def signals(self, candles: Candles, params: Params) -> Signals:
        """See the class."""
        index = rsi(candles.close, params.window)
        return Signals(
            entry=crossed_below(index, params.oversold),
            exit=crossed_above(index, params.exit_level),
            short_entry=crossed_above(index, params.overbought),
            short_exit=crossed_below(index, params.exit_level),
            panes={
                "Relative strength index": {
                    "index": index,
                    "oversold": params.oversold,
                    "exit level": params.exit_level,
                    "overbought": params.overbought,
                }
            },
        )
