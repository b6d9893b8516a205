"""A completed sweep, read from its task's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.sweep_result import SweepResult
from backtest_pipeline.model.task_request import stored_sweep
from backtest_pipeline.model.trial_states import TRIAL_STATES
from backtest_pipeline.research.trial_requests import request_of_row
from backtest_pipeline.results.completed_sweeps import best_backtest, completed_sweep, require_whole_sweep
from backtest_pipeline.results.sweep_tables import best_rows, frame_of, trial_row
from backtest_pipeline.storage.layout import BEST

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    import pandas as pd

    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.results.task_store import TaskStore


def read_sweep(store: TaskStore, task_id: str) -> SweepResult:
    """Reads a completed sweep's result, checking every file against its checksum.

    Raises:
        TaskUnknown, ResultMissing: there is none, it did not complete, or it is no sweep.
        ResultDamaged: a file is gone or differs from what was published.
    """
    manifest, folder = require_whole_sweep(store, task_id)
    listed = {file.name: folder / file.path for file in manifest.result_files}
    return SweepResult(
        trials=frame_of(pq.read_table(listed["trials"])),
        by_symbol=frame_of(pq.read_table(listed["trials_by_symbol"]))
        if "trials_by_symbol" in listed
        else None,
        blocks=frame_of(pq.read_table(listed["blocks"])),
        best=_best(store, manifest, folder) if f"{BEST}/equity" in listed else None,
        request=stored_sweep(manifest.request),
        best_equity=_frame(listed["best_equity"]) if "best_equity" in listed else None,
        manifest=manifest,
    )


def best_trials(store: TaskStore, task_id: str, count: int) -> list[dict[str, Any]]:
    """The rows of a completed sweep's best trials, the very best first; reads little else.

    Raises:
        TaskUnknown, ResultMissing, ResultDamaged: as `completed_sweep`.
    """
    _, folder = completed_sweep(store, task_id)
    return best_rows(folder, count)


def request_of_trial(store: TaskStore, task_id: str, trial: int) -> BacktestRequest:
    """The backtest that a trial of a completed sweep is, as somebody would ask for it alone.

    Raises:
        RequestInvalid: there is no such trial, or its values do not fit together.
        TaskUnknown, ResultMissing, ResultDamaged: as `completed_sweep`.
    """
    manifest, folder = completed_sweep(store, task_id)
    row = trial_row(folder, trial)
    if not len(row):
        last = sum((manifest.summary.trials or {}).get(state, 0) for state in TRIAL_STATES) - 1
        raise RequestInvalid([("trial", f"there is no trial {trial:,} in {task_id}; its last is {last:,}")])
    return request_of_row(stored_sweep(manifest.request), row)


def _best(store: TaskStore, manifest: Manifest, folder: Path) -> BacktestResult:
    request = request_of_trial(store, manifest.task_id, manifest.summary.best_trial or 0)
    return best_backtest(manifest, request, folder)


def _frame(path: Path) -> pd.DataFrame:
    return frame_of(pq.read_table(path))
