"""Gaps between candles: reported, never refused, because markets close and feeds fail.

A step between two candles is a gap when it is longer than the market's own pauses explain. Those are read
from the timestamps, without an exchange calendar:

- `1d` and `1w`: a market that trades every day (fewer than one step in ten is longer than a day and a
  half) may miss no day; one with sessions may pause for 4 days, which spans weekends with a holiday on
  either side. Weekly candles may be 10 days apart.
- Intraday: a step longer than a bar, but for *closings*: a pause of the same length at the same time on at
  least a tenth of the days (lunch, maintenance, the night); in a market that rests 4 hours or more on
  most days, any pause of at least half its usual night; in one that is closed at most weekends, any pause
  of a day or more. A closing of more than 4 days is a gap.

Half a day is allowed on top of every number of days: clocks change and sessions open late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.timeframe import Timeframe

    Seconds = NDArray[np.int64]

HOUR_S = 3_600
DAY_S = 24 * HOUR_S
LONGEST_CLOSING_S = 4 * DAY_S + DAY_S // 2
LONGEST_WEEKLY_STEP_S = 10 * DAY_S + DAY_S // 2
SHORTEST_NIGHT_S = 4 * HOUR_S


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps of one symbol's candles.

    Attributes:
        count: how many gaps there are.
        largest_from: open time of the last candle before the longest gap, UTC, or none without gaps.
        largest_to: open time of the first candle after it.
        largest_bars: about how many bars it lacks: workdays in a daily market with sessions; where an
            intraday market was closed in between, by its usual number of bars.
    """

    count: int
    largest_from: datetime | None = None
    largest_to: datetime | None = None
    largest_bars: int = 0


def find_gaps(timestamp: NDArray[np.datetime64], timeframe: Timeframe) -> Gaps:
    """Finds the steps between candles that the market's own pauses do not explain.

    Args:
        timestamp: shape (n,), `datetime64[us]`, UTC, strictly increasing.
        timeframe: the candles' timeframe.
    """
    opens_s = timestamp.astype("datetime64[s]").astype(np.int64)
    steps_s = np.diff(opens_s)
    bar_s = BAR_SECONDS[timeframe]
    closing = np.zeros(len(steps_s), dtype=np.bool_)
    if timeframe == "1w":
        gap = steps_s > LONGEST_WEEKLY_STEP_S
    elif timeframe == "1d":
        if _trades_every_day(steps_s):
            gap = steps_s > bar_s * 1.5
        else:
            gap = steps_s > LONGEST_CLOSING_S
            closing = gap
    else:
        closing = _closings(opens_s, steps_s, bar_s)
        gap = (steps_s > bar_s) & (~closing | (steps_s > LONGEST_CLOSING_S))
    if not gap.any():
        return Gaps(0)
    largest = int(np.argmax(np.where(gap, steps_s, 0)))
    before_s, after_s = int(opens_s[largest]), int(opens_s[largest + 1])
    if not closing[largest]:
        bars = round((after_s - before_s) / bar_s) - 1
    elif timeframe == "1d":
        bars = _workdays_between(before_s, after_s)
    else:
        usual_step_s = steps_s[~gap].mean() if not gap.all() else bar_s
        bars = round((after_s - before_s) / usual_step_s) - 1
    return Gaps(
        count=int(gap.sum()),
        largest_from=datetime.fromtimestamp(before_s, tz=UTC),
        largest_to=datetime.fromtimestamp(after_s, tz=UTC),
        largest_bars=max(1, bars),
    )


def _workdays_between(before_s: int, after_s: int) -> int:
    """Workdays strictly between two candles; their midnights are local, so the nearest UTC day counts."""
    before, after = (
        np.datetime64(moment_s + DAY_S // 2, "s").astype("datetime64[D]") for moment_s in (before_s, after_s)
    )
    return int(np.busday_count(before + np.timedelta64(1, "D"), after))


def _trades_every_day(steps_s: Seconds) -> bool:
    return int((steps_s > DAY_S * 1.5).sum()) * 10 < len(steps_s)


def _closings(opens_s: Seconds, steps_s: Seconds, bar_s: int) -> NDArray[np.bool_]:
    """Which steps are pauses of the market itself."""
    at = np.flatnonzero(steps_s > bar_s)
    closing = np.zeros(len(steps_s), dtype=np.bool_)
    if not len(at):
        return closing
    pauses_s = steps_s[at]
    days = len(np.unique(opens_s // DAY_S))
    closing[at] = _recurring(opens_s[at] % DAY_S, pauses_s, days)

    night_s = _usual_night_s(opens_s, steps_s)
    if night_s >= max(SHORTEST_NIGHT_S, 1.5 * bar_s):
        closing[at] |= pauses_s >= night_s / 2
    elif _closes_at_weekends(opens_s, steps_s):
        closing[at] |= pauses_s >= DAY_S
    return closing


def _recurring(time_of_day_s: Seconds, pauses_s: Seconds, days: int) -> NDArray[np.bool_]:
    pairs = pauses_s * DAY_S + time_of_day_s
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
