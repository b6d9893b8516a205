"""Panels: candles of several symbols put on the grid of their timeframe, for portfolio strategies to see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.joint_grid import JointGrid
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.market_days import grid_slots, monday_of
from backtest_pipeline.model.memo_in_use import shared
from backtest_pipeline.model.panel import Panel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.inputs import SeenCandles
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.timeframe import Timeframe

    Rows = NDArray[np.int64]

VALUE_COLUMNS = CANDLE_COLUMNS[1:]


@dataclass(frozen=True, eq=False, slots=True)
class SeenPanel:
    """What a portfolio strategy sees, and where each symbol's bars stand in it.

    Attributes:
        panel: n rows, those of the warm-up first. From `warmup_rows` on, they are the rows of the account.
        rows: for each symbol, the row of each bar that is seen, rising.
        warmup_rows: rows before the first in which any bar is traded.
    """

    panel: Panel
    rows: Sequence[Rows]
    warmup_rows: int = 0


def panel_of(candles: Sequence[Candles]) -> Panel:
    """Some symbols' candles on one axis; read-only, as all that strategies see.

    Args:
        candles: each symbol's, none empty, all of one timeframe.
    """
    return _placed(candles)[0]


def seen_panel(seen: Sequence[SeenCandles]) -> SeenPanel:
    """The candles of a backtest's symbols with the bars of their warm-up.

    Args:
        seen: each symbol's, none empty, all of one timeframe.
    """
    panel, rows = _placed([own.candles for own in seen])
    first = min(int(own[one.warmup_bars]) for own, one in zip(rows, seen, strict=True))
    return SeenPanel(panel, rows, first)


def _placed(candles: Sequence[Candles]) -> tuple[Panel, Sequence[Rows]]:
    """The panel and each symbol's rows; in a sweep, the same ones for all trials of the same candles."""
    sources = [getattr(own, name) for own in candles for name in CANDLE_COLUMNS]
    arrays = shared(_arrays, len(sources), *sources, tuple(candles))
    timestamp, day, *columns = arrays[: 2 + len(VALUE_COLUMNS)]
    symbols, timeframe = tuple(own.symbol for own in candles), candles[0].timeframe
    return Panel(symbols, timeframe, timestamp, day, *columns), arrays[2 + len(VALUE_COLUMNS) :]


def _arrays(*sources: Any) -> tuple[NDArray[Any], ...]:
    """Moments, days and columns of a panel, then the rows of each symbol.

    Args:
        sources: all arrays of some candles, and these candles.
    """
    candles: tuple[Candles, ...] = sources[-1]
    grid = JointGrid.of(candles)
    timeframe = candles[0].timeframe
    slots = grid.slots if len(candles) > 1 else grid_slots(grid.timestamp, timeframe)
    rows = grid.rows() if len(candles) > 1 else [np.arange(len(grid.timestamp))]
    places = [_everywhere(own, len(slots)) for own in rows]
    columns = [_table(candles, name, places, len(slots)) for name in VALUE_COLUMNS]
    arrays = grid.timestamp.view(), _days(grid.timestamp, slots, timeframe), *columns, *rows
    for array in arrays:
        array.flags.writeable = False
    return arrays


def _everywhere(rows: Rows, count: int) -> Rows | None:
    """The rows, or `None` where they are all there are, one after the other."""
    return None if len(rows) == count and bool((rows[1:] > rows[:-1]).all()) else rows


def _table(
    candles: Sequence[Candles], name: str, rows: Sequence[Rows | None], count: int
) -> NDArray[np.float64]:
    """One column of all symbols, shape (count, k).

    A symbol's values lie side by side in memory: so they are written, and read by whoever computes an
    indicator of them, many times as fast.
    """
    table = np.empty((len(candles), count))
    for own, places, line in zip(candles, rows, table, strict=True):
        if places is None:
            line[:] = getattr(own, name)
        else:
            line[:] = np.nan
            line[places] = getattr(own, name)
    return table.T


def _days(timestamp: NDArray[np.datetime64], slots: Rows, timeframe: Timeframe) -> NDArray[np.datetime64]:
    if timeframe == "1d":
        return slots.astype("datetime64[D]")
    if timeframe == "1w":
        return monday_of(slots).astype("datetime64[D]")
    return timestamp.astype("datetime64[D]")
