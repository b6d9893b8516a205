"""How many bars make a year: by the calendar that is asked for or recorded, else as the bars show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.exchanges import ALWAYS_OPEN, AUTO
from backtest_pipeline.model.market import CalendarUsed
from backtest_pipeline.model.market_days import DAY_S, trading_week
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.market import Source
    from backtest_pipeline.model.timeframe import Timeframe

    Moments = NDArray[np.datetime64]

SESSIONS_PER_YEAR = 252
DAYS_PER_YEAR = 365
WEEKS_PER_YEAR = 52

MOST_DAYS_LOOKED_AT = 256
REGULAR_SHARE = 0.4


@dataclass(frozen=True, slots=True)
class Calendar:
    """When a market has bars.

    Attributes:
        name: `24/7`, an exchange's MIC, or `None` for an exchange that the bars do not name.
        source: whether it was requested, recorded, read from the bars, or assumed.
        always_open: whether the market trades on all days.
        periods_per_year: bars a year, by which returns are annualised. A weekly bar: 52. A daily bar: 365
            where the market is always open, otherwise 252. A shorter bar: that many days times the bars of a
            whole session.
        contradicted: whether the bars clearly show another week than the calendar that was given.
    """

    name: str | None
    source: Source
    always_open: bool
    periods_per_year: float
    contradicted: bool = False

    def used(self, note: str = "") -> CalendarUsed:
        """The calendar as a manifest records it."""
        return CalendarUsed(
            calendar=self.name, source=self.source, periods_per_year=self.periods_per_year, note=note
        )


def calendar_of(candles: Candles, requested: str = AUTO) -> Calendar:
    """The calendar of a symbol: as requested, else as recorded, else as its bars show.

    Args:
        candles: at least one bar.
        requested: `auto`, `24/7` or an exchange's MIC.
    """
    if requested != AUTO:
        return told_calendar(requested, "requested", candles.timestamp, candles.timeframe)
    if candles.record is not None:
        return told_calendar(candles.record.calendar, "recorded", candles.timestamp, candles.timeframe)
    return read_calendar(candles.timestamp, candles.timeframe)


def told_calendar(name: str, source: Source, timestamp: Moments, timeframe: Timeframe) -> Calendar:
    """A calendar by its name; the bars show only how many of them a session has."""
    always_open = name == ALWAYS_OPEN
    week, decided = trading_week(timestamp, timeframe)
    contradicted = decided and always_open != (week == "all days")
    return Calendar(name, source, always_open, _periods(always_open, timestamp, timeframe), contradicted)


def read_calendar(timestamp: Moments, timeframe: Timeframe) -> Calendar:
    """Reads the calendar from the bars.

    Args:
        timestamp: shape (n,), `datetime64[us]`, UTC, increasing, not empty.
        timeframe: length of a bar.
    """
    week, decided = trading_week(timestamp, timeframe)
    always_open = week == "all days"
    source: Source = "read" if decided or timeframe == "1w" else "assumed"
    name = ALWAYS_OPEN if always_open else None
    return Calendar(name, source, always_open, _periods(always_open, timestamp, timeframe))


def account_calendar(
    calendars: Mapping[str, Calendar], timestamp: Moments, timeframe: Timeframe
) -> tuple[Calendar, str]:
    """The calendar of the curve that several symbols make together.

    Where any of them trades on all days, so does the account; otherwise it has the sessions of an exchange.
    The bars of a session are those of the joint curve.

    Args:
        calendars: each symbol's, at least one.
        timestamp: shape (n,), the joint curve's moments.
        timeframe: length of a bar.

    Returns:
        The calendar, and a note where the symbols have different ones.
    """
    own = list(calendars.values())
    if len(own) == 1:
        return own[0], ""
    names = list(dict.fromkeys(one.name or "an exchange" for one in own))
    sources = [one.source for one in own]
    source: Source = next(
        (weakest for weakest in ("assumed", "read", "recorded") if weakest in sources), "requested"
    )
    always_open = any(one.always_open for one in own)
    name = own[0].name if len(names) == 1 else (ALWAYS_OPEN if always_open else None)
    periods = _periods(always_open, timestamp, timeframe)
    if len(names) == 1:
        return Calendar(name, source, always_open, periods), ""
    rule = "all days, as one of the symbols trades on all" if always_open else "252 sessions a year"
    return Calendar(name, source, always_open, periods), f"symbols of {', '.join(names)} together: {rule}"


def _periods(always_open: bool, timestamp: Moments, timeframe: Timeframe) -> float:
    if timeframe == "1w":
        return float(WEEKS_PER_YEAR)
    bar_s = BAR_SECONDS[timeframe]
    if always_open:
        return float(DAYS_PER_YEAR * (DAY_S // bar_s))
    if timeframe == "1d":
        return float(SESSIONS_PER_YEAR)
    return float(SESSIONS_PER_YEAR * bars_of_session(timestamp, bar_s))


def bars_of_session(timestamp: Moments, bar_s: int) -> int:
    """Bars of a whole session, as the bars themselves show it: with lunch breaks and without half days.

    A time of day belongs to the session where two fifths as many days have a bar at it as at the session's
    usual times, which holes do not change. As clocks change, a session that keeps its local time has more
    times of day in UTC than bars on any day, so the fullest day limits it.

    Args:
        timestamp: shape (n,), `datetime64[us]`, UTC, increasing, not empty.
        bar_s: length of a bar, at most a day.
    """
    moments, day_us = timestamp.view(np.int64), DAY_S * 1_000_000
    first, last = int(moments[0]) // day_us, int(moments[-1]) // day_us
    edges = np.searchsorted(moments, np.arange(first, last + 2) * day_us)
    counts = np.diff(edges)
    with_bars = np.flatnonzero(counts)
    looked_at = with_bars[np.unique(np.linspace(0, len(with_bars) - 1, MOST_DAYS_LOOKED_AT).astype(np.int64))]
    bars = np.concatenate([moments[edges[day] : edges[day + 1]] for day in looked_at])
    slots = bars % day_us // (bar_s * 1_000_000)
    days_with = np.bincount(slots)
    usual = np.median(days_with[slots])
    return int(min(np.count_nonzero(days_with >= REGULAR_SHARE * usual), counts.max()))
