"""How indicators of whole panels are computed; what each means is said in `functions.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def by_symbol(*asked: Any) -> Floats:
    """Takes tables, then the indicator, then pairs that are its other arguments."""
    tables = [own for own in asked if isinstance(own, np.ndarray)]
    indicator, *pairs = asked[len(tables) :]
    arguments = dict(pairs)
    found = np.full(tables[0].shape, np.nan, order="F")  # a symbol's values side by side, as in panels
    for column, has_bar in enumerate(~np.isnan(tables[0].T)):
        own = [table[:, column] for table in tables]
        if has_bar.all():
            found[:, column] = indicator(*own, **arguments)
        elif has_bar.any():
            found[has_bar, column] = indicator(*(values[has_bar] for values in own), **arguments)
            found[:, column] = found[:, column][_latest(has_bar)]
            found[: int(np.argmax(has_bar)), column] = np.nan
    return found


def carried(table: Floats) -> Floats:
    held = np.array(table, order="F")
    for column, has_value in enumerate(~np.isnan(table.T)):
        if not has_value.all():
            held[:, column] = held[:, column][_latest(has_value)]
    return held


def _latest(there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The latest place at which there is something, at each place; the first place before there is."""
    return np.maximum.accumulate(np.where(there, np.arange(len(there)), 0))
