"""Gaps between candles: reported, never refused, because markets close and feeds fail.

Where the market's calendar is known, a gap is what its sessions do not explain:

- `1d` and `1w`: a session, or a week with sessions, that has no candle. A market that is always open may
  miss no day.
- Intraday: a step during which the market was open for a whole bar, but for a pause of the same length at the
  same time on at least a tenth of the days (a closing auction, maintenance).

Elsewhere the market's own pauses are read from the timestamps:

- `1d` and `1w`: a market that trades every day (fewer than one step in ten is longer than a day and a
  half) may miss no day; one with sessions may pause for 5 days, and longer over the long holidays of
  `long_holidays`. Weekly candles may be 10 days apart, and 14 where that happens every other year.
- Intraday: a step longer than a bar, but for *closings*: a pause of the same length at the same time on at
  least a tenth of the days (lunch, maintenance, the night); in a market that rests 4 hours or more on
  most days, any pause of at least half its usual night; in one that is closed at most weekends, any pause
  of a day or more. A closing may last as long as that of a daily market.

Half a day is allowed on top of every number of days: clocks change and sessions open late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.long_holidays import longest_closing_days
from backtest_pipeline.model.market_days import (
    DAY_S,
    HOUR_S,
    market_days,
    week_numbers,
    weeks_of_sessions,
)
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.model.timeframe import Timeframe

    Seconds = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]

LONGEST_CLOSING_DAYS = 5
LONGEST_CLOSING_S = LONGEST_CLOSING_DAYS * DAY_S + DAY_S // 2
LONGEST_WEEKLY_STEP_S = 10 * DAY_S + DAY_S // 2
TWO_WEEKS_S = 14 * DAY_S + DAY_S // 2
SHORTEST_NIGHT_S = 4 * HOUR_S
MOST_SESSIONS_NAMED = 10


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps of one symbol's candles.

    Attributes:
        count: how many gaps there are.
        largest_from: open time of the last candle before the longest gap, UTC, or none without gaps.
        largest_to: open time of the first candle after it.
        largest_bars: about how many bars it lacks: those of the missing sessions where the calendar is
            known; else workdays in a daily market with sessions and, where an intraday market was closed in
            between, by its usual number of bars.
        calendar: the exchange whose sessions were compared with; none: the pauses were read from the bars.
        missing_sessions: days of the first sessions that have no candle at all, ISO dates, where the
            calendar is known.
    """

    count: int
    largest_from: datetime | None = None
    largest_to: datetime | None = None
    largest_bars: int = 0
    calendar: str | None = None
    missing_sessions: tuple[str, ...] = ()


def find_gaps(
    timestamp: NDArray[np.datetime64],
    timeframe: Timeframe,
    schedule: Schedule | None = None,
    *,
    always_open: bool = False,
) -> Gaps:
    """Finds the steps between candles that the market's own pauses do not explain.

    Args:
        timestamp: shape (n,), `datetime64[us]`, UTC, strictly increasing.
        timeframe: the candles' timeframe.
        schedule: the exchange's sessions, where they are known.
        always_open: whether the market is known to be always open.
    """
    calendar = schedule.calendar if schedule else None
    steps = _Steps.of(timestamp, timeframe)
    found = _judged(steps, schedule, always_open=always_open)
    if not found.gap.any():
        return Gaps(0, calendar=calendar)
    largest = int(np.argmax(np.where(found.gap, found.missing_bars, -1)))
    return Gaps(
        count=int(found.gap.sum()),
        largest_from=datetime.fromtimestamp(int(steps.before_s[largest]), tz=UTC),
        largest_to=datetime.fromtimestamp(int(steps.after_s[largest]), tz=UTC),
        largest_bars=max(1, round(float(found.missing_bars[largest]))),
        calendar=calendar,
        missing_sessions=tuple(str(np.datetime64(int(day), "D")) for day in found.missing_days),
    )


def gap_steps(
    timestamp: NDArray[np.datetime64],
    timeframe: Timeframe,
    schedule: Schedule | None = None,
    *,
    always_open: bool = False,
) -> Seconds:
    """The bars after which a gap comes, as `find_gaps` finds them: their positions, increasing."""
    steps = _Steps.of(timestamp, timeframe)
    return steps.at[_judged(steps, schedule, always_open=always_open).gap]


