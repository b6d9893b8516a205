"""The tables of a sweep: of trials, of trials by symbol, and of the blocks of their returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from backtest_pipeline.engine.metrics.account_metrics import METRIC_NAMES
from backtest_pipeline.model.metric_catalog import METRICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.research.space import Points, Space

    Floats = NDArray[np.float64]

COMPLETED, INVALID, FAILED = "completed", "invalid", "failed"
BLOCKS = 16


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
    space: Space,
    points: Points,
    objective: str,
    metrics: Floats,
    completed: NDArray[np.bool_],
    errors: dict[int, tuple[str, str]],
) -> pa.Table:
    """The rows of some trials.

    Args:
        space: what varies.
        points: n trials.
        objective: name of the metric that ranks.
        metrics: shape (n, metrics), in the order of `METRIC_NAMES`, NaN for none.
        completed: shape (n,), which trials have been run.
        errors: by row, state and message of the others.
    """
    states = [COMPLETED] * len(points)
    messages: list[str | None] = [None] * len(points)
    for row, (state, message) in errors.items():
        states[row], messages[row] = state, message
    columns = {
        "trial": _numbers(points),
        "state": pa.array(states, pa.string()),
        "rank": pa.nulls(len(points), pa.int64()),
        "objective": _metric(objective, metrics, completed).cast(pa.float64()),
        **space.columns(points),
        **{name: _metric(name, metrics, completed) for name in METRIC_NAMES},
        "error": pa.array(messages, pa.string()),
    }
    return pa.table(columns)


def by_symbol_table(numbers: Sequence[int], symbols: Sequence[str], metrics: Floats) -> pa.Table:
    """The rows of some trials' symbols.

    Args:
        numbers: of the trials, one a row.
        symbols: one a row.
        metrics: shape (n, metrics), in the order of `METRIC_NAMES`, NaN for none.
    """
    there = np.ones(len(numbers), dtype=np.bool_)
    columns = {
        "trial": pa.array(numbers, pa.int64()),
        "symbol": pa.array(symbols, pa.string()),
        **{name: _metric(name, metrics, there) for name in METRIC_NAMES},
    }
    return pa.table(columns)


def blocks_table(
    points: Points, completed: NDArray[np.bool_], counts: NDArray[np.int32], sums: Floats, squares: Floats
) -> pa.Table:
    """The blocks of the trials that have been run.

    Args:
        points: n trials.
        completed: shape (n,).
        counts: shape (n, 16), bars of each block.
        sums: shape (n, 16), of the bars' returns.
        squares: shape (n, 16), sums of the squares of the returns.
    """
    numbers = _numbers(points).filter(pa.array(completed))
    columns = {
        "trial": numbers,
        "count": _lists(counts[completed]),
        "sum": _lists(sums[completed]),
        "sum_squares": _lists(squares[completed]),
    }
    return pa.table(columns)


def _numbers(points: Points) -> pa.Array:
    return pa.array(np.arange(points.first, points.first + len(points)), pa.int64())


def _metric(name: str, metrics: Floats, there: NDArray[np.bool_]) -> pa.Array:
    """A metric's column, none where a trial has not been run or the metric is none; counts are whole."""
    values = np.ascontiguousarray(metrics[:, METRIC_NAMES.index(name)])
    missing = ~there | np.isnan(values)
    if METRICS[name].unit == "count":
        return pa.array(np.where(missing, 0.0, values).astype(np.int64), pa.int64(), mask=missing)
    return pa.array(values, pa.float64(), mask=missing)


def _lists(values: NDArray[Any]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
