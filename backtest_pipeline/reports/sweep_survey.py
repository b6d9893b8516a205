"""A first look over all trials of a sweep: how the objective is spread, and which names move it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.reports.sweep_trials import COMPLETED, TrialBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from backtest_pipeline.reports.sweep_axes import SweepAxis
    from backtest_pipeline.reports.sweep_trials import TrialSource

    Floats = NDArray[np.float64]

LEVELS = 40
_FAR_IQRS = 6.0
_EFFECT_BINS = 20


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known after the first look.

    Attributes:
        trials: how many.
        ranked: how many rank.
        scored: how many completed trials have an objective.
        median: of their objectives; NaN where there are none.
        edges: shape (LEVELS + 1,), between which the objective is counted; the outer levels take in what lies
            further out. Of equal objectives, or none, edges around them.
        counts: shape (LEVELS,), trials between the edges.
        beyond: how many objectives lie below the first and above the last edge.
        effects: for each name, the share of the objective's variance that lies between its bins (eta squared:
            the sum over bins of n * (mean - overall mean)^2, over the sum of all squared deviations), from 0,
            where the name alone tells nothing, to 1.
        winner: the trial of rank 1; `None` where none ranks.
    """

    trials: int
    ranked: int
    scored: int
    median: float
    edges: Floats
    counts: NDArray[np.int64]
    beyond: tuple[int, int]
    effects: list[float]
    winner: TrialBatch | None


def surveyed(source: TrialSource, axes: Sequence[SweepAxis]) -> Survey:
    """Looks over all trials; keeps eight bytes of each."""
    objectives: list[Floats] = []
    sums = [np.zeros(axis.bins(_EFFECT_BINS)) for axis in axes]
    counts = [np.zeros(axis.bins(_EFFECT_BINS)) for axis in axes]
    winner, trials, ranked = None, 0, 0
    for batch in source.batches():
        trials += len(batch)
        ranked += int((batch.rank > 0).sum())
        first = np.flatnonzero(batch.rank == 1)
        winner = batch.take(first) if len(first) else winner
        there = (batch.state == COMPLETED) & ~np.isnan(batch.objective)
        own = batch.objective[there]
        objectives.append(own)
        for name, axis in enumerate(axes):
            bins = len(sums[name])
            at = axis.binned(batch.places[axis.key][there], bins)
            sums[name] += np.bincount(at, weights=own, minlength=bins)
            counts[name] += np.bincount(at, minlength=bins)
    scored = np.concatenate(objectives) if objectives else np.empty(0)
    edges = _edges(scored, None if winner is None else float(winner.objective[0]))
    inside = np.clip(scored, edges[0], edges[-1])
    return Survey(
        trials=trials,
        ranked=ranked,
        scored=len(scored),
        median=float(np.median(scored)) if len(scored) else math.nan,
        edges=edges,
        counts=np.histogram(inside, edges)[0].astype(np.int64),
        beyond=(int((scored < edges[0]).sum()), int((scored > edges[-1]).sum())),
        effects=[_effect(scored, total, known) for total, known in zip(sums, counts, strict=True)],
        winner=winner,
    )


def _edges(scored: Floats, winner: float | None) -> Floats:
    """Even steps over the objectives but for the few that lie far out; the winner is always inside."""
    if not len(scored):
        return np.linspace(0.0, 1.0, LEVELS + 1)
    low, high = float(scored.min()), float(scored.max())
    quarter, three = (float(one) for one in np.quantile(scored, (0.25, 0.75)))
    far = _FAR_IQRS * (three - quarter)
    if far > 0.0:
        low, high = max(low, quarter - far), min(high, three + far)
    if winner is not None:
        low, high = min(low, winner), max(high, winner)
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        room = 0.5 * abs(low) or 0.5
        low, high = low - room, high + room
    return np.linspace(low, high, LEVELS + 1)


def _effect(scored: Floats, sums: Floats, counts: Floats) -> float:
    if len(scored) < 2:
        return 0.0
    scale = float(np.abs(scored).max()) or 1.0  # squares of large numbers would overflow
    mean = float((scored / scale).mean())
    whole = float(((scored / scale - mean) ** 2).sum())
    if not whole > 0.0:
        return 0.0
    means = np.divide(sums / scale, counts, out=np.full(len(sums), mean), where=counts > 0)
    return float(min((counts * (means - mean) ** 2).sum() / whole, 1.0))
