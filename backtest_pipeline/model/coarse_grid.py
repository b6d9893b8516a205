"""Where the bars of a longer timeframe begin and end, in the market's own time.

- A market that is always open, or whose calendar is not known: at the clock's multiples in its time zone,
  days at midnight and weeks on Monday. Where clocks change, a bar of four hours, a day and a week are an hour
  shorter or longer; an hour that comes twice is two bars.
- An exchange with known sessions: bars up to four hours begin with a session, and anew after its lunch
  break; the last one ends with it. Days and weeks begin at midnight in its time zone, and hold what its
  sessions hold. What was traded outside its sessions goes by the clock.
- Weeks of daily bars, whatever midnight these open at, begin on the Monday at the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backtest_pipeline.model.local_times import to_utc
from backtest_pipeline.model.market_days import market_days, seconds_of, weekdays
from backtest_pipeline.model.timeframe import BAR_SECONDS, TIMEFRAMES, Timeframe

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from backtest_pipeline.model.schedule import Schedule

    Stamps = NDArray[np.datetime64]
    Seconds = NDArray[np.int64]

MICROSECOND = 1_000_000
DAY_S = 86_400
_MONDAY_S = 4 * DAY_S


def longer_problem(fine: Timeframe, coarse: Timeframe) -> str | None:
    """Why candles of one timeframe cannot be made of another's, or `None` where they can."""
    fine_s, coarse_s = BAR_SECONDS[fine], BAR_SECONDS.get(coarse, 0)
    if coarse_s > fine_s and coarse_s % fine_s == 0:
        return None
    longer = [name for name in TIMEFRAMES if BAR_SECONDS[name] > BAR_SECONDS[fine]]
    return f"{coarse} cannot be made of {fine}; choose one of {', '.join(longer) or 'shorter bars'}"


def coarse_opens(
    timestamp: Stamps, fine: Timeframe, coarse: Timeframe, zone: ZoneInfo, schedule: Schedule | None
) -> Stamps:
    """The open of the longer bar that each bar belongs to.

    Args:
        timestamp: shape (n,), `datetime64[us]`, UTC, increasing.
        fine: the bars' timeframe.
        coarse: the longer timeframe.
        zone: the market's.
        schedule: its sessions, or `None`.

    Returns:
        Shape (n,), `datetime64[us]`, UTC, not decreasing.
    """
    if fine == "1d":
        return _mondays(timestamp, zone)
    by_clock = _clock_opens(timestamp, coarse, zone)
    if schedule is None or not len(schedule.open_s):
        return by_clock
    opens_s = seconds_of(timestamp)
    at = np.searchsorted(schedule.open_s, opens_s, side="right") - 1
    inside = (at >= 0) & (opens_s < schedule.close_s[np.maximum(at, 0)])
    if BAR_SECONDS[coarse] < DAY_S:
        begins_s = schedule.open_s[np.maximum(at, 0)]
        by_session = begins_s + (opens_s - begins_s) // BAR_SECONDS[coarse] * BAR_SECONDS[coarse]
    else:
        by_session = _midnights_s(schedule.day[np.maximum(at, 0)], coarse, zone)
    mixed = np.where(inside, by_session * MICROSECOND, by_clock.view(np.int64))
    # What was traded before a session may not fall behind a bar of it.
    return np.maximum.accumulate(mixed).view("datetime64[us]")


def coarse_ends_s(opens: Stamps, coarse: Timeframe, zone: ZoneInfo) -> Seconds:
    """When bars end by the clock, seconds since 1970: where the next one would begin."""
    opens_s = opens.view(np.int64) // MICROSECOND
    if BAR_SECONDS[coarse] <= BAR_SECONDS["1h"]:
        return opens_s + BAR_SECONDS[coarse]
    local = _local(opens, zone) + np.timedelta64(BAR_SECONDS[coarse], "s")
    return np.maximum(to_utc(local, zone).view(np.int64) // MICROSECOND, opens_s + 1)


def opens_of_sessions_s(schedule: Schedule, coarse: Timeframe, zone: ZoneInfo) -> Seconds:
    """The open of the day or week that each session belongs to, seconds since 1970, not decreasing."""
    return _midnights_s(schedule.day, coarse, zone)


def expected_bars(opens: Stamps, ends_s: Seconds, fine: Timeframe, schedule: Schedule | None) -> Seconds:
    """How many shorter bars longer ones have where none is missing.

    Args:
        opens: of the longer bars, `datetime64[us]`, UTC.
        ends_s: their ends by the clock.
        fine: the shorter timeframe.
        schedule: the market's sessions; `None`: it is always open.
    """
    opens_s = opens.view(np.int64) // MICROSECOND
    open_s: Seconds = ends_s - opens_s
    if schedule is not None and fine == "1d":
        days = (
            schedule.days() * DAY_S + DAY_S // 2
        )  # noon is within the day, whatever midnight the bars go by
        return np.searchsorted(days, ends_s) - np.searchsorted(days, opens_s)
    if schedule is not None:
        open_s = schedule.open_seconds_until(ends_s) - schedule.open_seconds_until(opens_s)
    bars: Seconds = -(-open_s // BAR_SECONDS[fine])
    return bars


def _clock_opens(timestamp: Stamps, coarse: Timeframe, zone: ZoneInfo) -> Stamps:
    local = _local(timestamp, zone)
    local_s = local.view(np.int64) // MICROSECOND
    since_s = _MONDAY_S if coarse == "1w" else 0
    into = (local_s - since_s) % BAR_SECONDS[coarse]
    if BAR_SECONDS[coarse] <= BAR_SECONDS["1h"]:  # by length, as an hour that comes twice is two hours
        begins_s = timestamp.view(np.int64) // MICROSECOND - into
        return (begins_s * MICROSECOND).view("datetime64[us]")
    begins = ((local_s - into) * MICROSECOND).view("datetime64[us]")
    return to_utc(begins, zone)


def _mondays(timestamp: Stamps, zone: ZoneInfo) -> Stamps:
    """For daily bars, the Monday of their week, at their own time of day."""
    days_back = weekdays(market_days(seconds_of(timestamp)))
    local = _local(timestamp, zone).view(np.int64) - days_back * DAY_S * MICROSECOND
    return to_utc(local.view("datetime64[us]"), zone)


def _midnights_s(days: Seconds, coarse: Timeframe, zone: ZoneInfo) -> Seconds:
    if coarse == "1w":
        days = days - (days + 3) % 7  # 1970-01-01 was a Thursday
    return seconds_of(to_utc((days * DAY_S * MICROSECOND).view("datetime64[us]"), zone))


def _local(timestamp: Stamps, zone: ZoneInfo) -> Stamps:
    """Moments as a clock on the wall shows them."""
    shown = pd.DatetimeIndex(timestamp).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    return shown.to_numpy().astype("datetime64[us]", copy=False)
