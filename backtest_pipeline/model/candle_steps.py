"""The steps between candles that are longer than a bar, and which of them are gaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.market_days import DAY_S
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.timeframe import Timeframe

    Seconds = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class CandleSteps:
    """The steps between candles that are longer than a bar; shape (k,) unless said otherwise.

    Attributes:
        timestamp: shape (n,), of all candles, microseconds since 1970.
        timeframe: the candles' timeframe.
        at: position of the candle before the step.
        before_s, after_s: opens of the candles before and after it, seconds since 1970.
    """

    timestamp: Seconds
    timeframe: Timeframe
    at: Seconds
    before_s: Seconds
    after_s: Seconds

    @classmethod
    def of(cls, timestamp: NDArray[np.datetime64], timeframe: Timeframe) -> CandleSteps:
        moments = timestamp.view(np.int64)
        at = np.flatnonzero(np.diff(moments) > BAR_SECONDS[timeframe] * 1_000_000)
        return cls(moments, timeframe, at, moments[at] // 1_000_000, moments[at + 1] // 1_000_000)

    @property
    def bar_s(self) -> int:
        return BAR_SECONDS[self.timeframe]

    @property
    def length_s(self) -> Seconds:
        return self.after_s - self.before_s

    @property
    def missing_bars(self) -> Floats:
        """How many bars would fit, were the market open all the time."""
        bars: Floats = np.round(self.length_s / self.bar_s) - 1
        return bars

    def days_with_candles(self) -> int:
        """How many UTC days have candles."""
        day_us = DAY_S * 1_000_000
        days = np.arange(self.timestamp[0] // day_us, self.timestamp[-1] // day_us + 2) * day_us
        return int(np.count_nonzero(np.diff(np.searchsorted(self.timestamp, days))))


@dataclass(frozen=True, eq=False, slots=True)
class JudgedSteps:
    """Of each step whether it is a gap and about how many bars it lacks; and sessions without any candle."""

    gap: Flags
    missing_bars: Floats
    missing_days: Seconds


def recurring(steps: CandleSteps) -> Flags:
    """Which steps are of a length and at a time of day that a tenth of the days and more have."""
    pairs = steps.length_s * DAY_S + steps.before_s % DAY_S
    _, which, times = np.unique(pairs, return_inverse=True, return_counts=True)
    usual: Flags = (times >= 3) & (times * 10 >= steps.days_with_candles())
    return usual[which]
