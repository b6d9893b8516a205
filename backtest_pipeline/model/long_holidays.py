"""The long holidays for which exchanges close, for markets whose calendar is not known.

Exchanges close for more than a long weekend at the turn of the year, the lunar new year, Easter, Japan's
Golden Week, mid-autumn and China's national day, and the two feasts of the Islamic year. A pause that
contains none of these days is no holiday of that length.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

_EPOCH = date(1970, 1, 1)

# Of the new moon of January 2000, in days since 1970 and in China's time; the mean moon is right to a day.
_A_NEW_MOON = 10_962.93
_MONTH_DAYS = 29.530588861
_MOON_DAYS_OFF = 2


def longest_closing_days(before: int, after: int, usual_days: int) -> int:
    """How long a market with sessions may be closed between two bars, given what lies between them.

    Args:
        before: day of the bar before the pause, since 1970.
        after: day of the bar after it.
        usual_days: the longest closing at any time of the year.
    """
    years = range((_EPOCH + timedelta(days=before)).year, (_EPOCH + timedelta(days=after)).year + 1)
    contained = (
        longest
        for year in years
        for day, days_off, longest in _holidays(year)
        if before < day + days_off and day - days_off < after
    )
    return max(contained, default=usual_days)


def _holidays(year: int) -> Iterator[tuple[int, int, int]]:
    """A year's holidays: the day, by how many it may be off, and the longest step from bar to bar over it."""
    for month, day in ((1, 1), (12, 25)):
        yield _number(date(year, month, day)), 0, 12
    yield _new_moon_from(date(year, 1, 21)), _MOON_DAYS_OFF, 14
    yield _western_easter(year), 0, 6
    yield _orthodox_easter(year), 0, 6
    yield _number(date(year, 5, 4)), 1, 11
    yield _new_moon_from(date(year, 8, 25)) + 14, _MOON_DAYS_OFF, 11
    yield _number(date(year, 10, 1)), 1, 11
    for month, day in ((10, 1), (12, 10)):
        for islamic_year in _islamic_years(year):
            yield _islamic(islamic_year, month, day), _MOON_DAYS_OFF, 12


def _number(day: date) -> int:
    return (day - _EPOCH).days


def _western_easter(year: int) -> int:
    """Easter Sunday by the Gregorian calendar; Meeus, "Astronomical Algorithms" (1991), chapter 8."""
    century, of_century = divmod(year, 100)
    golden = year % 19
    epact = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (of_century // 4) - epact - of_century % 4) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return _number(date(year, month, day + 1))


def _orthodox_easter(year: int) -> int:
    """Easter Sunday by the Julian calendar, as a Gregorian date of 1900 to 2099; Meeus, likewise."""
    full_moon = (19 * (year % 19) + 15) % 30
    weekday = (2 * (year % 4) + 4 * (year % 7) - full_moon + 34) % 7
    month, day = divmod(full_moon + weekday + 114, 31)
    return _number(date(year, month, day + 1)) + 13


def _new_moon_from(day: date) -> int:
    """The first new moon on a day or after it."""
    months = -(-(_number(day) - _A_NEW_MOON) // _MONTH_DAYS)
    return int(_A_NEW_MOON + months * _MONTH_DAYS)


def _islamic_years(year: int) -> range:
    """The Islamic years that begin or end in a year; they have 354 days."""
    first = (year - 622) * 33 // 32 - 1
    return range(first, first + 3)


def _islamic(year: int, month: int, day: int) -> int:
    """A day of the tabular Islamic calendar; the moon that is seen may differ by a day or two."""
    days = (11 * year + 3) // 30 + 354 * year + 30 * month - (month - 1) // 2 + day - 385
    return days + 1_948_440 - 2_440_588
