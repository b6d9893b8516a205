"""Lengths of windows of time: so many bars, or a stretch of the calendar."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backtest_pipeline.model.plain_data import shortened
from backtest_pipeline.quick_imports import ImportedWhenUsed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = ImportedWhenUsed("numpy")

HOUR_US = 3_600_000_000
MOST_BARS, MOST_YEARS = 1_000_000_000, 1_000
_TEXT = re.compile(r"(\d{1,9}) ?([a-zA-Z]*)")
_MONTHS = {"y": 12, "mo": 1}
_HOURS = {"w": 7 * 24, "d": 24, "h": 1}
_HELP = "write a number of bars, as 500, or a span, as 2y, 6mo, 8w, 90d or 12h"


@dataclass(frozen=True, slots=True)
class CalendarSpan:
    """A stretch of the calendar in UTC.

    Attributes:
        text: as it was written, without spaces.
        months: whole months, twelve to a year.
        hours: whole hours; a day has 24.
    """

    text: str
    months: int = 0
    hours: int = 0

    def after(self, moment: np.datetime64, times: int = 1) -> np.datetime64:
        """The moment that lies this often this span later, or before it where `times` is negative.

        A day that a month lacks is its last one: a month after 31 January is 28 or 29 February, and two
        months after it 31 March.
        """
        exact: np.datetime64 = moment.astype("datetime64[us]")
        if self.months:
            month = exact.astype("datetime64[M]")
            day, target = exact.astype("datetime64[D]"), month + np.timedelta64(self.months * times, "M")
            days = (target + np.timedelta64(1, "M")).astype("datetime64[D]") - target.astype("datetime64[D]")
            place = min(day - month.astype("datetime64[D]"), days - np.timedelta64(1, "D"))
            exact = (target.astype("datetime64[D]") + place).astype("datetime64[us]") + (exact - day)
        later: np.datetime64 = exact + np.timedelta64(self.hours * HOUR_US * times, "us")
        return later


Window = int | CalendarSpan


def window_of(value: object) -> Window:
    """A window as it is written: a number of bars, or a text such as `2y`, `6mo`, `8w`, `90d`, `12h`.

    Raises:
        ValueError: it is none of these, or of no length.
    """
    found = _TEXT.fullmatch(str(value).strip())
    if isinstance(value, bool) or not isinstance(value, int | str) or found is None:
        raise ValueError(f"{_HELP}, not {shortened(value)}")
    count, unit = int(found[1]), found[2].lower()
    if count == 0:
        raise ValueError("a window has at least one bar")
    if not unit:
        if count > MOST_BARS:
            raise ValueError(f"at most {MOST_BARS:,} bars, not {count:,}")
        return count
    if unit not in {*_MONTHS, *_HOURS}:
        meant = "; a month is written mo" if unit == "m" else ""
        raise ValueError(f"{_HELP}, not {shortened(value)}{meant}")
    months, hours = count * _MONTHS.get(unit, 0), count * _HOURS.get(unit, 0)
    if months > 12 * MOST_YEARS or hours > 366 * 24 * MOST_YEARS:
        raise ValueError(f"at most {MOST_YEARS:,} years, not {value}")
    return CalendarSpan(f"{count}{unit}", months, hours)


def written_window(value: object) -> int | str:
    """A window as requests keep it: the number of bars, or the span's text.

    Raises:
        ValueError: as `window_of`.
    """
    window = window_of(value)
    return window if isinstance(window, int) else window.text


def first_at_or_after(moments: NDArray[np.datetime64], moment: np.datetime64) -> int:
    """The place of the first of rising moments that is not before another; their number where all are."""
    return int(np.searchsorted(moments, moment, side="left"))