@dataclass(frozen=True, eq=False, slots=True)
class _Steps:
    """The steps between candles that are longer than a bar; shape (k,) unless told otherwise.

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
    def of(cls, timestamp: NDArray[np.datetime64], timeframe: Timeframe) -> _Steps:
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
class _Judged:
    """Of each step whether it is a gap and about how many bars it lacks; and sessions without any candle."""

    gap: Flags
    missing_bars: Floats
    missing_days: Seconds


def _judged(steps: _Steps, schedule: Schedule | None, *, always_open: bool) -> _Judged:
    none = np.zeros(0, np.int64)
    if not len(steps.at):
        return _Judged(np.zeros(0, np.bool_), np.zeros(0), none)
    judged = _of_always_open(steps) if always_open else _of_unknown_sessions(steps)
    if schedule is None:
        return judged
    known = schedule.covers(steps.before_s) & schedule.covers(steps.after_s)
    own = _of_sessions(steps, schedule) if steps.timeframe in {"1d", "1w"} else _of_hours(steps, schedule)
    return _Judged(
        np.where(known, own.gap, judged.gap),
        np.where(known, own.missing_bars, judged.missing_bars),
        own.missing_days[:MOST_SESSIONS_NAMED],
    )


def _of_always_open(steps: _Steps) -> _Judged:
    by_day = steps.timeframe in {"1d", "1w"}
    gap = steps.length_s > 1.5 * steps.bar_s if by_day else ~_recurring(steps)
    return _Judged(gap, steps.missing_bars, np.zeros(0, np.int64))


def _of_sessions(steps: _Steps, schedule: Schedule) -> _Judged:
    """Daily and weekly candles by the sessions of an exchange."""
    sessions = schedule.days()
    days = _session_days(steps.timestamp // 1_000_000, sessions)
    places, periods = days, sessions
    if steps.timeframe == "1w":
        places, periods = week_numbers(days), np.unique(weeks_of_sessions(sessions))
    after = np.searchsorted(periods, places[steps.at], side="right")
    until = np.searchsorted(periods, places[steps.at + 1], side="left")
    missing = (until - after).astype(np.float64)
    known = schedule.covers(steps.before_s) & schedule.covers(steps.after_s)
    lacking = [
        sessions[(sessions > days[bar]) & (sessions < days[bar + 1])]
        for bar in steps.at[(missing > 0) & known][:MOST_SESSIONS_NAMED]
    ]
    return _Judged(missing > 0, missing, np.concatenate([*lacking, np.zeros(0, np.int64)]))


def _of_hours(steps: _Steps, schedule: Schedule) -> _Judged:
    """Intraday candles by the hours of an exchange."""
    ends_s = steps.before_s + steps.bar_s
    open_s = schedule.open_seconds_until(steps.after_s) - schedule.open_seconds_until(ends_s)
    missing = open_s / steps.bar_s
    first = np.searchsorted(steps.timestamp, schedule.open_s * 1_000_000, side="left")
    stop = np.searchsorted(steps.timestamp, schedule.close_s * 1_000_000, side="left")
    begun = schedule.open_s * 1_000_000 > steps.timestamp[0]
    ended = schedule.close_s * 1_000_000 < steps.timestamp[-1]
    without = np.setdiff1d(schedule.day[begun & ended], schedule.day[stop > first])
    return _Judged((missing >= 1) & ~_recurring(steps), missing, without)


def _session_days(opens_s: Seconds, sessions: Seconds) -> Seconds:
    """The session that each daily or weekly bar is of: of the days that its open may mean, the best match."""
    days = market_days(opens_s)
    matches = {shift: int(np.isin(days + shift, sessions).sum()) for shift in (0, 1, -1)}
    best: Seconds = days + max(matches, key=lambda shift: matches[shift])
    return best


def _of_unknown_sessions(steps: _Steps) -> _Judged:
    """By the pauses that the timestamps themselves show."""
    missing, no_days = steps.missing_bars, np.zeros(0, np.int64)
    if steps.timeframe == "1w":
        return _Judged(_of_weeks(steps), missing, no_days)
    if steps.timeframe == "1d":
        if _trades_every_day(steps):
            return _Judged(steps.length_s > 1.5 * steps.bar_s, missing, no_days)
        days = market_days(steps.timestamp // 1_000_000)
        before, after = days[steps.at], days[steps.at + 1]
        gap = _too_long(before, after, steps.length_s)
        workdays = np.busday_count((before + 1).astype("datetime64[D]"), after.astype("datetime64[D]"))
        return _Judged(gap, workdays.astype(np.float64), no_days)
    closing = _closings(steps)
    too_long = _too_long(steps.before_s // DAY_S, steps.after_s // DAY_S, steps.length_s)
    gap = ~closing | too_long
    if (gap & closing).any():
        span_s = (steps.timestamp[-1] - steps.timestamp[0]) / 1_000_000 - steps.length_s[gap].sum()
        usual_step_s = span_s / max(len(steps.timestamp) - 1 - np.count_nonzero(gap), 1) or steps.bar_s
        missing[closing] = np.round(steps.length_s[closing] / usual_step_s) - 1
    return _Judged(gap, missing, no_days)


def _too_long(before: Seconds, after: Seconds, length_s: Seconds) -> Flags:
    """Which steps are longer than a market with sessions is ever closed at that time of the year."""
    gap: Flags = length_s > LONGEST_CLOSING_S
    for step in np.flatnonzero(gap):
        longest_days = longest_closing_days(int(before[step]), int(after[step]), LONGEST_CLOSING_DAYS)
        gap[step] = length_s[step] > longest_days * DAY_S + DAY_S // 2
    return gap


def _of_weeks(steps: _Steps) -> Flags:
    """A week without sessions is no gap where the market has one at least every other year."""
    gap: Flags = steps.length_s > LONGEST_WEEKLY_STEP_S
    skipped = gap & (steps.length_s <= TWO_WEEKS_S)
    years = (steps.timestamp[-1] - steps.timestamp[0]) / (365.25 * DAY_S * 1_000_000)
    if skipped.sum() >= max(2.0, years / 2):
        gap &= ~skipped
    return gap


def _trades_every_day(steps: _Steps) -> bool:
    return int((steps.length_s > DAY_S * 1.5).sum()) * 10 < len(steps.timestamp) - 1


def _closings(steps: _Steps) -> Flags:
    """Which steps are pauses of the market itself."""
    closing = _recurring(steps)
    night_s = _usual_night_s(steps)
    if night_s >= max(SHORTEST_NIGHT_S, 1.5 * steps.bar_s):
        closing |= steps.length_s >= night_s / 2
    elif _closes_at_weekends(steps):
        closing |= steps.length_s >= DAY_S
    return closing


def _recurring(steps: _Steps) -> Flags:
    """Which steps are of a length and at a time of day that a tenth of the days and more have."""
    pairs = steps.length_s * DAY_S + steps.before_s % DAY_S
    _, which, times = np.unique(pairs, return_inverse=True, return_counts=True)
    usual: Flags = (times >= 3) & (times * 10 >= steps.days_with_candles())
    return usual[which]


def _usual_night_s(steps: _Steps) -> float:
    """Median over the days of the longest step that ends on the day."""
    day_of_step = steps.after_s // DAY_S
    first_of_day = np.flatnonzero(np.diff(day_of_step, prepend=day_of_step[0] - 1))
    longest = np.maximum.reduceat(steps.length_s, first_of_day)
    others = max(steps.days_with_candles() - len(longest), 0)
    return float(np.median(np.append(longest, np.full(others, steps.bar_s))))


def _closes_at_weekends(steps: _Steps) -> bool:
    weeks = (steps.timestamp[-1] - steps.timestamp[0]) / (7 * DAY_S * 1_000_000)
    rests = int(((steps.length_s >= DAY_S) & (steps.length_s <= LONGEST_CLOSING_S)).sum())
    return rests >= 2 and rests * 2 >= weeks
