"""The tables of a sweep: of trials, of trials by symbol, and of the blocks of their returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from backtest_pipeline.engine.metrics.account_metrics import METRIC_NAMES
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.trial_states import COMPLETED
from backtest_pipeline.research.kernel_arrays import BLOCKS, FIGURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class TrialChunk:
    """What some trials that follow each other have yielded.

    Attributes:
        trials: one row a trial, columns `trial, state, rank, objective, <a column for each key of the space>,
            <every metric>, error`; `rank` is none until all trials are known.
        by_symbol: one row a completed trial and symbol, columns `trial, symbol, <every metric>`; none where
            no trial has several symbols.
        blocks: one row a completed trial, columns `trial, count, sum, sum_squares`, the latter three lists of
            16: of the bar returns of its account in each of 16 even blocks of time.
    """

    trials: pa.Table
    by_symbol: pa.Table | None
    blocks: pa.Table


def trials_table(
    numbers: Rows,
    values: Mapping[str, pa.Array],
    objective: str,
    figures: Floats,
    completed: NDArray[np.bool_],
    errors: Mapping[int, tuple[str, str]],
) -> pa.Table:
    """The rows of some trials.

    Args:
        numbers: shape (n,), of the trials.
        values: by key of the space, a column of values.
        objective: name of the metric that ranks.
        figures: shape (n, figures), in the order of `FIGURES`, NaN for none.
        completed: shape (n,), which trials have been run.
        errors: by row, state and message of the others.
    """
    states = [COMPLETED] * len(numbers)
    messages: list[str | None] = [None] * len(numbers)
    for row, (state, message) in errors.items():
        states[row], messages[row] = state, message
    metrics = _metrics(figures, ~completed)
    columns = {
        "trial": pa.array(numbers, pa.int64()),
        "state": pa.array(states, pa.string()),
        "rank": pa.nulls(len(numbers), pa.int64()),
        "objective": metrics[objective].cast(pa.float64()),
        **values,
        **metrics,
        "error": pa.array(messages, pa.string()),
    }
    return pa.table(columns)


def by_symbol_table(numbers: Rows, symbols: Sequence[str], figures: Floats) -> pa.Table:
    """The rows of some trials' symbols.

    Args:
        numbers: of the trials, one a row.
        symbols: one a row.
        figures: shape (n, figures), in the order of `FIGURES`, NaN for none.
    """
    columns = {
        "trial": pa.array(numbers, pa.int64()),
        "symbol": pa.array(symbols, pa.string()),
        **_metrics(figures, np.zeros(len(numbers), dtype=np.bool_)),
    }
    return pa.table(columns)


def blocks_table(numbers: Rows, counts: Rows, sums: Floats, squares: Floats) -> pa.Table:
    """The blocks of the trials that have been run.

    Args:
        numbers: shape (n,), of the trials.
        counts: shape (n, 16), bars of each block.
        sums: shape (n, 16), of the bars' returns.
        squares: shape (n, 16), sums of the squares of the returns.
    """
    columns = {
        "trial": pa.array(numbers, pa.int64()),
        "count": _lists(counts.astype(np.int32)),
        "sum": _lists(sums),
        "sum_squares": _lists(squares),
    }
    return pa.table(columns)


def _metrics(figures: Floats, without: NDArray[np.bool_]) -> dict[str, pa.Array]:
    """Every metric's column, none where a trial has not been run or the metric is none; counts are whole."""
    columns = np.ascontiguousarray(figures.T)
    missing = np.isnan(columns) | without
    found = {}
    for name in METRIC_NAMES:
        place = FIGURES.index(name)
        values, there = columns[place], missing[place]
        if METRICS[name].unit == "count":
            whole = np.where(there, 0.0, values).astype(np.int64)
            found[name] = pa.array(whole, pa.int64(), mask=there)
        else:
            found[name] = pa.array(values, pa.float64(), mask=there)
    return found


def _lists(values: NDArray[Any]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), BLOCKS)
