"""Candles of a longer timeframe, made of shorter ones; a bar that lacks some of them is marked.

`.resampled.json` beside the longer candles says of what they were made, and which of them lack shorter ones.
The last bar is made when it has ended, not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from backtest_pipeline.candles.merge import merge_candles
from backtest_pipeline.candles.sources.coverage import read_coverage
from backtest_pipeline.model.coarse_grid import (
    MICROSECOND,
    coarse_ends_s,
    coarse_opens,
    expected_bars,
    longer_problem,
)
from backtest_pipeline.model.errors import CandleFileUnreadable, RequestInvalid
from backtest_pipeline.model.exchanges import ALWAYS_OPEN
from backtest_pipeline.model.span import moment_of
from backtest_pipeline.model.timeframe import BAR_SECONDS, TIMEFRAMES, Timeframe
from backtest_pipeline.storage.atomic import write_bytes_durably

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.candles.year_file import Columns
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.storage.layout import Layout


class Resampled(BaseModel):
    """Of what longer candles were made.

    Attributes:
        fine: the shorter timeframe.
        partial: opens of the bars that lack shorter ones, UTC, increasing.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    fine: Timeframe
    partial: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class ResampleReport:
    """What a resampling made and changed.

    Attributes:
        rows: longer bars that were made.
        rows_partial: those of them that lack shorter ones.
        rows_new, rows_replaced, years: as `Merged`.
        first, last: opens of the first and the last bar, UTC; `None` where none has ended.
        assumptions: what nobody has recorded and was taken for granted, a sentence each.
    """

    symbol: str
    fine: Timeframe
    coarse: Timeframe
    rows: int
    rows_partial: int
    rows_new: int
    rows_replaced: int
    years: tuple[int, ...]
    first: datetime | None
    last: datetime | None
    assumptions: tuple[str, ...] = ()


def resample(
    store: CandleStore, symbol: str, fine: Timeframe, coarse: Timeframe, *, replace: bool = False
) -> ResampleReport:
    """Make a symbol's longer candles of its shorter ones and store them; repeated, it changes no file.

    Args:
        store: that has the shorter candles.
        symbol: whose.
        fine: their timeframe.
        coarse: the longer timeframe.
        replace: whether candles of that timeframe that came otherwise may be replaced.

    Raises:
        RequestInvalid: the timeframes do not fit, or there are longer candles of another origin.
        CandlesError: the shorter candles cannot be used.
    """
    if problem := longer_problem(fine, coarse):
        raise RequestInvalid([("timeframe", problem)])
    if not replace and store.files(symbol, coarse) and read_resampled(store.layout, symbol, coarse) is None:
        origin = read_coverage(store.layout, symbol, coarse)
        came = f"came from {origin.source}" if origin else "were imported"
        problem = f"{symbol}'s {coarse} candles {came}; add --replace to put resampled ones in their place"
        raise RequestInvalid([("timeframe", problem)])
    candles = store.load([symbol], fine)[symbol]
    columns, partial = resampled_columns(
        candles,
        coarse,
        zone=ZoneInfo(candles.record.timezone) if candles.record else ZoneInfo("UTC"),
        schedule=store.schedule(candles.recorded_calendar, candles.timestamp),
        asked_s=_asked_s(store.layout, symbol, fine),
        partial=partial_bars(store, symbol, fine),
    )
    assumed = (
        [] if candles.record else [f"{symbol} has no calendar; its days are taken to begin at 00:00 UTC"]
    )
    opens = columns["timestamp"]
    if not len(opens):
        return ResampleReport(symbol, fine, coarse, 0, 0, 0, 0, (), None, None, tuple(assumed))
    merged = merge_candles(store, symbol, coarse, columns)
    partial_opens = tuple(moment_of(int(moment.astype(np.int64))) for moment in opens[partial])
    _write(store.layout, symbol, coarse, Resampled(fine=fine, partial=partial_opens))
    store.layout.coverage(symbol, coarse).unlink(missing_ok=True)
    return ResampleReport(
        symbol,
        fine,
        coarse,
        len(opens),
        len(partial_opens),
        merged.rows_new,
        merged.rows_replaced,
        merged.years,
        moment_of(int(opens[0].astype(np.int64))),
        moment_of(int(opens[-1].astype(np.int64))),
        tuple(assumed),
    )


