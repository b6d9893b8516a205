"""All that a sweep's report says of a million trials, gathered in three passes over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.reports.sweep_axes import SweepAxis, fitting_bins
from backtest_pipeline.reports.sweep_grids import ObjectiveByName, TrialGrid, levels_of
from backtest_pipeline.reports.sweep_neighbourhood import NeighbourSearch
from backtest_pipeline.reports.sweep_survey import surveyed
from backtest_pipeline.reports.sweep_trials import TrialBatch, joined, merit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.reports.sweep_neighbourhood import Neighbourhood
    from backtest_pipeline.reports.sweep_survey import Survey
    from backtest_pipeline.reports.sweep_trials import TrialSource

MAIN_METRICS = (
    "sharpe",
    "total_return",
    "cagr",
    "max_drawdown",
    "calmar",
    "sortino",
    "win_rate",
    "profit_factor",
    "trades",
    "exposure",
)
MOST_BINS, MOST_PAIR_CELLS, MOST_CUBE_CELLS = 40, 8_000, 6_000
MOST_CROSSED_NAMES = 8
MOST_TOP, MOST_SAMPLED = 50, 300
_METRICS_TIMES_GRIDS = 280
"""Each of them is a sum over all trials."""
_MOST_BYTES, _BYTES_A_METRIC, _BYTES_A_NAME = 4_000_000, 16, 13
"""Of the page's data; a cell has a mean of each metric, and a trial that stands for it with its values."""


@dataclass(frozen=True, eq=False)
class SweepSummary:
    """What is known of a sweep.

    Attributes:
        axes: of all names.
        crossed: which of them are in grids, the one that moves the objective most first.
        metrics: which are in grids and of which trials are listed, the objective first.
        survey: of all trials.
        pairs: a grid for each two crossed names.
        cube: one grid over all crossed names together, coarser where they have many values.
        by_name: the objective along each name of `axes`.
        listed: the trials that are looked at one by one: those that stand for a cell, the best, and some of
            all ranks; by number.
        sampled: ranks of those of all ranks, in order.
        neighbourhood: of the winner; `None` without one.
        profiles: for each name of `axes`, position and objective of the winner and of those that differ from
            it in that name alone.
    """

    axes: list[SweepAxis]
    crossed: list[int]
    metrics: list[str]
    survey: Survey
    pairs: list[TrialGrid]
    cube: TrialGrid
    by_name: list[ObjectiveByName]
    listed: TrialBatch
    sampled: NDArray[np.int64]
    neighbourhood: Neighbourhood | None
    profiles: list[list[tuple[float, float]]]


def summarised(source: TrialSource, request: SweepRequest) -> SweepSummary:
    """Gathers what the report shows. Memory does not grow with trials but for eight bytes of each.

    Args:
        source: of the trials; at least one.
        request: what was asked.
    """
    axes = [SweepAxis.of(key, values) for key, values in request.space.items()]
    survey = surveyed(source, axes)
    crossed = sorted(range(len(axes)), key=lambda name: -survey.effects[name])[:MOST_CROSSED_NAMES]
    pairs_of = list(combinations(crossed, 2))
    sizes = _pair_sizes([axes[name] for name in crossed], len(pairs_of))
    size_of = dict(zip(crossed, sizes, strict=True))
    cube_sizes = fitting_bins([axes[name] for name in crossed], MOST_BINS, MOST_CUBE_CELLS)
    cells = sum(size_of[one] * size_of[other] for one, other in pairs_of) + math.prod(cube_sizes)
    room = (_MOST_BYTES // cells - _BYTES_A_NAME * len(axes)) // _BYTES_A_METRIC
    most_metrics = min(_METRICS_TIMES_GRIDS // (len(pairs_of) + 1), room)
    metrics = _shown_metrics(request.objective, source.metrics, most_metrics)
    pairs = [TrialGrid(pair, [size_of[name] for name in pair], metrics, survey.trials) for pair in pairs_of]
    cube = TrialGrid(crossed, cube_sizes, metrics, survey.trials)
    more = METRICS[request.objective].better == "more"
    by_name = [ObjectiveByName(axis.bins(MOST_BINS), survey.edges, more_is_better=more) for axis in axes]
    search = NeighbourSearch(axes, survey.winner, drawn=request.search != "grid") if survey.winner else None
    for batch in source.batches(metrics):
        order = np.argsort(-merit(batch, survey.trials), kind="stable")
        level = levels_of(np.where(batch.state == 0, batch.objective, np.nan), survey.edges)
        fine = {name: axes[name].binned(batch.places[axes[name].key], size_of[name]) for name in crossed}
        coarse = [
            fine[name] if size == size_of[name] else axes[name].binned(batch.places[axes[name].key], size)
            for name, size in zip(crossed, cube_sizes, strict=True)
        ]
        for grid in pairs:
            grid.add(batch, [fine[name] for name in grid.names], order)
        cube.add(batch, coarse, order)
        for axis, own in zip(axes, by_name, strict=True):
            own.add(batch, axis.binned(batch.places[axis.key], len(own.best)), level)
        if search is not None:
            search.add(batch)
    sampled = np.unique(np.linspace(1, survey.ranked, MOST_SAMPLED).round().astype(np.int64))
    ranks = np.union1d(np.arange(1, MOST_TOP + 1), sampled)
    listed = _listed(source, metrics, [*pairs, cube], ranks)
    return SweepSummary(
        axes=axes,
        crossed=crossed,
        metrics=metrics,
        survey=survey,
        pairs=pairs,
        cube=cube,
        by_name=by_name,
        listed=listed,
        sampled=sampled,
        neighbourhood=search.neighbourhood(survey.median, more_is_better=more) if search else None,
        profiles=[search.profile(name) for name in range(len(axes))] if search else [[] for _ in axes],
    )


def _shown_metrics(objective: str, known: Sequence[str], most: int) -> list[str]:
    """Which metrics can be chosen: the objective, those looked at most, the others if there is room."""
    ordered = [name for name in dict.fromkeys([objective, *MAIN_METRICS, *known]) if name in known]
    return ordered[: max(most, len(MAIN_METRICS) + 1)]


def _pair_sizes(axes: list[SweepAxis], pairs: int) -> list[int]:
    """Bins of each crossed name in the grids of two: as many as all grids together have room for."""
    most = MOST_BINS
    if pairs:
        while most > 8 and pairs * most * most > MOST_PAIR_CELLS:
            most -= 1
    return [axis.bins(most) for axis in axes]


def _listed(
    source: TrialSource, metrics: Sequence[str], grids: Sequence[TrialGrid], ranks: NDArray[np.int64]
) -> TrialBatch:
    """The rows of the trials that stand for cells and of those of some ranks, in a pass of its own."""
    wanted = np.unique(np.concatenate([grid.best for grid in grids]))
    found = []
    for batch in source.batches(metrics, with_errors=True):
        chosen = np.isin(batch.rank, ranks) | np.isin(batch.trial, wanted)
        found.append(batch.take(np.flatnonzero(chosen)))
    return joined(found)
