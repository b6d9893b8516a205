"""The equity table of a result as arrays, and how far two amounts may be apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.request import BacktestRequest

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

TOLERANCE = 1e-9
"""Of the highest equity so far: what rounding may make of an amount."""


@dataclass(frozen=True, eq=False, slots=True)
class Account:
    """The equity table as arrays of shape (n,); `peak` is the running one, from the initial cash on."""

    initial_cash: float
    time: Ints
    equity: Floats
    cash: Floats
    exposure_frac: Floats
    drawdown_frac: Floats
    peak: Floats

    @classmethod
    def of(cls, request: BacktestRequest, table: pd.DataFrame) -> Account:
        columns = {name: table[name].to_numpy(np.float64) for name in table.columns[1:]}
        peak = np.maximum.accumulate(np.maximum(columns["equity"], request.initial_cash))
        return cls(request.initial_cash, moments(table["timestamp"]), **columns, peak=peak)

    def first_apart(self, stated: Floats, found: Floats) -> int | None:
        """The first bar at which two amounts differ by more than rounding."""
        apart = np.flatnonzero(np.abs(stated - found) > TOLERANCE * self.peak)
        return int(apart[0]) if len(apart) else None

    def moment(self, bar: int) -> str:
        return self.moment_of(self.time[bar])

    @staticmethod
    def moment_of(time_us: np.int64) -> str:
        """A moment for people."""
        return str(time_us.astype("datetime64[us]"))


def running_sum(times: Ints, amounts: Floats, at: Ints) -> Floats:
    """Sum of all amounts up to and including each moment of `at`."""
    order = np.argsort(times, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(amounts[order])])
    total: Floats = sums[np.searchsorted(times[order], at, side="right")]
    return total


def moments(column: Any) -> Ints:
    moments: Ints = column.dt.tz_localize(None).to_numpy("datetime64[us]").view(np.int64)
    return moments
