"""Gaps between candles: reported, never refused, because markets close and feeds fail.

Where the market's calendar is known, a gap is what its sessions do not explain:

- `1d` and `1w`: a session, or a week with sessions, that has no candle. A market that is always open may
  miss no day.
- Intraday: a step during which the market was open for a whole bar, but for a pause of the same length at the
  same time on at least a tenth of the days (a closing auction, maintenance).

Elsewhere the market's own pauses are read from the timestamps, see `market_pauses`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.candle_steps import CandleSteps, JudgedSteps, recurring
from backtest_pipeline.model.market_days import market_days, week_numbers, weeks_of_sessions
from backtest_pipeline.model.market_pauses import by_pauses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.model.timeframe import Timeframe

    Seconds = NDArray[np.int64]

MOST_SESSIONS_NAMED = 10


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps of one symbol's candles.

    Attributes:
        count: how many gaps there are.
        largest_from: open time of the last candle before the longest gap, UTC, or `None` without gaps.
        largest_to: open time of the first candle after it.
        largest_bars: about how many bars it lacks: those of the missing sessions where the calendar is
            known; else workdays in a daily market with sessions and, where an intraday market was closed in
            between, by its usual number of bars.
        calendar: the exchange whose sessions were compared with; `None`: the pauses were read from the bars.
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
    steps = CandleSteps.of(timestamp, timeframe)
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
    steps = CandleSteps.of(timestamp, timeframe)
    return steps.at[_judged(steps, schedule, always_open=always_open).gap]


def _judged(steps: CandleSteps, schedule: Schedule | None, *, always_open: bool) -> JudgedSteps:
    none = np.zeros(0, np.int64)
    if not len(steps.at):
        return JudgedSteps(np.zeros(0, np.bool_), np.zeros(0), none)
    judged = _of_always_open(steps) if always_open else by_pauses(steps)
    if schedule is None:
        return judged
    known = schedule.covers(steps.before_s) & schedule.covers(steps.after_s)
    own = _of_sessions(steps, schedule) if steps.timeframe in {"1d", "1w"} else _of_hours(steps, schedule)
    return JudgedSteps(
        np.where(known, own.gap, judged.gap),
        np.where(known, own.missing_bars, judged.missing_bars),
        own.missing_days[:MOST_SESSIONS_NAMED],
    )


def _of_always_open(steps: CandleSteps) -> JudgedSteps:
    by_day = steps.timeframe in {"1d", "1w"}
    gap = steps.length_s > 1.5 * steps.bar_s if by_day else ~recurring(steps)
    return JudgedSteps(gap, steps.missing_bars, np.zeros(0, np.int64))


def _of_sessions(steps: CandleSteps, schedule: Schedule) -> JudgedSteps:
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
    return JudgedSteps(missing > 0, missing, np.concatenate([*lacking, np.zeros(0, np.int64)]))


def _of_hours(steps: CandleSteps, schedule: Schedule) -> JudgedSteps:
    """Intraday candles by the hours of an exchange."""
    ends_s = steps.before_s + steps.bar_s
    open_s = schedule.open_seconds_until(steps.after_s) - schedule.open_seconds_until(ends_s)
    missing = open_s / steps.bar_s
    first = np.searchsorted(steps.timestamp, schedule.open_s * 1_000_000, side="left")
    stop = np.searchsorted(steps.timestamp, schedule.close_s * 1_000_000, side="left")
    begun = schedule.open_s * 1_000_000 > steps.timestamp[0]
    ended = schedule.close_s * 1_000_000 < steps.timestamp[-1]
    without = np.setdiff1d(schedule.day[begun & ended], schedule.day[stop > first])
    return JudgedSteps((missing >= 1) & ~recurring(steps), missing, without)


def _session_days(opens_s: Seconds, sessions: Seconds) -> Seconds:
    """The session that each daily or weekly bar is of: of the days that its open may mean, the best match."""
    days = market_days(opens_s)
    matches = {shift: int(np.isin(days + shift, sessions).sum()) for shift in (0, 1, -1)}
    best: Seconds = days + max(matches, key=lambda shift: matches[shift])
    return best
