"""Combinations that fill the space evenly: Sobol's sequence, scrambled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.research.search.uniform_numbers import points_at
from backtest_pipeline.research.space import Points, Space

if TYPE_CHECKING:
    import pyarrow as pa
    from scipy.stats import qmc


class Sobol:
    """Sobol's sequence as SciPy scrambles it (Owen's LMS and shift), one dimension a key.

    Args:
        space: what varies.
        trials: how many; even coverage is best at powers of two.
        seed: of the scrambling.
    """

    batch_trials: int | None = None

    def __init__(self, space: Space, trials: int, seed: int) -> None:
        self.trials = trials
        self._space = space
        self._seed = [abs(seed), int(seed < 0)]

    def points(self, start: int, stop: int, earlier: Sequence[pa.Table] = ()) -> Points:  # noqa: ARG002  hangs on none
        """See `Search`."""
        sequence = self._sequence()
        if start > 0:
            sequence.fast_forward(start)
            return points_at(self._space, start, sequence.random(stop - start))
        # SciPy warns of a number of first points that is no power of two.
        first, others = sequence.random(1), sequence.random(stop - 1)
        return points_at(self._space, start, np.concatenate([first, others]))

    def _sequence(self) -> qmc.Sobol:
        from scipy.stats import qmc  # noqa: PLC0415  heavy, and this search alone needs it

        return qmc.Sobol(len(self._space.axes), scramble=True, rng=np.random.default_rng(self._seed))
