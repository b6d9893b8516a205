"""Indicators for strategies: arrays in, arrays of the same length out, NaN until there are enough bars."""

from backtest_pipeline.engine.indicators.functions import (
    atr,
    before,
    body_range,
    bollinger,
    by_symbol,
    carried,
    crossed_above,
    crossed_below,
    crossings,
    deviation,
    donchian,
    ema,
    macd,
    rsi,
    sma,
    volume_zone_level,
)
from backtest_pipeline.engine.indicators.memory import ema_memory, wilder_memory

__all__ = [
    "atr",
    "before",
    "body_range",
    "bollinger",
    "by_symbol",
    "carried",
    "crossed_above",
    "crossed_below",
    "crossings",
    "deviation",
    "donchian",
    "ema",
    "ema_memory",
    "macd",
    "rsi",
    "sma",
    "volume_zone_level",
    "wilder_memory",
]
