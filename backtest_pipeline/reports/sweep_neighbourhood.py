"""Is the winner on a plateau or on a spike? Its objective against the mean of its neighbours in the space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.reports.sweep_trials import COMPLETED, TrialBatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.reports.sweep_axes import SweepAxis

    Floats = NDArray[np.float64]

DRAWN_RADIUS_FRAC = 0.05
PLATEAU, SPIKE = 0.8, 0.5


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """What surrounds the winner.

    Attributes:
        winner: its objective.
        neighbours: completed trials around it that have an objective.
        others: trials around it that have none, as they are invalid, failed or the metric is undefined.
        mean: mean objective of the neighbours; NaN where there are none.
        worst: the worst of them.
        median: of all trials' objectives.
        more_is_better: whether a higher objective is the better one.
    """

    winner: float
    neighbours: int
    others: int
    mean: float
    worst: float
    median: float
    more_is_better: bool

    @property
    def leads(self) -> bool:
        """Whether the winner beats the median; trials that break a condition may be better than it."""
        return self.winner > self.median if self.more_is_better else self.winner < self.median

    @property
    def kept(self) -> float | None:
        """Which share of the winner's lead its neighbours keep: (mean - median) / (winner - median).

        1: neighbours are as good (a plateau). 0: they are no better than the median trial (a spike). `None`
        without neighbours, or where the winner leads nobody.
        """
        if not self.neighbours or not self.leads:
            return None
        return (self.mean - self.median) / (self.winner - self.median)

    @property
    def shape(self) -> str:
        """What that is called: `plateau` from 0.8, `spike` below 0.5, `slope` between.

        `unknown` without neighbours, `behind` where there is no lead to keep.
        """
        if self.kept is None:
            return "behind" if self.neighbours else "unknown"
        return "plateau" if self.kept >= PLATEAU else "spike" if self.kept < SPIKE else "slope"


class NeighbourSearch:
    """Finds the winner's neighbours among all trials, a batch at a time.

    A neighbour is another trial that lies within a radius of the winner on every ordered name, and has the
    winner's value of every name that has no order (texts, truth values, lists, and lists with `none` among
    numbers). The radius is one step: the next value of a list of numbers or of a range. A search that draws
    (any but grid) seldom hits the next step of all names at once, so there it is a twentieth of the range,
    at least one step.

    Beside the neighbours it collects profiles: trials that differ from the winner in one name alone.

    Args:
        axes: of all names.
        winner: one trial.
        drawn: whether the search draws.
    """

    def __init__(self, axes: Sequence[SweepAxis], winner: TrialBatch, *, drawn: bool) -> None:
        self._axes = axes
        self._winner = winner
        self._at = [float(axis.positions(winner.places[axis.key])[0]) for axis in axes]
        self._radii = [_radius(axis, drawn=drawn) for axis in axes]
        self._found: list[Floats] = []
        self._others = 0
        self._profiles: list[list[tuple[float, float]]] = [[] for _ in axes]

    def add(self, batch: TrialBatch) -> None:
        """Looks at some trials."""
        near = batch.trial != self._winner.trial[0]
        off = np.zeros(len(batch), dtype=np.int64)
        last_off = np.zeros(len(batch), dtype=np.int64)
        for name, (axis, at, radius) in enumerate(zip(self._axes, self._at, self._radii, strict=True)):
            distance = np.abs(axis.positions(batch.places[axis.key]) - at)
            near &= distance <= radius
            differs = distance > 0.0
            off += differs
            last_off[differs] = name
        scored = (batch.state == COMPLETED) & ~np.isnan(batch.objective)
        self._found.append(batch.objective[near & scored])
        self._others += int((near & ~scored).sum())
        for row in np.flatnonzero((off == 1) & scored).tolist():
            own = int(last_off[row])
            place = batch.places[self._axes[own].key][row : row + 1]
            along = float(self._axes[own].positions(place)[0])
            self._profiles[own].append((along, float(batch.objective[row])))

    def neighbourhood(self, median: float, *, more_is_better: bool) -> Neighbourhood:
        """What has been found."""
        found = np.concatenate(self._found) if self._found else np.empty(0)
        worst = math.nan
        if len(found):
            worst = float(found.min() if more_is_better else found.max())
        return Neighbourhood(
            winner=float(self._winner.objective[0]),
            neighbours=len(found),
            others=self._others,
            mean=float(found.mean()) if len(found) else math.nan,
            worst=worst,
            median=median,
            more_is_better=more_is_better,
        )

    def profile(self, name: int) -> list[tuple[float, float]]:
        """Position and objective of the winner and of all that differ from it in this name alone."""
        own = (self._at[name], float(self._winner.objective[0]))
        return sorted([own, *self._profiles[name]])


def _radius(axis: SweepAxis, *, drawn: bool) -> float:
    """How far away a neighbour may be, in positions; 0 where there is no order."""
    if not axis.is_ordered:
        return 0.0
    if axis.count is None:
        return DRAWN_RADIUS_FRAC
    return max(1.0, DRAWN_RADIUS_FRAC * (axis.count - 1)) if drawn else 1.0
