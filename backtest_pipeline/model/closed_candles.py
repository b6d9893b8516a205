"""At each bar, the newest longer candle that had closed by then: several timeframes without looking ahead.

Longer candles begin and end where `coarse_grid` says, as those that `backtest candles resample` stores. What
stands at a bar hangs on the bars up to it alone:

- A candle is closed at a bar that ends when the candle does, or later; where the exchange's sessions are
  known, when the last of them in the candle does. What is traded after that in the candle still enters it.
- Bars are what there is: a candle that lacks some in the middle is made of the others.
- The first candle counts only where it is known to be whole: where the bars begin when it does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from backtest_pipeline.model.coarse_grid import (
    coarse_ends_s,
    coarse_opens,
    longer_problem,
    opens_of_sessions_s,
)
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.market_days import DAY_S, market_days, seconds_of
from backtest_pipeline.model.memo_in_use import handed_out
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.model.timeframe import Timeframe

    Floats = NDArray[np.float64]
    Seconds = NDArray[np.int64]
    Stamps = NDArray[np.datetime64]
    Places = NDArray[np.int64]

_NEVER = np.datetime64("NaT", "us")


class EachCandle(NamedTuple):
    """Longer candles, oldest first, each as it was when it closed: shape (m,), as `Candles` has them."""

    timestamp: Stamps
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats


@dataclass(frozen=True, eq=False, slots=True)
class ClosedCandles:
    """At each of n bars, the newest longer candle that had closed when the bar did.

    Attributes:
        symbol: as the bars'.
        timeframe: of the longer candles.
        timestamp: shape (n,), `datetime64[us]`, UTC, the longer candle's open; NaT before the first.
        open, high, low, close, volume: shape (n,), float64; NaN before the first.
        number: shape (n,), int64, which of `each` it is; -1 before the first.
        each: the longer candles themselves, those as well that no bar has seen as the newest.
    """

    symbol: str
    timeframe: Timeframe
    timestamp: Stamps
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    number: NDArray[np.int64]
    each: EachCandle

    def __len__(self) -> int:
        return len(self.timestamp)

    def by_candle(self, indicator: Callable[..., Floats], *columns: str, **arguments: Any) -> Floats:
        """An indicator of the longer candles themselves, at each bar.

        As in `day.by_candle(sma, "close", window=20)`, the average of twenty days, however many bars they
        have. Each candle is taken as it was when it closed.

        Args:
            indicator: takes arrays of shape (m,), one for each column, and gives one.
            columns: names of columns.
            arguments: the indicator's other arguments.

        Returns:
            Shape (n,); NaN before the first candle.

        Raises:
            ValueError: there is no such column.
        """
        if unknown := [name for name in columns if name not in EachCandle._fields]:
            raise ValueError(f"there is no column {unknown[0]!r}; choose of {', '.join(EachCandle._fields)}")
        if not len(self.each.timestamp):
            return np.full(len(self), np.nan)
        found = np.asarray(indicator(*(getattr(self.each, name) for name in columns), **arguments))
        return np.where(self.number >= 0, found[np.maximum(self.number, 0)], np.nan)


def closed_candles(candles: Candles, timeframe: Timeframe) -> ClosedCandles:
    """The newest candles of a longer timeframe that had closed at each bar.

    Args:
        candles: at least one bar.
        timeframe: a multiple of the bars', or theirs, which yields the bars themselves.

    Raises:
        RequestInvalid: the timeframe cannot be made of the bars.
    """
    fine = candles.timeframe
    if timeframe != fine and (problem := longer_problem(fine, timeframe)):
        raise RequestInvalid([("timeframe", problem)])
    bars = EachCandle(*(getattr(candles, name) for name in EachCandle._fields))
    if timeframe == fine or not len(candles):
        return ClosedCandles(candles.symbol, timeframe, *bars, np.arange(len(candles)), bars)
    zone = candles.record.timezone if candles.record else "UTC"
    arrays: Any = handed_out(_arrays, len(bars), *bars, fine, timeframe, zone, candles.sessions())
    at_bars, each = EachCandle(*arrays[:6]), EachCandle(*arrays[7:])
    return ClosedCandles(candles.symbol, timeframe, *at_bars, arrays[6], each)


def _arrays(
    timestamp: Stamps,
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    fine: Timeframe,
    coarse: Timeframe,
    zone: str,
    schedule: Schedule | None,
) -> tuple[NDArray[Any], ...]:
    """The arrays of `ClosedCandles`, those of `each` at the end."""
    bars = EachCandle(timestamp, open_, high, low, close, volume)
    opens = coarse_opens(timestamp, fine, coarse, ZoneInfo(zone), schedule)
    begins = np.concatenate([[True], opens[1:] != opens[:-1]])
    starts, which = np.flatnonzero(begins), np.cumsum(begins) - 1
    clock_s = coarse_ends_s(opens[starts], coarse, ZoneInfo(zone))
    begins_s, ends_s = _traded_s(seconds_of(opens[starts]), clock_s, fine, coarse, ZoneInfo(zone), schedule)
    is_closed = ends_s[which] <= seconds_of(timestamp) + BAR_SECONDS[fine]
    since = 0 if _begins_whole(timestamp, int(begins_s[0]), fine, schedule) else 1
    number = np.maximum(which - ~is_closed - since, -1)

    known = np.flatnonzero(number >= 0)
    first = starts[number[known] + since]
    stop = np.where(is_closed[known], known + 1, starts[which[known]])
    # Bars that see the same candle, which grows only where it closes before its last bar.
    is_new = np.ones(len(known), dtype=np.bool_)
    is_new[1:] = (first[1:] != first[:-1]) | (stop[1:] != stop[:-1])
    of_span = np.cumsum(is_new) - 1
    at_bars = []
    for values in _of_spans(bars, opens, first[is_new], stop[is_new]):
        placed = np.full(len(timestamp), _NEVER if values.dtype.kind == "M" else np.nan, dtype=values.dtype)
        placed[known] = values[of_span]
        at_bars.append(placed)

    candles = slice(since, since + int(number[-1]) + 1)
    ends = np.append(starts[1:], len(timestamp))
    as_closed = np.minimum(starts + np.add.reduceat((~is_closed).astype(np.int64), starts) + 1, ends)
    return (*at_bars, number, *_of_spans(bars, opens, starts[candles], as_closed[candles]))


def _of_spans(bars: EachCandle, opens: Stamps, first: Places, stop: Places) -> EachCandle:
    """A candle for each span of bars, from `first` to `stop` (excluded), in rising order."""
    edges = np.stack([first, stop], axis=1).ravel()

    def reduced(how: Any, values: Floats) -> Floats:
        """The last span may end with the bars, where `reduceat` wants one more."""
        return np.asarray(how.reduceat(np.append(values, values[-1]), edges)[::2])

    if not len(edges):
        return EachCandle(*(getattr(bars, name)[:0] for name in EachCandle._fields))
    return EachCandle(
        opens[first],
        bars.open[first],
        reduced(np.maximum, bars.high),
        reduced(np.minimum, bars.low),
        bars.close[stop - 1],
        reduced(np.add, bars.volume),
    )


def _traded_s(
    opens_s: Seconds,
    clock_s: Seconds,
    fine: Timeframe,
    coarse: Timeframe,
    zone: ZoneInfo,
    schedule: Schedule | None,
) -> tuple[Seconds, Seconds]:
    """When longer candles begin and close: by the clock, or with the first and the last session in them.

    Args:
        opens_s: opens of the longer candles, seconds since 1970.
        clock_s: their ends by the clock.
        fine: the bars' timeframe.
        coarse: the longer timeframe.
        zone: the market's.
        schedule: its sessions, or `None`.
    """
    if schedule is None or not len(schedule.open_s):
        return opens_s, clock_s
    if BAR_SECONDS[coarse] < DAY_S or fine == "1d":
        looked_at = opens_s + 1 if fine != "1d" else clock_s
        at = np.maximum(np.searchsorted(schedule.open_s, looked_at, side="left") - 1, 0)
        has_session = (schedule.open_s[at] < looked_at) & (schedule.close_s[at] > opens_s)
        return opens_s, np.where(has_session, np.minimum(schedule.close_s[at], clock_s), clock_s)
    of_session = opens_of_sessions_s(schedule, coarse, zone)
    first = np.searchsorted(of_session, opens_s, side="left")
    last = np.searchsorted(of_session, opens_s, side="right") - 1
    has_session = first <= last
    begins_s = schedule.open_s[np.minimum(first, len(of_session) - 1)]
    return (
        np.where(has_session, begins_s, opens_s),
        np.where(has_session, schedule.close_s[np.maximum(last, 0)], clock_s),
    )


def _begins_whole(timestamp: Stamps, begins_s: int, fine: Timeframe, schedule: Schedule | None) -> bool:
    """Whether the bars begin no later than what is traded in their first longer candle does."""
    opens_s = seconds_of(timestamp)
    if fine == "1d" and schedule is not None and len(schedule.day):
        day, days = int(market_days(opens_s)[0]), schedule.days()
        at = int(np.searchsorted(days, day - (day + 3) % 7))  # from Monday on; 1970-01-01 was a Thursday
        return at < len(days) and day <= int(days[at])
    return int(opens_s[0]) <= begins_s
