"""The report and the picture of a sweep that is on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtest_pipeline.model import tags
from backtest_pipeline.model.launchpad import FIRST_FIELDS, launchpad_path, launchpad_yaml
from backtest_pipeline.model.run_config import to_run_config
from backtest_pipeline.model.task_request import stored_sweep
from backtest_pipeline.reports.charts.sweep_equity import MOST_CURVES, Curve
from backtest_pipeline.reports.sweep_axes import SweepAxis
from backtest_pipeline.reports.sweep_comparison import ComparedSweep, sweep_comparison_html
from backtest_pipeline.reports.sweep_report import SweepFindings, sweep_report_html
from backtest_pipeline.reports.sweep_summary import summarised
from backtest_pipeline.reports.sweep_survey import surveyed
from backtest_pipeline.research.trial_requests import trial_request
from backtest_pipeline.results.completed_sweeps import require_whole_sweep
from backtest_pipeline.workflows.stored_trials import StoredTrials

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.results.task_store import TaskStore

BEST_EQUITY = "best_equity.parquet"
NEEDED = ("trials", "best_equity")
"""Names of the files that pages and pictures are drawn from."""


def sweep_report(folder: Path, manifest: Manifest) -> bytes:
    """Draws the report of a completed sweep.

    Args:
        folder: of the task, whose tables are as the manifest has them.
        manifest: of the task.
    """
    return sweep_report_html(sweep_findings(folder, manifest)).encode()


def sweep_picture(folder: Path, manifest: Manifest) -> bytes:
    """Draws the picture of a completed sweep; arguments as for `sweep_report`."""
    from backtest_pipeline.reports.charts.sweep_heatmap import sweep_png  # noqa: PLC0415  Matplotlib, where it is used

    request = stored_sweep(manifest.request)
    summary = summarised(StoredTrials(folder, request), request)
    return sweep_png(summary, request.backtest.strategy, request.objective)


def sweep_findings(folder: Path, manifest: Manifest) -> SweepFindings:
    """What the report of a completed sweep is made of; see `sweep_report`."""
    request = stored_sweep(manifest.request)

    def path_of(values: Mapping[str, Any]) -> str:
        config = to_run_config(trial_request(request, values))
        return launchpad_path(tags.JOB, launchpad_yaml(config, FIRST_FIELDS))

    return SweepFindings(
        manifest=manifest,
        request=request,
        summary=summarised(StoredTrials(folder, request), request),
        curves=_curves(folder / BEST_EQUITY),
        config=to_run_config(request.backtest),
        path_of=path_of,
    )


def sweep_comparison(store: TaskStore, task_ids: Sequence[str]) -> str:
    """Draws the page that compares completed sweeps.

    Raises:
        TaskUnknown, ResultMissing, ResultDamaged: as `require_whole_sweep`.
    """
    compared = {task_id: compared_sweep(store, task_id) for task_id in task_ids}
    named = {f"{one.request.backtest.strategy} {task_id[:8]}": one for task_id, one in compared.items()}
    return sweep_comparison_html(named if len(named) == len(compared) else compared)


def compared_sweep(store: TaskStore, task_id: str) -> ComparedSweep:
    """What a comparison says of a completed sweep; raises as `require_whole_sweep`."""
    manifest, folder = require_whole_sweep(store, task_id, NEEDED)
    request = stored_sweep(manifest.request)
    axes = [SweepAxis.of(key, values) for key, values in request.space.items()]
    survey = surveyed(StoredTrials(folder, request), axes)
    curves = list(_curves(folder / BEST_EQUITY, most=1).values())
    return ComparedSweep(manifest, request, axes, survey, curves[0] if curves else None)


def _curves(path: Path, most: int = MOST_CURVES) -> dict[int, Curve]:
    """The equity of the best trials by number, a column at a time; empty where there is no such table."""
    if not path.is_file():
        return {}
    names = pq.read_schema(path).names[1 : most + 1]
    moments = pq.read_table(path, columns=["timestamp"]).column(0).cast(pa.timestamp("us")).to_numpy()
    curves = {}
    for name in names:
        values = pq.read_table(path, columns=[name]).column(0).to_numpy()
        there = ~np.isnan(values)
        curves[int(name.removeprefix("trial_"))] = Curve(moments[there], values[there])
    return curves
