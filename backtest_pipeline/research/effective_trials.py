"""How many unlike trials a search has: clusters of the trials' returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.research.block_sharpe import TrialBlocks

ALIKE = 0.8
"""Correlation of block returns from which on two trials count as one."""


def effective_trials(blocks: TrialBlocks, alike: float = ALIKE) -> int:
    """Return the number of clusters of trials whose returns rise and fall together.

    After López de Prado (2019), "A Data Science Solution to the Multiple-Testing Crisis in Financial
    Research", who clusters trials by the correlation of their returns. The method here is leader clustering:
    the first trial, by number, leads a cluster and takes with it every trial whose returns by block correlate
    with its own by `alike` or more; so does the first of those left, until none is left. It needs neither a
    number of clusters nor random starts, and time of the order of trials times clusters.

    Sixteen blocks tell only so many directions apart: of more than some thousand independent trials, some
    look alike by chance, and the count is too low. Trials whose returns do not vary are one cluster. A block
    in which a trial has no bar counts as one in which it earned nothing.

    Args:
        blocks: of the trials that were run.
        alike: the correlation, in (0, 1].
    """
    means = blocks.sum / np.maximum(blocks.count, 1)
    centred = means - means.mean(axis=1, keepdims=True)
    lengths = np.sqrt((centred**2).sum(axis=1))
    moving = lengths > 0.0
    left: NDArray[np.float64] = centred[moving] / lengths[moving, None]
    clusters = int(not moving.all())
    while len(left):
        left = left[1:][left[1:] @ left[0] < alike]
        clusters += 1
    return clusters
