"""What the script of a sweep's report works on: grids and the trials that are looked at, packed."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.model import tags
from backtest_pipeline.model.launchpad import launchpad_path
from backtest_pipeline.model.metric_catalog import facts_of
from backtest_pipeline.model.space_values import values_as_json
from backtest_pipeline.model.trial_states import TRIAL_STATES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.reports.sweep_axes import SweepAxis
    from backtest_pipeline.reports.sweep_grids import TrialGrid
    from backtest_pipeline.reports.sweep_summary import SweepSummary
    from backtest_pipeline.reports.sweep_trials import TrialBatch

MOST_ERRORS, LONGEST_ERROR = 200, 300
_LARGEST_IN_4_BYTES = 3e38


def sweep_data(
    summary: SweepSummary, request: SweepRequest, task_id: str, config: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that the page's script needs.

    Arrays are little-endian base64. Names are in the order of `summary.crossed`, those that are in no grid
    behind them; grids refer to names by their places in that order, and to trials by their rows in `listed`.

    Args:
        summary: of the sweep.
        request: what was asked.
        task_id: of the sweep.
        config: the run config of the backtest of which something is varied.
    """
    order = [*summary.crossed, *(name for name in range(len(summary.axes)) if name not in summary.crossed)]
    place_of = {name: place for place, name in enumerate(order)}
    cube_size = dict(zip(summary.cube.names, summary.cube.sizes, strict=True))
    fine_size = dict(cube_size)
    for grid in summary.pairs:
        fine_size |= dict(zip(grid.names, grid.sizes, strict=True))
    return {
        "task": task_id,
        "objective": request.objective,
        "trials": summary.survey.trials,
        "config": dict(config),
        "setup": f"../..{launchpad_path(tags.JOB)}",
        "metrics": [
            {"name": name, "title": facts_of(name).title, "unit": facts_of(name).unit,
             "better": facts_of(name).better}
            for name in summary.metrics
        ],
        "names": [
            _name_data(summary.axes[name], request, fine_size.get(name), cube_size.get(name))
            for name in order
        ],
        "crossed": len(summary.crossed),
        "states": TRIAL_STATES,
        "pairs": [
            {"names": [place_of[name] for name in grid.names], **_grid_data(grid, summary)}
            for grid in summary.pairs
        ],
        "cube": _grid_data(summary.cube, summary, sparse=True),
        "listed": _listed_data(summary, order, fine_size, cube_size),
    }  # fmt: skip


def _name_data(axis: SweepAxis, request: SweepRequest, fine: int | None, cube: int | None) -> dict[str, Any]:
    values = request.space[axis.key]
    return {
        "key": axis.key,
        "labels": axis.labels(fine) if fine else [],
        "coarse": axis.labels(cube) if cube and cube != fine else None,
        "values": values_as_json(values) if isinstance(values, tuple) else None,
    }


def _grid_data(grid: TrialGrid, summary: SweepSummary, *, sparse: bool = False) -> dict[str, Any]:
    cells = np.flatnonzero(grid.count) if sparse else np.arange(len(grid.count))
    rows = np.searchsorted(summary.listed.trial, grid.best[cells])
    packed: dict[str, Any] = {
        "sizes": grid.sizes,
        "count": packed_array(grid.count[cells], "<u4"),
        "completed": packed_array(grid.completed[cells], "<u4"),
        "best": packed_array(np.where(grid.best[cells] >= 0, rows, -1), "<i4"),
        "means": [_means_data(grid.mean(name)[cells]) for name in summary.metrics],
        "known": [
            None
            if np.array_equal(grid.known(name), grid.completed)
            else packed_array(grid.known(name)[cells], "<u4")
            for name in summary.metrics
        ],
    }
    return {**packed, "cells": packed_array(cells, "<u4")} if sparse else packed


def _means_data(means: NDArray[np.float64]) -> str:
    """Means in 4 bytes each, or in 8 where there is one that is too large for them."""
    is_large = bool((np.abs(np.nan_to_num(means)) > _LARGEST_IN_4_BYTES).any())
    return packed_array(means, "<f8" if is_large else "<f4")


def _listed_data(
    summary: SweepSummary, order: Sequence[int], fine: Mapping[int, int], cube: Mapping[int, int]
) -> dict[str, Any]:
    listed = summary.listed
    texts = list(dict.fromkeys(text[:LONGEST_ERROR] for text in listed.errors.values()))[:MOST_ERRORS]
    known = {text: place for place, text in enumerate(texts)}
    return {
        "trial": packed_array(listed.trial, "<u4"),
        "rank": packed_array(listed.rank, "<u4"),
        "state": packed_array(listed.state, "<u1"),
        "values": [_values_data(summary.axes[name], listed) for name in order],
        "bins": [_bins_data(summary.axes[name], listed, fine[name]) for name in summary.crossed],
        "coarse": [
            None if cube[name] == fine[name] else _bins_data(summary.axes[name], listed, cube[name])
            for name in summary.crossed
        ],
        "metrics": [packed_array(listed.metrics[name], "<f8") for name in summary.metrics],
        "errors": texts,
        "error_of": {
            row: known[text[:LONGEST_ERROR]]
            for row, text in listed.errors.items()
            if text[:LONGEST_ERROR] in known
        },
    }


def _values_data(axis: SweepAxis, listed: TrialBatch) -> str:
    """Values of a range, or places in a list."""
    places = listed.places[axis.key]
    if isinstance(axis.values, tuple):
        return packed_array(places, "<u2")
    return packed_array(axis.numbers(places), "<f8")


def _bins_data(axis: SweepAxis, listed: TrialBatch, bins: int) -> str:
    return packed_array(axis.binned(listed.places[axis.key], bins), "<u1")


def packed_array(values: NDArray[Any], dtype: str) -> str:
    """An array as base64."""
    return base64.b64encode(values.astype(dtype).tobytes()).decode()
