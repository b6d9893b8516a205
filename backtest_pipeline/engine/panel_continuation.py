"""Panels that go on differently after one of their rows: each symbol's candles do, by `continuation`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.continuation import OTHER_BARS, Manner, continued
from backtest_pipeline.engine.panel_building import VALUE_COLUMNS, SeenPanel

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.panel import Panel


def panel_rows(panel: Panel, start: int, stop: int) -> Panel:
    """Rows `start` to `stop` (excluded), sharing memory with the panel."""
    cut = slice(start, stop)
    columns: dict[str, Any] = {
        name: getattr(panel, name)[cut] for name in ("timestamp", "day", *VALUE_COLUMNS)
    }
    return replace(panel, **columns)


def continued_panel(
    seen: SeenPanel, candles: Sequence[Candles], start: int, row: int, manner: Manner, *, jitter: int = 0
) -> Panel:
    """Rows from `start` to `row` as they are, followed by at most `OTHER_BARS` others in the manner given.

    A symbol that has no bar until then has none after it either: nobody knows that it will come.

    Args:
        seen: the panel.
        candles: each symbol's, of which it was built.
        start: the first row to keep.
        row: the last row to keep.
        manner: how to go on.
        jitter: as for `continuation.continued`; symbols are moved each in its own way, so that equal prices
            are equal no longer.

    Returns:
        A read-only panel whose prices share no memory with others.
    """
    later = 0 if manner is Manner.CUT else min(OTHER_BARS, len(seen.panel) - 1 - row)
    stop = row + 1 + later
    table = np.full((len(VALUE_COLUMNS), len(candles), stop - start), np.nan)
    for symbol, (own, rows) in enumerate(zip(candles, seen.rows, strict=True)):
        first, kept, end = np.searchsorted(rows, [start, row + 1, stop]).tolist()
        if first == kept:
            continue
        other = continued(own, first, kept - 1, manner, jitter=jitter and jitter * len(candles) + symbol)
        for column, name in zip(table, VALUE_COLUMNS, strict=True):
            column[symbol, rows[first:end] - start] = getattr(other, name)[: end - first]
    table.flags.writeable = False
    columns: dict[str, Any] = {name: column.T for name, column in zip(VALUE_COLUMNS, table, strict=True)}
    return replace(panel_rows(seen.panel, start, stop), **columns)
