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
    seconds_of,
    week_numbers,
    weeks_of_sessions,
)
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.model.timeframe import Timeframe

    Seconds = NDArray[np.int64]
    Steps = NDArray[np.bool_]

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
    opens_s = seconds_of(timestamp)
    calendar = schedule.calendar if schedule else None
    found = _Steps.of(opens_s, timeframe, schedule, always_open=always_open)
    if not found.gap.any():
        return Gaps(0, calendar=calendar)
    largest = int(np.argmax(np.where(found.gap, found.missing_bars, -1)))
    before_s, after_s = int(opens_s[largest]), int(opens_s[largest + 1])
    return Gaps(
        count=int(found.gap.sum()),
        largest_from=datetime.fromtimestamp(before_s, tz=UTC),
        largest_to=datetime.fromtimestamp(after_s, tz=UTC),
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
) -> Steps:
    """Which steps from one candle to the next are gaps; as `find_gaps`, of shape (n - 1,)."""
    return _Steps.of(seconds_of(timestamp), timeframe, schedule, always_open=always_open).gap


@dataclass(frozen=True, eq=False, slots=True)
class _Steps:
    """The steps between candles: which are gaps, about how many bars each lacks, and sessions without any."""

    gap: Steps
    missing_bars: NDArray[np.float64]
    missing_days: Seconds

    @classmethod
    def of(
        cls, opens_s: Seconds, timeframe: Timeframe, schedule: Schedule | None, *, always_open: bool
    ) -> _Steps:
        if len(opens_s) < 2:
            return cls(np.zeros(0, np.bool_), np.zeros(0), np.zeros(0, np.int64))
        bar_s = BAR_SECONDS[timeframe]
        steps_s = np.diff(opens_s)
        if (steps_s <= bar_s).all():
            return cls(np.zeros(len(steps_s), np.bool_), np.zeros(len(steps_s)), np.zeros(0, np.int64))
        if always_open:
            gap, missing = _of_always_open(opens_s, steps_s, timeframe)
        else:
            gap, missing = _of_unknown_sessions(opens_s, steps_s, timeframe)
        missing_days = np.zeros(0, np.int64)
        if schedule is not None:
            known, known_gap, known_missing, missing_days = _of_schedule(
                opens_s, steps_s, timeframe, schedule
            )
            gap, missing = np.where(known, known_gap, gap), np.where(known, known_missing, missing)
        return cls(gap, missing, missing_days[:MOST_SESSIONS_NAMED])


def _of_always_open(
    opens_s: Seconds, steps_s: Seconds, timeframe: Timeframe
) -> tuple[Steps, NDArray[np.float64]]:
    bar_s = BAR_SECONDS[timeframe]
    missing = np.round(steps_s / bar_s) - 1
    if timeframe in {"1d", "1w"}:
        return steps_s > 1.5 * bar_s, missing
    at = np.flatnonzero(steps_s > bar_s)
    gap = steps_s > bar_s
    gap[at[_recurring(opens_s, steps_s, at)]] = False
    return gap, missing


def _of_schedule(
    opens_s: Seconds, steps_s: Seconds, timeframe: Timeframe, schedule: Schedule
) -> tuple[Steps, Steps, NDArray[np.float64], Seconds]:
    """By the sessions of an exchange.

    Returns:
        Which steps the schedule covers, which of them are gaps, how many bars each lacks, and the sessions
        without any candle.
    """
    sessions = schedule.days()
    inside = schedule.covers(opens_s)
    known = inside[:-1] & inside[1:]
    if timeframe in {"1d", "1w"}:
        days = _session_days(opens_s, sessions)
        places, periods = days, sessions
        if timeframe == "1w":
            places, periods = week_numbers(days), np.unique(weeks_of_sessions(sessions))
        first_after = np.searchsorted(periods, places, side="right")
        missing = (np.searchsorted(periods, places[1:], side="left") - first_after[:-1]).astype(np.float64)
        gap = missing > 0
        lacking = [
            sessions[(sessions > days[step]) & (sessions < days[step + 1])]
            for step in np.flatnonzero(gap & known)[:MOST_SESSIONS_NAMED]
        ]
        return known, gap, missing, np.concatenate([*lacking, np.zeros(0, np.int64)])
    bar_s = BAR_SECONDS[timeframe]
    at = np.flatnonzero((steps_s > bar_s) & known)
    open_s = schedule.open_seconds_until(opens_s[at + 1]) - schedule.open_seconds_until(opens_s[at] + bar_s)
    missing = np.zeros(len(steps_s))
    missing[at] = open_s / bar_s
    gap = missing >= 1
    gap[at[_recurring(opens_s, steps_s, at)]] = False
    first = np.searchsorted(opens_s, schedule.open_s, side="left")
    last = np.searchsorted(opens_s, schedule.close_s, side="left")
    seen = np.unique(schedule.day[last > first])
    span = schedule.day[(schedule.open_s > opens_s[0]) & (schedule.close_s < opens_s[-1])]
    return known, gap, missing, np.setdiff1d(span, seen)


