"""Which day of the market a bar belongs to, and on which weekdays a market trades.

Daily bars open at some market's midnight, so that their UTC dates may all be a day off: a session of
2 January in Seoul opens on 1 January at 15:00 UTC. The day meant is the one whose midnight is nearest to the
opens; zones reach further east than west, so an open from 10:30 UTC on belongs to the next day. Where both
days are possible, it is the one before where that has clearly fewer bars on Saturdays and Sundays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.timeframe import Timeframe

    Ints = NDArray[np.int64]
    Moments = NDArray[np.datetime64]

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
SATURDAY, SUNDAY = 5, 6
_EAST_OF_S = 10 * HOUR_S + HOUR_S // 2

# A weekday that has bars less than a quarter as often as the busiest one is an exception, not the rule.
REGULAR_SHARE = 0.25
# So many days with bars avoid two weekdays by chance in one case of thirty.
FEWEST_DAYS = 10
WHOLE_DAY_SHARE = 0.9

Week = Literal["all days", "some days"]


def seconds_of(timestamp: Moments) -> Ints:
    """Seconds since 1970 of `datetime64[us]` moments."""
    seconds: Ints = timestamp.view(np.int64) // 1_000_000
    return seconds


def weekdays(days: Ints) -> Ints:
    """Weekdays of days since 1970, Monday being 0; 1970-01-01 was a Thursday."""
    of_week: Ints = (days + 3) % 7
    return of_week


def market_days(opens_s: Ints) -> Ints:
    """The market's own day of each daily or weekly bar, in days since 1970.

    Args:
        opens_s: shape (n,), opens of the bars, seconds since 1970, UTC, increasing.
    """
    if not len(opens_s):
        return opens_s
    usual_s = _usual_time_of_day_s(opens_s % DAY_S)
    earlier: Ints = (opens_s - usual_s + DAY_S // 2) // DAY_S
    # Of a market that never closes, both have as many but for one or two, whichever bar comes last.
    if usual_s < _EAST_OF_S or 2 * _weekend_bars(earlier) < _weekend_bars(earlier + 1):
        return earlier
    return earlier + 1


def week_numbers(days: Ints) -> Ints:
    """The week of each weekly bar: weeks since 1970 by the Monday that is nearest to the bar's day."""
    weeks: Ints = (days + 6) // 7
    return weeks


def monday_of(weeks: Ints) -> Ints:
    """The Monday, in days since 1970, of weeks as `week_numbers` counts them."""
    mondays: Ints = 7 * weeks - 3
    return mondays


def weeks_of_sessions(days: Ints) -> Ints:
    """The week of each session, numbered as `week_numbers` does; weeks begin on Saturday."""
    weeks: Ints = (days + 5) // 7
    return weeks


def grid_slots(timestamp: Moments, timeframe: Timeframe) -> Ints:
    """The place of each bar on the grid of its timeframe: a number that bars of one time share.

    Days and weeks are the market's own, whatever the hour at which it opens; shorter bars share a slot that
    begins within the same bar's length in UTC.
    """
    opens_s = seconds_of(timestamp)
    if timeframe == "1d":
        return market_days(opens_s)
    if timeframe == "1w":
        return week_numbers(market_days(opens_s))
    slots: Ints = opens_s // BAR_SECONDS[timeframe]
    return slots


def trading_week(timestamp: Moments, timeframe: Timeframe) -> tuple[Week, bool]:
    """Reads from bars whether a market trades on all seven weekdays.

    It does where each weekday regularly has bars, and does not where one of them lacks them. Bars of fewer
    than seven days in a row decide it only where they fill a Saturday, on which every exchange and the
    currency market are closed for hours.

    Args:
        timestamp: shape (n,), `datetime64[us]`, UTC, increasing, not empty.
        timeframe: length of a bar; weekly bars decide nothing.

    Returns:
        The week, and whether the bars decide it or it is assumed.
    """
    if timeframe == "1w":
        return _week(every_day=False), False
    days, bars = _days_with_bars(timestamp, timeframe)
    spanned = np.bincount(weekdays(np.arange(days[0], days[-1] + 1)), minlength=7)
    present = np.bincount(weekdays(days), minlength=7)
    if (spanned > 0).all():
        regular = bool((present >= max(1, REGULAR_SHARE * present.max())).all())
        return _week(every_day=regular), regular or len(days) >= FEWEST_DAYS
    without_a_break = len(days) == spanned.sum()
    if timeframe == "1d":
        return _week(every_day=without_a_break and bool(present[SATURDAY])), False
    whole = bars >= WHOLE_DAY_SHARE * DAY_S / BAR_SECONDS[timeframe]
    saturday = without_a_break and bool(whole[weekdays(days) == SATURDAY].any())
    round_the_clock = without_a_break and len(days) > 2 and bool(whole[1:-1].all())
    return _week(every_day=saturday or round_the_clock), saturday


def _week(*, every_day: bool) -> Week:
    return "all days" if every_day else "some days"


def _days_with_bars(timestamp: Moments, timeframe: Timeframe) -> tuple[Ints, Ints]:
    """The days that have bars, in the market's own time where bars are daily, and how many bars each has."""
    if timeframe == "1d":
        return np.unique(market_days(seconds_of(timestamp)), return_counts=True)
    edges = timestamp[[0, -1]].astype("datetime64[D]").astype(np.int64)
    days = np.arange(edges[0], edges[1] + 2)
    counts = np.diff(np.searchsorted(timestamp.view(np.int64), days * DAY_S * 1_000_000))
    return days[:-1][counts > 0], counts[counts > 0].astype(np.int64)


def _usual_time_of_day_s(times_s: Ints) -> int:
    """Middle of the times of day, which lie around the clock: opposite the longest stretch without any."""
    times = np.unique(times_s)
    stretches = np.diff(times, append=times[0] + DAY_S)
    longest = int(np.argmax(stretches))
    first = int(times[(longest + 1) % len(times)])
    return (first + (DAY_S - int(stretches[longest])) // 2) % DAY_S


def _weekend_bars(days: Ints) -> int:
    return int((weekdays(days) >= SATURDAY).sum())
