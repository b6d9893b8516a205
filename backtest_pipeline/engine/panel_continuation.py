"""Panels that go on differently after one of their rows: each symbol's candles do, by `continuation`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.continuation import OTHER_BARS, Manner, write_continued_panel
from backtest_pipeline.engine.panel_building import VALUE_COLUMNS

if TYPE_CHECKING:
    from backtest_pipeline.model.panel import Panel


def panel_rows(panel: Panel, start: int, stop: int) -> Panel:
    """Rows `start` to `stop` (excluded), sharing memory with the panel."""
    cut = slice(start, stop)
    columns: dict[str, Any] = {
        name: getattr(panel, name)[cut] for name in ("timestamp", "day", *VALUE_COLUMNS)
    }
    return replace(panel, **columns)


def continued_panel(panel: Panel, start: int, row: int, manner: Manner, *, jitter: int = 0) -> Panel:
    """Rows from `start` to `row` as they are, followed by at most `OTHER_BARS` others in the manner given.

    A symbol has its other bars at the rows at which it has true ones; one that has no bar until then has none
    after it either.

    Args:
        panel: all rows, a symbol's values side by side in memory.
        start: the first row to keep.
        row: the last row to keep.
        manner: how to go on.
        jitter: as for `continuation.continued`, for each symbol another.

    Returns:
        A read-only panel whose prices share no memory with others.
    """
    later = 0 if manner is Manner.CUT else min(OTHER_BARS, len(panel) - 1 - row)
    stop = row + 1 + later
    tables = np.empty((len(VALUE_COLUMNS), len(panel.symbols), stop - start))
    write_continued_panel(
        panel.open.T,
        panel.high.T,
        panel.low.T,
        panel.close.T,
        panel.volume.T,
        start,
        row,
        int(manner),
        jitter,
        tables,
    )
    tables.flags.writeable = False
    columns: dict[str, Any] = {name: own.T for name, own in zip(VALUE_COLUMNS, tables, strict=True)}
    return replace(panel_rows(panel, start, stop), **columns)
