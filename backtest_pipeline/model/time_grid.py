"""Whether opens lie on the grid of their timeframe, in the market's own time.

- **Spacing.** Bars may be missing, but what there is must look like bars of this length: most steps are not
  shorter than a bar, and not all of them are multiples of something longer, which an illiquid symbol with
  missing minutes would not show (see `_much_longer`).
- **Grid.** Daily bars open at one time of day and weekly bars on one weekday as well, in some market's time:
  clocks that change move them by an hour in UTC. Shorter bars open at one distance from the hour (or the four
  hours); a market with several sessions has one for each of them.
- **Steps.** No bar opens before the one in front of it has ended; where clocks change, four hours, a day and
  a week may be an hour short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from backtest_pipeline.model.candle_rules import moment_label
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.timeframe import Timeframe

    Stamps = NDArray[np.datetime64]
    Micros = NDArray[np.int64]
    Rows = NDArray[np.int64]

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
MONDAY_US = 4 * DAY_US  # 1970-01-05
# Every rule for changing clocks that a market with daily bars has had since 1970.
MARKET_ZONES = (
    "UTC",
    "America/New_York",
    "Europe/London",
    "Europe/Berlin",
    "Asia/Seoul",
    "Asia/Tokyo",
    "Asia/Shanghai",
    "Asia/Hong_Kong",
    "Asia/Taipei",
    "Asia/Singapore",
    "Asia/Kolkata",
    "Australia/Sydney",
    "Pacific/Auckland",
    "Europe/Moscow",
    "Europe/Istanbul",
    "Asia/Jerusalem",
    "Africa/Cairo",
    "Africa/Johannesburg",
    "America/Sao_Paulo",
    "America/Santiago",
    "America/Mexico_City",
    "America/Buenos_Aires",
)
# Logarithms of how unlikely it is that an illiquid symbol looks so by chance.
EVIDENCE_OF_MULTIPLES = float(np.log(1_000_000))
EVIDENCE_OF_ONE_LENGTH = float(np.log(1_000))
EVIDENCE_OF_DISTANCE = 12.0
ADVICE = "leave out a bar that is still in progress, and give open times, not close times"


@dataclass(frozen=True, slots=True)
class GridFault:
    """What is wrong with a series of opens.

    Attributes:
        problem: for the message.
        row: position of the first open at fault, or `None` where it is the whole series.
    """

    problem: str
    row: int | None = None


def grid_fault(timestamp: Stamps, timeframe: Timeframe, zone: ZoneInfo | None = None) -> GridFault | None:
    """Finds what keeps the opens from being those of this timeframe; `None` where all is well.

    Args:
        timestamp: shape (n,), `datetime64[us]`, UTC, strictly increasing.
        timeframe: the candles' timeframe.
        zone: the market's, where it is known; `None`: read from the bars.
    """
    return spacing_fault(timestamp, timeframe) or off_grid(timestamp, timeframe, zone)


def spacing_fault(timestamp: Stamps, timeframe: Timeframe) -> GridFault | None:
    """Finds out whether these are bars of another length."""
    bar_s = BAR_SECONDS[timeframe]
    steps_s = np.diff(timestamp).astype("timedelta64[s]").astype(np.int64)
    if not len(steps_s):
        return None
    if np.median(steps_s) * 2 <= bar_s:
        problem = f"these are not {timeframe} candles: most are {np.median(steps_s):g} s apart"
        return GridFault(f"{problem}, not {bar_s} s")
    if bar_s >= BAR_SECONDS["1d"]:
        steps_s = (steps_s + bar_s // 2) // bar_s * bar_s  # clocks change
    lengths_s, counts = np.unique(steps_s, return_counts=True)
    if _much_longer(lengths_s / bar_s, counts, int(np.gcd.reduce(lengths_s)) / bar_s):
        usual_s = int(lengths_s[np.argmax(counts)])
        problem = f"these are not {timeframe} candles: bars are {_span(usual_s * SECOND_US)} apart"
        return GridFault(f"{problem}; import them with the timeframe that they have")
    return None


def off_grid(timestamp: Stamps, timeframe: Timeframe, zone: ZoneInfo | None = None) -> GridFault | None:
    """Finds the first open that does not lie on the grid of the others."""
    timestamp = timestamp.astype("datetime64[us]")
    opens_us = timestamp.view(np.int64)
    if not len(opens_us):
        return None
    if (opens_us % MINUTE_US >= 59 * SECOND_US).all():
        shown = moment_label(timestamp[0])
        return GridFault(f"{shown} looks like a close time; name the column of open times", 0)
    strays = _strays(timestamp, timeframe, zone)
    shortest_us = BAR_SECONDS[timeframe] * SECOND_US
    if BAR_SECONDS[timeframe] >= BAR_SECONDS["4h"]:
        shortest_us -= HOUR_US
    early = np.flatnonzero(np.diff(opens_us) < shortest_us) + 1
    faulty = [int(rows[0]) for rows in (strays, early) if len(rows)]
    if not faulty:
        return None
    row = min(faulty)
    shown = f"the bar at {moment_label(timestamp[row])}"
    if row:
        shown += f" opens {_span(int(opens_us[row] - opens_us[row - 1]))} after the one before and"
    is_not = "is too early for" if not len(strays) or row != strays[0] else "is not on"
    return GridFault(f"{shown} {is_not} the {timeframe} grid of the others; {ADVICE}", row)


def _much_longer(lengths: NDArray[np.float64], counts: NDArray[np.int64], divisor: float) -> bool:
    """Whether the steps, in bars, are those of longer bars rather than of bars that are missing by chance.

    Any of three signs is enough. An illiquid symbol would show each by chance once in a thousand files at
    most: all steps are multiples of one length, which is the greater a surprise the longer it and the more
    there are; at least half of them are of one length of more than a bar; none is as short as a bar though
    there are many.
    """
    steps = int(counts.sum())
    usual = int(np.argmax(counts))
    mean = float((lengths * counts).sum()) / steps
    multiples = (steps - 1) * np.log(max(divisor, 1)) >= EVIDENCE_OF_MULTIPLES
    one_length = lengths[usual] >= 1.5 and counts[usual] * 2 >= steps
    one_length &= (counts[usual] - 1) * np.log(lengths[usual]) >= EVIDENCE_OF_ONE_LENGTH
    none_as_short = lengths[0] >= 2 and (lengths[0] - 1) * steps / mean >= EVIDENCE_OF_DISTANCE
    return bool(multiples or one_length or none_as_short)


def _strays(timestamp: Stamps, timeframe: Timeframe, zone: ZoneInfo | None) -> Rows:
    """Rows whose open is not at the others' time, in the zone in which most agree."""
    if BAR_SECONDS[timeframe] <= BAR_SECONDS["1h"]:
        return _strays_from_usual(timestamp.view(np.int64), timeframe)[0]  # clocks change by whole hours
    moments = pd.DatetimeIndex(timestamp).tz_localize("UTC")
    fewest: Rows | None = None
    for name in (zone.key, "UTC") if zone else MARKET_ZONES:
        local = moments.tz_convert(name).tz_localize(None).as_unit("us")
        strays, early_us = _strays_from_usual(local.to_numpy().view(np.int64), timeframe)
        if len(strays):
            # An open at an hour that was skipped when clocks changed is the first moment after it.
            meant = (local[strays] - pd.to_timedelta(early_us, unit="us")).tz_localize(
                name, nonexistent="shift_forward", ambiguous=np.ones(len(strays), dtype=np.bool_)
            )
            strays = strays[np.asarray(meant != moments[strays])]
        if not len(strays):
            return strays
        if fewest is None or len(strays) < len(fewest):
            fewest = strays
    return np.empty(0, np.int64) if fewest is None else fewest


