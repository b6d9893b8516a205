"""Combinations drawn independently, each value as likely as any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.research.search.uniform_numbers import points_at
from backtest_pipeline.research.space import Points, Space

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBERS_A_COUNT = 4
"""How many numbers Philox makes of one count of its counter."""


class RandomDraws:
    """Random combinations; the same may come twice.

    The generator counts (Philox), so any trial's numbers are found without drawing those before.

    Args:
        space: what varies.
        trials: how many.
        seed: of the draws.
    """

    batch_trials: int | None = None

    def __init__(self, space: Space, trials: int, seed: int) -> None:
        self.trials = trials
        self._space = space
        self._key = np.array([abs(seed), int(seed < 0)], dtype=np.uint64)

    def points(self, start: int, stop: int, earlier: Sequence[pa.Table] = ()) -> Points:  # noqa: ARG002  hangs on none
        """See `Search`."""
        keys = len(self._space.axes)
        counts_a_trial = -(-keys // _NUMBERS_A_COUNT)
        generator = np.random.Generator(np.random.Philox(key=self._key).advance(start * counts_a_trial))
        drawn = generator.random((stop - start, counts_a_trial * _NUMBERS_A_COUNT))
        return points_at(self._space, start, drawn[:, :keys])
