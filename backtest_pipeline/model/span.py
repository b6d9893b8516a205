"""The stretch of time that a request asks for, as microseconds since 1970 in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.time_zones import known_zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DAY_US = 86_400_000_000
FARTHEST_OFFSET_US = 14 * DAY_US // 24
LONG_AGO_US = -(2**63) + 1
FAR_AHEAD_US = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, both ends included, in microseconds since 1970 (UTC)."""

    first_us: int = LONG_AGO_US
    last_us: int = FAR_AHEAD_US

    def years(self) -> tuple[int, int]:
        """First and last year whose candle file may hold candles of this span.

        A file's year may be the candles' year in UTC or in any time zone, so the neighbour counts as
        well where the span comes within 14 hours of a new year.
        """
        return year_of(self.first_us - FARTHEST_OFFSET_US), year_of(self.last_us + FARTHEST_OFFSET_US)


def span_of(start: date | datetime | None, end: date | datetime | None, zone: ZoneInfo) -> Span:
    """The stretch from `start` to `end`, both included; a date as `end` includes that whole day.

    Values without a zone are local to `zone`. Where clocks are turned back and a local time comes twice,
    the stretch includes both.

    Raises:
        RequestInvalid: a value is neither date nor datetime.
    """
    first_us = LONG_AGO_US if start is None else _microseconds("start", start, time.min, zone, fold=0)
    last_us = FAR_AHEAD_US if end is None else _microseconds("end", end, time.max, zone, fold=1)
    return Span(first_us, last_us)


def _microseconds(field: str, moment: object, time_of_day: time, zone: ZoneInfo, *, fold: int) -> int:
    is_missing = moment != moment  # noqa: PLR0124  as pandas' NaT alone, which is a datetime
    if isinstance(moment, datetime) and not is_missing:
        aware = moment if moment.tzinfo else moment.replace(tzinfo=zone, fold=fold)
    elif isinstance(moment, date) and not is_missing:
        aware = datetime.combine(moment, time_of_day, tzinfo=zone).replace(fold=fold)
    else:
        problem = f"{moment!r} is neither a date nor a datetime; give date(2024, 5, 1) or the like"
        raise RequestInvalid([(field, problem)])
    return (aware - EPOCH) // MICROSECOND


def asked_text(start: date | datetime | None, end: date | datetime | None) -> tuple[str, str]:
    """A stretch as it was asked for, for people."""
    return (start.isoformat() if start else "the first", end.isoformat() if end else "the last")


def zone_of(name: str) -> ZoneInfo:
    """The time zone of this name.

    Raises:
        RequestInvalid: there is none.
    """
    try:
        return known_zone(name)
    except ValueError as error:
        raise RequestInvalid([("timezone", str(error))]) from None


def year_of(moment_us: int) -> int:
    """The year in UTC, limited to 0 to 9999, the years that files are named after."""
    if moment_us < year_start_us(0):
        return 0
    if moment_us >= year_start_us(10_000):
        return 9999
    return int(np.datetime64(moment_us, "us").astype("datetime64[Y]").astype(np.int64)) + 1970


def year_start_us(year: int) -> int:
    """The first microsecond of a year in UTC."""
    return int(np.datetime64(f"{year:04d}-01-01", "us").astype(np.int64))


def moment_of(moment_us: int) -> datetime:
    """The moment as a datetime in UTC."""
    return EPOCH + timedelta(microseconds=int(moment_us))


def moment_text(moment: datetime, zone: ZoneInfo) -> str:
    """A moment in local time for people; midnights are shown as dates."""
    local = moment.astimezone(zone)
    if local.time() == time.min:
        return local.date().isoformat()
    timespec = "minutes" if not (local.second or local.microsecond) else "auto"
    return local.isoformat(timespec=timespec)
