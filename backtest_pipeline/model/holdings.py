"""What a shared account held of each symbol over time, from its table of positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Holding:
    """What an account held of one symbol.

    Attributes:
        time: shape (n,), microseconds since 1970, increasing: when it changed.
        quantity: shape (n,), after the last change of that moment, below 0 short.
        value: shape (n,), its market value then.
        is_rebuilt: whether a position was ever added to, or closed in part.
    """

    time: Ints
    quantity: Floats
    value: Floats
    is_rebuilt: bool

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Holding:
        """Of the rows of one symbol, by time; there may be none."""
        time = rows["timestamp"].dt.tz_localize(None).to_numpy("datetime64[us]").view(np.int64)
        quantity, value = (rows[name].to_numpy(np.float64) for name in ("quantity", "value"))
        before = np.concatenate([[0.0], quantity])[: len(quantity)]
        last = np.ones(len(time), dtype=np.bool_)
        last[:-1] = time[1:] != time[:-1]
        rebuilt = bool(((before * quantity > 0.0) & (before != quantity)).any())
        return cls(time[last], quantity[last], value[last], rebuilt)

    def at(self, time: Ints) -> Floats:
        """What was held after all changes up to and including each moment."""
        return self._known(self.quantity, time)

    def value_at(self, time: Ints) -> Floats:
        """What it was worth when it last changed."""
        return self._known(self.value, time)

    def _known(self, values: Floats, time: Ints) -> Floats:
        return np.concatenate([[0.0], values])[np.searchsorted(self.time, time, side="right")]


def holdings_of(positions: pd.DataFrame) -> dict[str, Holding]:
    """Each symbol's that was ever held, by name."""
    return {str(symbol): Holding.of(rows) for symbol, rows in positions.groupby("symbol", sort=True)}
