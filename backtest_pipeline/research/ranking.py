"""Which trials rank, and where: by the objective in its better direction, then by number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from backtest_pipeline.model.metric_catalog import METRICS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.sweep_request import SweepRequest

    Floats = NDArray[np.float64]


def more_is_better(request: SweepRequest) -> bool:
    """Whether a higher objective is the better one."""
    return METRICS[request.objective].better == "more"


def scores_of(request: SweepRequest, trials: pa.Table) -> Floats:
    """The objective of each trial that ranks; NaN where there is none or a condition is not met."""
    scores = _floats(trials, "objective")
    for condition in request.conditions:
        scores[~condition.holds(_floats(trials, condition.metric))] = np.nan
    return scores


class Ranking:
    """Takes trials in, a table at a time, and tells the rank of each at the end.

    Keeps eight bytes a trial, so tables need not be kept. Of equal objectives the lower number comes first.

    Args:
        request: the sweep.
    """

    def __init__(self, request: SweepRequest) -> None:
        self._request = request
        self._scores = np.full(request.planned_trials, np.nan)
        self._order: NDArray[np.int64] | None = None

    def add(self, trials: pa.Table) -> None:
        """Takes note of a table of trials, in whatever order tables come."""
        self._scores[trials.column("trial").to_numpy()] = scores_of(self._request, trials)
        self._order = None

    @property
    def ranked(self) -> int:
        """How many trials rank."""
        return len(self._sorted())

    def best(self, count: int) -> list[int]:
        """Numbers of the best trials, the very best first."""
        return [int(number) for number in self._sorted()[:count]]

    def ranks(self) -> NDArray[np.int64]:
        """Rank of every trial, from 1; 0 where it has none."""
        ranks = np.zeros(len(self._scores), dtype=np.int64)
        order = self._sorted()
        ranks[order] = np.arange(1, len(order) + 1)
        return ranks

    def _sorted(self) -> NDArray[np.int64]:
        if self._order is None:
            scores = -self._scores if more_is_better(self._request) else self._scores
            self._order = np.argsort(scores, kind="stable")[: np.count_nonzero(~np.isnan(scores))]
        return self._order


def with_ranks(trials: pa.Table, ranks: NDArray[np.int64]) -> pa.Table:
    """A table of trials with the ranks of all filled in, where there is one."""
    own = ranks[trials.column("trial").to_numpy()]
    place = trials.schema.get_field_index("rank")
    return trials.set_column(place, "rank", pa.array(own, pa.int64(), mask=own == 0))


def _floats(trials: pa.Table, name: str) -> Floats:
    """A column of numbers, NaN for none."""
    values: Floats = trials.column(name).cast(pa.float64()).to_numpy().copy()
    return values
