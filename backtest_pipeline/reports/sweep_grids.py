"""Trials gathered in the cells of a grid over some of the names, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.reports.sweep_trials import COMPLETED, TrialBatch, merit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]

NOBODY = -1


class TrialGrid:
    """A grid over the bins of some names; what it keeps does not grow with the number of trials.

    Cells are numbered with the last name's bins following each other fastest.

    Attributes:
        names: which names, by their places among the axes.
        sizes: how many bins of each.
        count: shape (cells,), trials of each cell, whatever became of them.
        completed: shape (cells,), those that completed.
        best: shape (cells,), number of the trial that stands for the cell, as `merit` has it; `NOBODY` for
            an empty cell.
    """

    def __init__(
        self, names: Sequence[int], sizes: Sequence[int], metrics: Sequence[str], trials: int
    ) -> None:
        self.names = tuple(names)
        self.sizes = tuple(sizes)
        self._trials = trials
        cells = math.prod(sizes)
        self.count: Whole = np.zeros(cells, dtype=np.int64)
        self.completed: Whole = np.zeros(cells, dtype=np.int64)
        self.best: Whole = np.full(cells, NOBODY, dtype=np.int64)
        self._merit: Whole = np.full(cells, np.iinfo(np.int64).max, dtype=np.int64)
        self._sums: dict[str, Floats] = {name: np.zeros(cells) for name in metrics}
        self._missing: dict[str, Whole] = {name: np.zeros(cells, dtype=np.int64) for name in metrics}

    def add(self, batch: TrialBatch, bins: Sequence[NDArray[np.int64]], order: Whole) -> None:
        """Takes in some trials.

        Args:
            batch: n trials.
            bins: for each name of the grid, shape (n,).
            order: the batch's rows with the greatest merit number first.
        """
        cells = len(self.count)
        at = self._cells(bins)
        self.count += np.bincount(at, minlength=cells)
        done = batch.state == COMPLETED
        whole = bool(done.all())
        own = at if whole else at[done]
        self.completed += np.bincount(own, minlength=cells)
        for name in self._sums:
            values = batch.metrics[name] if whole else batch.metrics[name][done]
            missing = np.isnan(values)
            if missing.any():
                self._missing[name] += np.bincount(own[missing], minlength=cells)
                values = np.where(missing, 0.0, values)
            self._sums[name] += np.bincount(own, weights=values, minlength=cells)
        self._keep_best(batch, at, order)

    def _cells(self, bins: Sequence[NDArray[np.int64]]) -> Whole:
        at = np.zeros(len(bins[0]), dtype=np.int64)
        for size, own in zip(self.sizes, bins, strict=True):
            at = at * size + own
        return at

    def _keep_best(self, batch: TrialBatch, at: Whole, order: Whole) -> None:
        """Of rows that share a cell the last one written stays, hence the least merit number comes last."""
        last = np.full(len(self.count), NOBODY, dtype=np.int64)
        last[at[order]] = order
        touched = np.flatnonzero(last != NOBODY)
        rows = last[touched]
        merits = merit(batch, self._trials)[rows]
        better = merits < self._merit[touched]
        self._merit[touched[better]] = merits[better]
        self.best[touched[better]] = batch.trial[rows[better]]

    def known(self, metric: str) -> Whole:
        """In how many of each cell's completed trials a metric is known."""
        return self.completed - self._missing[metric]

    def mean(self, metric: str) -> Floats:
        """Mean of a metric over the completed trials of each cell that have it; NaN for none."""
        known = self.known(metric)
        return _divided(self._sums[metric], known)


class ObjectiveByName:
    """The objective in each bin of one name: how it is spread, its mean and its best.

    Attributes:
        spread: shape (bins, levels), trials whose objective lies between two edges; beyond the first and the
            last edge they count as at it.
        ranked: shape (bins,), trials that rank.
        best: shape (bins,), the best objective of those that rank; NaN for none.
    """

    def __init__(self, bins: int, edges: Floats, *, more_is_better: bool) -> None:
        self._edges = edges
        self._more = more_is_better
        levels = len(edges) - 1
        self.spread: Whole = np.zeros((bins, levels), dtype=np.int64)
        self.ranked: Whole = np.zeros(bins, dtype=np.int64)
        self.best: Floats = np.full(bins, np.nan)
        self._sums: Floats = np.zeros(bins)

    def add(self, batch: TrialBatch, own: NDArray[np.int64], level: Whole) -> None:
        """Takes in some trials; `level` is NOBODY for those without an objective."""
        bins, levels = self.spread.shape
        there = level != NOBODY
        at = own[there]
        self.spread += np.bincount(at * levels + level[there], minlength=bins * levels).reshape(bins, levels)
        self._sums += np.bincount(at, weights=batch.objective[there], minlength=bins)
        ranks = batch.rank > 0
        self.ranked += np.bincount(own[ranks], minlength=bins)
        keep = np.fmax if self._more else np.fmin
        keep.at(self.best, own[ranks], batch.objective[ranks])

    @property
    def mean(self) -> Floats:
        """Mean objective of each bin; NaN for none."""
        known = self.spread.sum(axis=1)
        return _divided(self._sums, known)


def levels_of(objective: Floats, edges: Floats) -> Whole:
    """Between which edges each objective lies, the ends included; NOBODY for none."""
    level = np.searchsorted(edges, objective, side="right") - 1
    clipped = np.clip(level, 0, len(edges) - 2).astype(np.int64)
    return np.where(np.isnan(objective), NOBODY, clipped)


def _divided(sums: Floats, known: Whole) -> Floats:
    means: Floats = np.divide(sums, known, out=np.full(len(known), np.nan), where=known > 0)
    return means
