"""From numbers between 0 and 1 to places of a space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.ranges import FloatRange
from backtest_pipeline.research.space import Axis, Points, Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def points_at(space: Space, first: int, uniform: Floats) -> Points:
    """The points whose shares of each key's values are given.

    Args:
        space: what varies.
        first: number of the first trial.
        uniform: shape (trials, keys), 0 to below 1, in the order of the space's keys.
    """
    columns = zip(space.axes.items(), uniform.T, strict=True)
    return Points(first, {key: _places(axis, shares) for (key, axis), shares in columns})


def _places(axis: Axis, shares: Floats) -> NDArray[np.int64] | Floats:
    if axis.count is not None:
        places: NDArray[np.int64] = np.minimum((shares * axis.count).astype(np.int64), axis.count - 1)
        return places
    span = axis.values
    if not isinstance(span, FloatRange):
        raise TypeError(f"{axis.key} has no end of values and is no range of floats")
    if span.log:  # in the C library's logarithm, which NumPy replaces on some processors
        low, high = math.log(span.low), math.log(span.high)
        numbers = np.array([math.exp((1.0 - share) * low + share * high) for share in shares.tolist()])
    else:
        numbers = (1.0 - shares) * span.low + shares * span.high
    within: Floats = np.clip(numbers, span.low, span.high)
    return within
