"""Walking a stored walk-forward's tests again, and some of its trials, and what became of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from backtest_pipeline.model.task_request import stored_walk_forward
from backtest_pipeline.research.fold_plan import FoldPlan, fold_plan
from backtest_pipeline.research.trial_requests import request_of_row
from backtest_pipeline.results.completed_walk_forwards import FOLDS_FILE
from backtest_pipeline.results.sweep_tables import TRIALS_FILE
from backtest_pipeline.results.tables import read_table, tables_of
from backtest_pipeline.workflows.execution_data_of_then import execution_data_of_then
from backtest_pipeline.workflows.rerun import Rerun, table_difference
from backtest_pipeline.workflows.run_backtest import run_backtest
from backtest_pipeline.workflows.sweep_rerun import candles_of_then, row_difference, verdict_of
from backtest_pipeline.workflows.walked_folds import Winner, walked

if TYPE_CHECKING:
    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.workflows.execution_data import ExecutionData

SAMPLE = 20
"""How many completed trials of all trainings are run again."""


def rerun_walk(folder: Path, manifest: Manifest, store: CandleStore, *, sample: int = SAMPLE) -> Rerun:
    """Trades all tests of a completed walk-forward again, and runs some trials, on the stored candles.

    Args:
        folder: of its results, whose bytes are as published.
        manifest: of the task.
        store: where the candles are.
        sample: how many completed trials; which ones hangs on the request alone.

    Raises:
        BacktestError: a strategy is not installed here, refuses the parameters or fails.
    """
    seen, remarks, changed = candles_of_then(manifest, store)
    data, changed_data = execution_data_of_then(manifest, store)
    changed += changed_data
    if changed:
        return Rerun("candles changed since", changed)
    request = stored_walk_forward(manifest.request)
    candles, zone = seen[request.sweep.backtest.timeframe], store.zone.key
    plan = fold_plan(candles, request, zone)
    difference = _tests_difference(folder, plan, candles, data, zone)
    trials = _chosen(folder, manifest, sample)
    for row in trials.to_batches(max_chunksize=1):
        trial = pa.Table.from_batches([row])
        difference = difference or _trial_difference(trial, plan, candles, data, zone)
    if difference:
        return verdict_of(manifest, difference, remarks)
    done = f"all tests and {len(trials):,} trials were run again"
    return Rerun("identical", [done, *remarks])


def _tests_difference(
    folder: Path, plan: FoldPlan, candles: dict[str, Candles], data: ExecutionData, zone: str
) -> str:
    stored = pq.read_table(folder / FOLDS_FILE, use_threads=False)
    chosen = {row["fold"]: row["trial"] for row in stored.to_pylist()}
    if len(chosen) != len(plan.folds):
        return f"{FOLDS_FILE}: had {len(chosen):,} folds, has {len(plan.folds):,}"
    winners = [
        None
        if chosen[fold.number] is None
        else Winner(chosen[fold.number], [_row(folder, one, chosen[fold.number]) for one in fold.trainings])
        for fold in plan.folds
    ]
    found = walked(plan, candles, winners, data, timezone=zone)
    now = {"folds": found.folds.to_pandas(), **tables_of(found.out_of_sample)}
    if found.paths is not None:
        now["paths"] = found.paths.to_pandas()
    for name, table in now.items():
        was: pd.DataFrame = read_table(folder / f"{name}.parquet")
        if difference := table_difference(was, table):
            return f"{name}.parquet, {difference}"
    return ""


def _trial_difference(
    row: pa.Table, plan: FoldPlan, candles: dict[str, Candles], data: ExecutionData, zone: str
) -> str:
    fold, trial = row.column("fold")[0].as_py(), row.column("trial")[0].as_py()
    single = plan.trainings[fold].of(request_of_row(plan.request.sweep, row.drop_columns("fold")))
    difference = row_difference(row, run_backtest(candles, single, timezone=zone, **data.of(single)))
    return f"fold {fold}, trial {trial}: {difference}" if difference else ""


def _chosen(folder: Path, manifest: Manifest, sample: int) -> pa.Table:
    trials = pq.read_table(folder / TRIALS_FILE, use_threads=False)
    completed = np.flatnonzero(np.array(trials.column("state").to_pylist()) == "completed")
    rng = np.random.default_rng(int(manifest.request_digest[:16], 16))
    rows = np.sort(rng.choice(completed, min(sample, len(completed)), replace=False))
    return trials.take(pa.array(rows))


def _row(folder: Path, training: int, trial: int) -> pa.Table:
    wanted = [("fold", "==", training), ("trial", "==", trial)]
    return pq.read_table(folder / TRIALS_FILE, filters=wanted, use_threads=False).drop_columns("fold")
