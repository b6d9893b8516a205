"""What the blocks of a sweep's trials say: each trial's Sharpe ratio, as a whole and of half of its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class TrialBlocks:
    """Bar returns of trials, summed in even blocks of time; what `blocks.parquet` holds.

    Attributes:
        trial: shape (n,), numbers of the trials.
        count: shape (n, blocks), bars of each block.
        sum: shape (n, blocks), of their returns.
        sum_squares: shape (n, blocks), of the returns' squares.
        periods_per_year: shape (n,), bars a year, without which ratios per bar cannot be compared.
    """

    trial: Ints
    count: Ints
    sum: Floats
    sum_squares: Floats
    periods_per_year: Floats

    @classmethod
    def of_table(cls, table: pa.Table, periods_per_year: Floats | None = None) -> Self:
        """Take the columns of `blocks.parquet`.

        Args:
            table: of some trials.
            periods_per_year: of every trial of the sweep, by number; `None` where all have the same.
        """
        trial = table.column("trial").to_numpy()
        return cls(
            trial,
            _matrix(table, "count").astype(np.int64),
            _matrix(table, "sum"),
            _matrix(table, "sum_squares"),
            np.ones(len(trial)) if periods_per_year is None else periods_per_year[trial],
        )

    @classmethod
    def of_returns(cls, returns: Floats, blocks: int) -> Self:
        """Sum the returns of trials, shape (bars, n), in so many even blocks of time."""
        bars, trials = returns.shape
        edges = np.arange(blocks + 1) * bars // blocks
        count = np.broadcast_to(np.diff(edges), (trials, blocks)).astype(np.int64)
        total, squares = (np.add.reduceat(one, edges[:-1], axis=0).T.copy() for one in (returns, returns**2))
        return cls(np.arange(trials), count, total, squares, np.ones(trials))

    def __len__(self) -> int:
        return len(self.trial)

    def sharpe(self) -> Floats:
        """Sharpe ratio of each trial, per bar; NaN where its returns do not vary."""
        return sharpe_of_sums(self.count.sum(axis=1), self.sum.sum(axis=1), self.sum_squares.sum(axis=1))

    def sharpe_per(self, periods_per_year: float) -> Floats:
        """Sharpe ratio of each trial, per bar of which there are so many a year; NaN as above."""
        return np.asarray(self.sharpe() * np.sqrt(self.periods_per_year / periods_per_year))

    def varying(self) -> Self:
        """The trials whose returns vary."""
        return self._of(~np.isnan(self.sharpe()))

    def filled(self) -> Self:
        """The trials that have a bar in every block: what compares blocks says nothing of shorter ones."""
        return self._of(self.count.min(axis=1) > 0)

    def _of(self, there: NDArray[np.bool_]) -> Self:
        return type(self)(
            self.trial[there],
            self.count[there],
            self.sum[there],
            self.sum_squares[there],
            self.periods_per_year[there],
        )


def sharpe_of_sums(count: Any, total: Any, squares: Any) -> Floats:
    """Sharpe ratios from counts, sums and sums of squares; NaN where returns do not vary."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / count
        variance = (squares - total * mean) / (count - 1)
        found: Floats = np.where(
            variance > ROUNDING * squares / count, mean / np.sqrt(np.maximum(variance, 0.0)), np.nan
        )
    return found


ROUNDING = 1e-12
"""A variance this small against the mean square is what is left of a difference of equal numbers."""


def _matrix(table: pa.Table, name: str) -> NDArray[Any]:
    column = table.column(name).combine_chunks()
    values: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return values
