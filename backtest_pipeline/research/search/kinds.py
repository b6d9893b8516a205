"""The searches by name, and what they have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from backtest_pipeline.research.search.grid import Grid
from backtest_pipeline.research.search.random_draws import RandomDraws
from backtest_pipeline.research.search.sobol import Sobol
from backtest_pipeline.research.search.tpe import TreeParzen
from backtest_pipeline.research.space import Points, Space

if TYPE_CHECKING:
    import pyarrow as pa

    from backtest_pipeline.model.sweep_request import SweepRequest


class Search(Protocol):
    """Which combination each trial has, by its number.

    Attributes:
        trials: how many there are.
        batch_trials: after every so many trials, the choice of the next ones needs the results of all before;
            none where no choice hangs on a result.
    """

    trials: int
    batch_trials: int | None

    def points(self, start: int, stop: int, earlier: Sequence[pa.Table] = ()) -> Points:
        """The combinations of the trials `start` to `stop` (excluded).

        Args:
            start: number of the first.
            stop: number after the last; no more than the end of the batch that `start` lies in.
            earlier: tables of trials that hold all before that batch, in the order of their numbers.
        """


def search_of(request: SweepRequest) -> Search:
    """The search that a request asks for."""
    space = Space.of(request.space)
    if request.search == "grid":
        return Grid(space)
    if request.search == "random":
        return RandomDraws(space, request.planned_trials, request.seed)
    if request.search == "sobol":
        return Sobol(space, request.planned_trials, request.seed)
    return TreeParzen(space, request)


def batch_end(search: Search, start: int) -> int:
    """The number after the last trial that can be chosen with the results of those before `start` alone."""
    if search.batch_trials is None:
        return search.trials
    return min((start // search.batch_trials + 1) * search.batch_trials, search.trials)
