"""How many bars make a year, read from the timeframe and from the bars themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.compiled import IntsIn, IntsOut, compiled, types
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.timeframe import Timeframe

SESSIONS_PER_YEAR = 252
DAYS_PER_YEAR = 365
WEEKS_PER_YEAR = 52
DAY_SECONDS = 86_400
DAY_US = DAY_SECONDS * 1_000_000

# Saturday and Sunday are 2/7 of an always-open market's days; a currency market that opens on Sunday
# evening has 1/6, an exchange with a few special Saturdays next to nothing.
ALWAYS_OPEN_WEEKEND_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a market has bars, as far as its bars tell.

    Attributes:
        always_open: more than a fifth of the days with bars are Saturdays or Sundays (UTC).
        periods_per_year: bars a year, by which returns are annualised. A weekly bar: 52. A daily bar: 365
            where the market is always open, otherwise 252. A shorter bar: that many days times the bars of
            a day, which is the median over the days that have bars.
        longest_step_us: the longest time from one bar to the next, in microseconds.
    """

    always_open: bool
    periods_per_year: float
    longest_step_us: int


def read_calendar(timestamp: NDArray[np.datetime64], timeframe: Timeframe) -> Calendar:
    """Reads the calendar from the bars.

    Args:
        timestamp: shape (n,), `datetime64[us]`, UTC, increasing, not empty.
        timeframe: length of a bar.
    """
    per_day = max(DAY_SECONDS // BAR_SECONDS[timeframe], 1)
    days_with = np.zeros(per_day + 1, dtype=np.int64)
    days, weekend_days, longest_step_us = _count_days(timestamp.view(np.int64), days_with)
    always_open = weekend_days > ALWAYS_OPEN_WEEKEND_SHARE * days
    if timeframe == "1w":
        return Calendar(always_open, float(WEEKS_PER_YEAR), longest_step_us)
    up_to = np.cumsum(days_with)
    lower = np.searchsorted(up_to, (days + 1) // 2)
    upper = np.searchsorted(up_to, days // 2 + 1)
    days_per_year = DAYS_PER_YEAR if always_open else SESSIONS_PER_YEAR
    return Calendar(always_open, float(days_per_year * (lower + upper) / 2), longest_step_us)


@compiled(types.UniTuple(types.int64, 3)(IntsIn, IntsOut))
def _count_days(moments: Any, days_with: Any) -> tuple[int, int, int]:
    """Counts days with bars; `days_with[k]` takes the days with k bars.

    Returns:
        Days, weekend days among them, and the longest step between two bars.
    """
    most = len(days_with) - 1
    days = weekend_days = bars = longest = 0
    day_end = previous = moments[0]
    for moment in moments:
        longest = max(longest, moment - previous)
        previous = moment
        if moment >= day_end:
            if bars > 0:
                days_with[min(bars, most)] += 1
            day = moment // DAY_US
            day_end = (day + 1) * DAY_US
            weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
            days += 1
            weekend_days += weekday >= 5
            bars = 0
        bars += 1
    days_with[min(bars, most)] += 1
    return days, weekend_days, longest
