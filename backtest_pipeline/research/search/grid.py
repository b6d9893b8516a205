"""All combinations, the last key's values following each other fastest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.research.space import Points, Space

if TYPE_CHECKING:
    import pyarrow as pa


class Grid:
    """Every combination of a space whose values can be counted.

    Args:
        space: none of its keys without an end of values.
    """

    batch_trials: int | None = None

    def __init__(self, space: Space) -> None:
        self._counts = {key: axis.count or 0 for key, axis in space.axes.items()}
        self.trials = math.prod(self._counts.values())

    def points(self, start: int, stop: int, earlier: Sequence[pa.Table] = ()) -> Points:  # noqa: ARG002  hangs on none
        """See `Search`."""
        rest = np.arange(start, stop, dtype=np.int64)
        places = {}
        for key, count in reversed(self._counts.items()):
            rest, places[key] = np.divmod(rest, count)
        return Points(start, {key: places[key] for key in self._counts})