def _session_days(opens_s: Seconds, sessions: Seconds) -> Seconds:
    """The session that each daily or weekly bar is of: of the days that its open may mean, the best match."""
    days = market_days(opens_s)
    matches = {shift: int(np.isin(days + shift, sessions).sum()) for shift in (0, 1, -1)}
    best: Seconds = days + max(matches, key=lambda shift: matches[shift])
    return best


def _of_unknown_sessions(
    opens_s: Seconds, steps_s: Seconds, timeframe: Timeframe
) -> tuple[Steps, NDArray[np.float64]]:
    """By the pauses that the timestamps themselves show."""
    bar_s = BAR_SECONDS[timeframe]
    missing = np.round(steps_s / bar_s) - 1
    if timeframe == "1w":
        return _of_weeks(opens_s, steps_s), missing
    if timeframe == "1d":
        if _trades_every_day(steps_s):
            return steps_s > bar_s * 1.5, missing
        days = market_days(opens_s)
        gap = _too_long(days, steps_s)
        for step in np.flatnonzero(gap):
            missing[step] = np.busday_count(*(days[[step, step + 1]] + [1, 0]).astype("datetime64[D]"))
        return gap, missing
    closing = _closings(opens_s, steps_s, bar_s)
    gap = (steps_s > bar_s) & ~closing
    gap |= closing & _too_long(opens_s // DAY_S, steps_s)
    if (gap & closing).any():
        usual_step_s = steps_s[~gap].mean() if not gap.all() else bar_s
        missing[closing] = np.round(steps_s[closing] / usual_step_s) - 1
    return gap, missing


def _too_long(days: Seconds, steps_s: Seconds) -> Steps:
    """Which steps are longer than a market with sessions is ever closed at that time of the year."""
    gap: Steps = steps_s > LONGEST_CLOSING_S
    for step in np.flatnonzero(gap):
        longest_days = longest_closing_days(int(days[step]), int(days[step + 1]), LONGEST_CLOSING_DAYS)
        gap[step] = steps_s[step] > longest_days * DAY_S + DAY_S // 2
    return gap


def _of_weeks(opens_s: Seconds, steps_s: Seconds) -> Steps:
    """A week without sessions is no gap where the market has one at least every other year."""
    gap: Steps = steps_s > LONGEST_WEEKLY_STEP_S
    skipped = gap & (steps_s <= TWO_WEEKS_S)
    years = (opens_s[-1] - opens_s[0]) / (365.25 * DAY_S)
    if skipped.sum() >= max(2.0, years / 2):
        gap &= ~skipped
    return gap


def _trades_every_day(steps_s: Seconds) -> bool:
    return int((steps_s > DAY_S * 1.5).sum()) * 10 < len(steps_s)


def _closings(opens_s: Seconds, steps_s: Seconds, bar_s: int) -> NDArray[np.bool_]:
    """Which steps are pauses of the market itself."""
    at = np.flatnonzero(steps_s > bar_s)
    closing = np.zeros(len(steps_s), dtype=np.bool_)
    if not len(at):
        return closing
    pauses_s = steps_s[at]
    closing[at] = _recurring(opens_s, steps_s, at)

    night_s = _usual_night_s(opens_s, steps_s)
    if night_s >= max(SHORTEST_NIGHT_S, 1.5 * bar_s):
        closing[at] |= pauses_s >= night_s / 2
    elif _closes_at_weekends(opens_s, steps_s):
        closing[at] |= pauses_s >= DAY_S
    return closing


def _recurring(opens_s: Seconds, steps_s: Seconds, at: Seconds) -> NDArray[np.bool_]:
    """Which of some steps are of a length and at a time that a tenth of the days and more have."""
    if not len(at):
        return np.zeros(0, np.bool_)
    days = 1 + np.count_nonzero(np.diff(opens_s // DAY_S))
    pairs = steps_s[at] * DAY_S + opens_s[at] % DAY_S
    _, which, times = np.unique(pairs, return_inverse=True, return_counts=True)
    usual: NDArray[np.bool_] = (times >= 3) & (times * 10 >= days)
    return usual[which]


def _usual_night_s(opens_s: Seconds, steps_s: Seconds) -> float:
    """Median over the days of the longest step that ends on the day."""
    day_of_step = opens_s[1:] // DAY_S
    first_of_day = np.flatnonzero(np.diff(day_of_step, prepend=day_of_step[0] - 1))
    return float(np.median(np.maximum.reduceat(steps_s, first_of_day)))


def _closes_at_weekends(opens_s: Seconds, steps_s: Seconds) -> bool:
    weeks = (opens_s[-1] - opens_s[0]) / (7 * DAY_S)
    rests = int(((steps_s >= DAY_S) & (steps_s <= LONGEST_CLOSING_S)).sum())
    return rests >= 2 and rests * 2 >= weeks
