"""The folder of a completed walk-forward, and what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow.parquet as pq

from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.task_request import stored_walk_forward
from backtest_pipeline.model.walk_forward_result import WalkForwardResult
from backtest_pipeline.results.completed_sweeps import require_whole_search
from backtest_pipeline.results.sweep_tables import TRIALS_FILE, frame_of
from backtest_pipeline.results.tables import SCHEMAS, read_table, read_tables

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.results.task_store import TaskStore

FOLDS_FILE, PATHS_FILE = "folds.parquet", "paths.parquet"
SHOWN = ("folds", "paths", *SCHEMAS)
"""Names of the files that pages and statistics are made of; the trials are not among them."""


def stored_walk(store: TaskStore, task_id: str) -> WalkForwardResult:
    """A completed walk-forward with all of its tables, whose bytes are as published.

    Raises:
        TaskUnknown, ResultMissing, ResultDamaged: as `require_whole_search`.
    """
    manifest, folder = require_whole_search(store, task_id, "walk_forward")
    trials = frame_of(pq.read_table(folder / TRIALS_FILE, use_threads=False))
    return walk_of(manifest, folder, trials)


def account_of(store: TaskStore, task_id: str) -> BacktestResult:
    """A completed backtest, or the account out of sample of a completed walk-forward.

    Raises:
        TaskUnknown, ResultMissing, ResultDamaged: as `TaskStore.result` and `require_whole_search`.
    """
    if store.manifest(task_id).kind != "walk_forward":
        return store.result(task_id)
    manifest, folder = require_whole_search(store, task_id, "walk_forward", SHOWN)
    return walk_of(manifest, folder, pd.DataFrame()).out_of_sample


def walk_of(manifest: Manifest, folder: Path, trials: pd.DataFrame) -> WalkForwardResult:
    """The same of a folder that has been checked, with the rows of trials that are wanted."""
    request = stored_walk_forward(manifest.request)
    folds = frame_of(pq.read_table(folder / FOLDS_FILE, use_threads=False))
    paths = folder / PATHS_FILE
    return WalkForwardResult(
        out_of_sample=_account(manifest, folder, folds),
        folds=folds,
        trials=trials,
        paths=read_table(paths) if paths.is_file() else None,
        request=request,
        manifest=manifest,
    )


def _account(manifest: Manifest, folder: Path, folds: pd.DataFrame) -> BacktestResult:
    backtest = stored_walk_forward(manifest.request).sweep.backtest
    span = {
        "start": folds["test_start"].min().to_pydatetime(),
        "end": folds["test_end"].max().to_pydatetime(),
    }
    return BacktestResult(
        **read_tables(folder, manifest),
        metrics=manifest.metrics,
        by_symbol=manifest.by_symbol,
        request=backtest.model_copy(update=span),
        diagnostics=manifest.diagnostics,
        checks=manifest.checks,
        calendars=manifest.calendars,
        manifest=manifest,
    )