def resampled_columns(
    candles: Candles,
    coarse: Timeframe,
    *,
    zone: ZoneInfo,
    schedule: Schedule | None,
    asked_s: tuple[int, int] | None = None,
    partial: Sequence[datetime] = (),
) -> tuple[Columns, NDArray[np.bool_]]:
    """Longer candles of shorter ones, and which of them lack some; a last bar that has not ended is left out.

    A bar lacks shorter ones where the market was open for more of them than there are: by its sessions, or
    all the time where it is `24/7`; where its calendar is unknown, more than bars usually have. A bar for all
    of which a source was asked lacks none: nobody traded. What is made of one that lacks some lacks them too.

    Args:
        candles: the shorter ones.
        coarse: the longer timeframe.
        zone: in which days begin.
        schedule: the exchange's sessions, or `None`.
        asked_s: between which moments (seconds since 1970) a source has given all trades.
        partial: opens of shorter ones that lack even shorter ones, UTC.

    Returns:
        Columns as `CandleRows.columns`, and shape (bars,).
    """
    fine_s = BAR_SECONDS[candles.timeframe]
    opens = coarse_opens(candles.timestamp, candles.timeframe, coarse, zone, schedule)
    starts = np.flatnonzero(np.concatenate([[True], opens[1:] != opens[:-1]]))
    bars = opens[starts]
    ends_s = coarse_ends_s(bars, coarse, zone)
    if schedule is not None and BAR_SECONDS[coarse] < BAR_SECONDS["1d"]:
        ends_s = _within_session(bars, ends_s, schedule)
    counts = np.diff(np.concatenate([starts, [len(opens)]]))
    known = schedule is not None or candles.recorded_calendar == ALWAYS_OPEN
    expected = expected_bars(bars, ends_s, candles.timeframe, schedule)
    if not known:
        expected = np.minimum(expected, int(np.median(counts)))
    lacks = counts < expected
    reached_s = int(candles.timestamp[-1].astype(np.int64)) // MICROSECOND + fine_s
    if asked_s is not None:
        lacks &= (bars.view(np.int64) // MICROSECOND < asked_s[0]) | (ends_s > asked_s[1])
        reached_s = max(reached_s, asked_s[1])
    marked = np.array([moment.replace(tzinfo=None) for moment in partial], dtype="datetime64[us]")
    lacks |= np.add.reduceat(np.isin(candles.timestamp, marked), starts) > 0
    trades_end_s = _last_trade_end_s(ends_s, schedule)
    ended = (trades_end_s <= reached_s) | (not known and not lacks[-1])
    stop = len(bars) if ended else len(bars) - 1
    columns: Columns = {
        "timestamp": bars,
        "open": candles.open[starts],
        "high": np.maximum.reduceat(candles.high, starts),
        "low": np.minimum.reduceat(candles.low, starts),
        "close": candles.close[np.concatenate([starts[1:], [len(opens)]]) - 1],
        "volume": np.add.reduceat(candles.volume, starts),
    }
    return {name: column[:stop] for name, column in columns.items()}, lacks[:stop]


def read_resampled(layout: Layout, symbol: str, timeframe: Timeframe) -> Resampled | None:
    """Of what a symbol's candles were made, or `None` where they were not resampled.

    Raises:
        CandleFileUnreadable: the record is there and cannot be used.
    """
    path = layout.resampled(symbol, timeframe)
    try:
        return Resampled.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as error:
        reason = str(error).partition("\n")[0]
        advice = "delete it and resample again with --replace"
        raise CandleFileUnreadable(symbol, path, reason, advice=advice) from error


def partial_bars(store: CandleStore, symbol: str, timeframe: Timeframe) -> tuple[datetime, ...]:
    """Opens of a symbol's bars that lack shorter ones of which they were made."""
    record = read_resampled(store.layout, symbol, timeframe)
    return record.partial if record else ()


def resample_again(store: CandleStore, symbols: Sequence[str]) -> list[ResampleReport]:
    """Make anew what was made of these symbols' shorter candles, the shortest first."""
    return [
        resample(store, symbol, record.fine, timeframe)
        for symbol in dict.fromkeys(symbols)
        for timeframe in TIMEFRAMES
        if (record := read_resampled(store.layout, symbol, timeframe)) and store.files(symbol, record.fine)
    ]


def _asked_s(layout: Layout, symbol: str, timeframe: Timeframe) -> tuple[int, int] | None:
    """Between which moments a source has given all trades, in candles or those of which they were made."""
    if made := read_resampled(layout, symbol, timeframe):
        return _asked_s(layout, symbol, made.fine)
    coverage = read_coverage(layout, symbol, timeframe)
    if coverage is None:
        return None
    # A candle that opened before `until` is complete: what ends a bar after the minute before it is known.
    end_s = int(coverage.until.timestamp()) - 60 + BAR_SECONDS[timeframe]
    return int(coverage.first.timestamp()), end_s


def _within_session(
    bars: NDArray[np.datetime64], ends_s: NDArray[np.int64], schedule: Schedule
) -> NDArray[np.int64]:
    """Ends of bars, no later than the session in which they begin."""
    opens_s = bars.view(np.int64) // MICROSECOND
    at = np.maximum(np.searchsorted(schedule.open_s, opens_s, side="right") - 1, 0)
    inside = (opens_s >= schedule.open_s[at]) & (opens_s < schedule.close_s[at])
    return np.where(inside, np.minimum(ends_s, schedule.close_s[at]), ends_s)


def _last_trade_end_s(ends_s: NDArray[np.int64], schedule: Schedule | None) -> int:
    """When the last bar has all that can be in it: at its end, or with the last session before that."""
    end_s = int(ends_s[-1])
    if schedule is None or not len(schedule.close_s):
        return end_s
    at = int(np.searchsorted(schedule.open_s, end_s, side="left")) - 1
    return min(end_s, int(schedule.close_s[at])) if at >= 0 else end_s


def _write(layout: Layout, symbol: str, timeframe: Timeframe, record: Resampled) -> None:
    path = layout.resampled(symbol, timeframe)
    content = (record.model_dump_json() + "\n").encode()
    if not path.exists() or path.read_bytes() != content:
        write_bytes_durably(path, content)