def _strays_from_usual(local_us: Micros, timeframe: Timeframe) -> tuple[Rows, Micros]:
    """Rows that open at an unusual time, and how much later than the usual one."""
    bar_us = BAR_SECONDS[timeframe] * SECOND_US
    phases, first_rows, which, counts = np.unique(
        (local_us - MONDAY_US) % bar_us, return_index=True, return_inverse=True, return_counts=True
    )
    usual = min(range(len(phases)), key=lambda at: (-counts[at], first_rows[at]))
    late_us = (phases - phases[usual] + bar_us // 2) % bar_us - bar_us // 2
    regular = late_us == 0
    if timeframe == "1d":  # some exchanges open an hour late on a few days a year
        few = (counts >= 2) & (counts * 20 <= counts[usual])
        regular |= few & (np.abs(late_us) <= HOUR_US) & (phases % (5 * MINUTE_US) == 0)
    elif timeframe != "1w":  # a session after lunch
        regular |= ((counts >= 2) | (counts[usual] < 3)) & (phases % (5 * MINUTE_US) == 0)
    if len(local_us) > 1:
        regular &= phases % MINUTE_US == 0
    rows = np.flatnonzero(~regular[which])
    return rows, late_us[which[rows]]


def _span(span_us: int) -> str:
    """A length of time for people: `13 h 12 min`, `1 day`, `90 s`."""
    if span_us < 2 * MINUTE_US:
        return f"{span_us / SECOND_US:g} s"
    days, rest_us = divmod(span_us, DAY_US)
    hours, rest_us = divmod(rest_us, HOUR_US)
    parts = ((days, "day" if days == 1 else "days"), (hours, "h"), (rest_us // MINUTE_US, "min"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
