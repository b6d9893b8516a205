"""Results of trials by row, in whatever order they come, and the tables that are made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.trial_states import FAILED, INVALID
from backtest_pipeline.research.kernel_arrays import BLOCKS, FIGURES
from backtest_pipeline.research.trial_table import (
    TrialChunk,
    blocks_table,
    by_symbol_table,
    trials_table,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.research.space import Points, Space

    Floats = NDArray[np.float64]
    Rows = NDArray[np.int64]
    Found = tuple[Floats, Floats, Rows, Floats, Floats]


class TrialRows:
    """What trials that follow each other have yielded so far.

    Args:
        count: how many trials.
        several_symbols: whether a trial may have several symbols, so that each one's figures are kept.
    """

    def __init__(self, count: int, *, several_symbols: bool) -> None:
        self._several = several_symbols
        self._figures = np.full((count, len(FIGURES)), np.nan)
        self._counts = np.zeros((count, BLOCKS), dtype=np.int64)
        self._sums, self._squares = np.zeros((2, count, BLOCKS))
        self._errors: dict[int, tuple[str, str]] = {}
        self._owners: list[Rows] = []
        self._symbols: list[str] = []
        self._symbol_figures: list[Floats] = []

    def refuse(self, trials: Rows, problem: str) -> None:
        """Notes that trials are no backtests that anybody could ask for."""
        self._errors |= dict.fromkeys(trials.tolist(), (INVALID, problem))

    def fail(self, trials: Rows, problem: str) -> None:
        """Notes that trials could not be run to their end."""
        self._errors |= dict.fromkeys(trials.tolist(), (FAILED, problem))

    def room(self, trials: int, symbols: int) -> Found:
        """Arrays for what the kernel finds: figures, those of each symbol, and counts, sums and squares."""
        sums, squares = np.empty((2, trials, BLOCKS))
        return (
            np.empty((trials, len(FIGURES))),
            np.empty((trials * symbols if symbols > 1 else 0, len(FIGURES))),
            np.empty((trials, BLOCKS), dtype=np.int64),
            sums,
            squares,
        )

    def take(self, trials: Rows, symbols: Sequence[str], found: Found) -> None:
        """Takes what the kernel has found for trials of these symbols."""
        figures, symbol_figures, counts, sums, squares = found
        self._figures[trials] = figures
        self._counts[trials], self._sums[trials], self._squares[trials] = counts, sums, squares
        if self._several:
            self._owners.append(np.repeat(trials, len(symbols)))
            self._symbols += [*symbols] * len(trials)
            self._symbol_figures.append(symbol_figures if len(symbols) > 1 else figures)

    def chunk(self, space: Space, points: Points, objective: str) -> TrialChunk:
        """The tables.

        Args:
            space: what varies.
            points: the trials.
            objective: name of the metric that ranks.
        """
        completed = np.ones(len(points), dtype=np.bool_)
        completed[list(self._errors)] = False
        numbers = np.arange(points.first, points.first + len(points))
        by_symbol = None
        if self._several:
            owners = np.concatenate([np.empty(0, dtype=np.int64), *self._owners])
            figures = np.concatenate([np.empty((0, len(FIGURES))), *self._symbol_figures])
            order = np.argsort(owners, kind="stable")
            symbols = [self._symbols[place] for place in order]
            by_symbol = by_symbol_table(numbers[owners[order]], symbols, figures[order])
        return TrialChunk(
            trials_table(numbers, space.columns(points), objective, self._figures, completed, self._errors),
            by_symbol,
            blocks_table(
                numbers[completed],
                self._counts[completed],
                self._sums[completed],
                self._squares[completed],
            ),
        )
