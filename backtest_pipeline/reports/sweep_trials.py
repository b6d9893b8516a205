"""Trials as the report reads them: columns of some at a time, never all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from backtest_pipeline.model import trial_states
from backtest_pipeline.model.trial_states import TRIAL_STATES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]

COMPLETED = TRIAL_STATES.index(trial_states.COMPLETED)


@dataclass(frozen=True, eq=False, slots=True)
class TrialBatch:
    """Some trials, a row each.

    Attributes:
        trial: shape (n,), their numbers.
        rank: shape (n,), from 1; 0 for none.
        state: shape (n,), places in `TRIAL_STATES`.
        objective: shape (n,), NaN for none.
        places: by name of the space, shape (n,): places of the values, or the values themselves where a
            range has no steps.
        metrics: by name, shape (n,), NaN for none.
        errors: by row, why a trial was not completed; empty unless asked for.
    """

    trial: Whole
    rank: Whole
    state: NDArray[np.int8]
    objective: Floats
    places: Mapping[str, NDArray[Any]]
    metrics: Mapping[str, Floats]
    errors: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.trial)

    def take(self, rows: NDArray[Any]) -> TrialBatch:
        """Some of the rows, in the order given."""
        return TrialBatch(
            self.trial[rows],
            self.rank[rows],
            self.state[rows],
            self.objective[rows],
            {key: own[rows] for key, own in self.places.items()},
            {name: own[rows] for name, own in self.metrics.items()},
            {place: self.errors[row] for place, row in enumerate(rows.tolist()) if row in self.errors},
        )


class TrialSource(Protocol):
    """Where the trials of a sweep come from, as often as they are asked for."""

    @property
    def metrics(self) -> Sequence[str]:
        """Those that are known of each."""
        ...

    def batches(self, metrics: Sequence[str] = (), *, with_errors: bool = False) -> Iterator[TrialBatch]:
        """All trials in the order of their numbers, which follow each other, some at a time."""
        ...


def merit(batch: TrialBatch, trials: int) -> Whole:
    """Which of some trials stands for all of them: the one with the least merit number.

    Ranked trials come first, by rank; then completed ones and then all others, by number.

    Args:
        batch: n trials.
        trials: how many the sweep has.

    Returns:
        Shape (n,), different for different trials.
    """
    behind = trials + 1 + batch.trial + trials * (batch.state != COMPLETED)
    return np.where(batch.rank > 0, batch.rank, behind)


def joined(batches: Sequence[TrialBatch]) -> TrialBatch:
    """Several batches as one; at least one."""
    starts = np.cumsum([0, *(len(batch) for batch in batches)]).tolist()
    return TrialBatch(
        np.concatenate([batch.trial for batch in batches]),
        np.concatenate([batch.rank for batch in batches]),
        np.concatenate([batch.state for batch in batches]),
        np.concatenate([batch.objective for batch in batches]),
        {key: np.concatenate([batch.places[key] for batch in batches]) for key in batches[0].places},
        {name: np.concatenate([batch.metrics[name] for batch in batches]) for name in batches[0].metrics},
        {
            start + row: text
            for start, batch in zip(starts, batches, strict=False)
            for row, text in batch.errors.items()
        },
    )
