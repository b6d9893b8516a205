"""Gaps by the pauses that the timestamps themselves show, where the market's calendar is not known.

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

from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.candle_steps import CandleSteps, JudgedSteps, recurring
from backtest_pipeline.model.long_holidays import longest_closing_days
from backtest_pipeline.model.market_days import DAY_S, HOUR_S, market_days

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Seconds = NDArray[np.int64]
    Flags = NDArray[np.bool_]

LONGEST_CLOSING_DAYS = 5
LONGEST_CLOSING_S = LONGEST_CLOSING_DAYS * DAY_S + DAY_S // 2
LONGEST_WEEKLY_STEP_S = 10 * DAY_S + DAY_S // 2
TWO_WEEKS_S = 14 * DAY_S + DAY_S // 2
SHORTEST_NIGHT_S = 4 * HOUR_S


def by_pauses(steps: CandleSteps) -> JudgedSteps:
    """Judge each step by the market's usual pauses."""
    missing, no_days = steps.missing_bars, np.zeros(0, np.int64)
    if steps.timeframe == "1w":
        return JudgedSteps(_of_weeks(steps), missing, no_days)
    if steps.timeframe == "1d":
        if _trades_every_day(steps):
            return JudgedSteps(steps.length_s > 1.5 * steps.bar_s, missing, no_days)
        days = market_days(steps.timestamp // 1_000_000)
        before, after = days[steps.at], days[steps.at + 1]
        gap = _too_long(before, after, steps.length_s)
        workdays = np.busday_count((before + 1).astype("datetime64[D]"), after.astype("datetime64[D]"))
        return JudgedSteps(gap, workdays.astype(np.float64), no_days)
    closing = _closings(steps)
    too_long = _too_long(steps.before_s // DAY_S, steps.after_s // DAY_S, steps.length_s)
    gap = ~closing | too_long
    if (gap & closing).any():
        span_s = (steps.timestamp[-1] - steps.timestamp[0]) / 1_000_000 - steps.length_s[gap].sum()
        usual_step_s = span_s / max(len(steps.timestamp) - 1 - np.count_nonzero(gap), 1) or steps.bar_s
        missing[closing] = np.round(steps.length_s[closing] / usual_step_s) - 1
    return JudgedSteps(gap, missing, no_days)


def _too_long(before: Seconds, after: Seconds, length_s: Seconds) -> Flags:
    """Which steps are longer than a market with sessions is ever closed at that time of the year."""
    gap: Flags = length_s > LONGEST_CLOSING_S
    for step in np.flatnonzero(gap):
        longest_days = longest_closing_days(int(before[step]), int(after[step]), LONGEST_CLOSING_DAYS)
        gap[step] = length_s[step] > longest_days * DAY_S + DAY_S // 2
    return gap


def _of_weeks(steps: CandleSteps) -> Flags:
    """A week without sessions is no gap where the market has one at least every other year."""
    gap: Flags = steps.length_s > LONGEST_WEEKLY_STEP_S
    skipped = gap & (steps.length_s <= TWO_WEEKS_S)
    years = (steps.timestamp[-1] - steps.timestamp[0]) / (365.25 * DAY_S * 1_000_000)
    if skipped.sum() >= max(2.0, years / 2):
        gap &= ~skipped
    return gap


def _trades_every_day(steps: CandleSteps) -> bool:
    return int((steps.length_s > DAY_S * 1.5).sum()) * 10 < len(steps.timestamp) - 1


def _closings(steps: CandleSteps) -> Flags:
    """Which steps are pauses of the market itself."""
    closing = recurring(steps)
    night_s = _usual_night_s(steps)
    if night_s >= max(SHORTEST_NIGHT_S, 1.5 * steps.bar_s):
        closing |= steps.length_s >= night_s / 2
    elif _closes_at_weekends(steps):
        closing |= steps.length_s >= DAY_S
    return closing


def _usual_night_s(steps: CandleSteps) -> float:
    """Median over the days of the longest step that ends on the day."""
    day_of_step = steps.after_s // DAY_S
    first_of_day = np.flatnonzero(np.diff(day_of_step, prepend=day_of_step[0] - 1))
    longest = np.maximum.reduceat(steps.length_s, first_of_day)
    others = max(steps.days_with_candles() - len(longest), 0)
    return float(np.median(np.append(longest, np.full(others, steps.bar_s))))


def _closes_at_weekends(steps: CandleSteps) -> bool:
    weeks = (steps.timestamp[-1] - steps.timestamp[0]) / (7 * DAY_S * 1_000_000)
    rests = int(((steps.length_s >= DAY_S) & (steps.length_s <= LONGEST_CLOSING_S)).sum())
    return rests >= 2 and rests * 2 >= weeks
