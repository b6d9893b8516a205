"""Which trials have some of their values in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.research.space import Points


def groups_of(points: Points, keys: Sequence[str]) -> tuple[list[int], NDArray[np.int64]]:
    """Puts trials with the same values of some keys together.

    Returns:
        The row of a first trial of each group, and the group of each trial.
    """
    rows = len(points)
    if not keys:
        return [0], np.zeros(rows, dtype=np.int64)
    columns = [np.ascontiguousarray(points.places[key]).view(np.int64) for key in keys]
    order = np.lexsort(columns[::-1])
    starts = np.zeros(rows, dtype=np.bool_)
    starts[0] = True
    for column in columns:
        own = column[order]
        starts[1:] |= own[1:] != own[:-1]
    group = np.empty(rows, dtype=np.int64)
    group[order] = np.cumsum(starts) - 1
    return [int(row) for row in order[starts]], group
