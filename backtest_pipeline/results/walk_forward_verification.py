"""Do a walk-forward's tables agree with each other and with the manifest?"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from backtest_pipeline.model.trial_states import TRIAL_STATES
from backtest_pipeline.results.equity_account import TOLERANCE
from backtest_pipeline.results.tables import TABLES, read_table

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.walk_forward_request import WalkForwardRequest

ALWAYS = ("trials", "folds", *TABLES)
"""Tables that every completed walk-forward has."""
_FOLD_COLUMNS = ["fold", "path", "trainings", "train_start", "train_end", "train_bars"]


def missing_walk_tables(manifest: Manifest) -> list[str]:
    """Names of the tables that a completed walk-forward should list and does not."""
    crossed = manifest.request.get("cross_validation") is not None
    several = crossed and manifest.request.get("test_folds") != 1  # with one, its account is the only path
    listed = {file.name for file in manifest.result_files}
    return [name for name in (*ALWAYS, *(("paths",) if several else ())) if name not in listed]


def walk_forward_problems(folder: Path, manifest: Manifest, request: WalkForwardRequest) -> list[str]:
    """Where the tables of a completed walk-forward, whose bytes are as published, contradict each other.

    Args:
        folder: of the task.
        manifest: of the task.
        request: what was asked.
    """
    names = pq.read_schema(folder / "folds.parquet").names
    missing = [name for name in (*_FOLD_COLUMNS, *request.sweep.space) if name not in names]
    if missing:
        return [f"folds.parquet: lacks the columns {', '.join(missing)}"]
    tables: dict[str, pd.DataFrame] = {
        name: read_table(folder / f"{name}.parquet") for name in ("folds", "equity", "trades", "signals")
    }
    return [
        *_count_problems(folder, manifest, tables),
        *_chain_problems(tables["folds"], request),
        *_account_problems(tables, manifest, request),
        *_winner_problems(folder, tables["folds"], request),
    ]


def _count_problems(folder: Path, manifest: Manifest, tables: dict[str, pd.DataFrame]) -> list[str]:
    states: Counter[str] = Counter(dict.fromkeys(TRIAL_STATES, 0))
    ranked = 0
    file = pq.ParquetFile(folder / "trials.parquet")
    for group in range(file.num_row_groups):
        piece = file.read_row_group(group, columns=["state", "rank"], use_threads=False)
        states.update(piece.column("state").to_pylist())
        ranked += len(piece) - piece.column("rank").null_count
    counted = {**states, "ranked": ranked}
    problems = []
    if counted != manifest.summary.trials:
        problems.append(f"trials.parquet: has {counted}, the manifest says {manifest.summary.trials}")
    for name, stated in (
        ("signals", manifest.summary.total_signals),
        ("trades", manifest.summary.total_trades),
    ):
        if len(tables[name]) != stated:
            problems.append(f"{name}.parquet: has {len(tables[name])} rows, the manifest says {stated}")
    folds = tables["folds"]["fold"].nunique()
    if folds != manifest.summary.folds:
        problems.append(f"folds.parquet: has {folds} folds, the manifest says {manifest.summary.folds}")
    return problems


def _chain_problems(folds: pd.DataFrame, request: WalkForwardRequest) -> list[str]:
    """Each test begins with what the one before it on its path has left."""
    cash = request.sweep.backtest.initial_cash
    problems = []
    for path, own in folds.sort_values("test_start", kind="stable").groupby("path"):
        before = np.concatenate([[cash], own["equity_after"].to_numpy(np.float64)[:-1]])
        wrong = np.flatnonzero(own["equity_before"].to_numpy(np.float64) != before)
        if len(wrong):
            row = own.iloc[int(wrong[0])]
            problems.append(
                f"folds.parquet: path {path}, fold {row['fold']} begins with {row['equity_before']!r}, "
                f"the test before it has left {float(before[wrong[0]])!r}"
            )
    return problems


def _account_problems(
    tables: dict[str, pd.DataFrame], manifest: Manifest, request: WalkForwardRequest
) -> list[str]:
    """The curve, the trades, the folds and the metrics speak of one account."""
    equity, folds = tables["equity"], tables["folds"]
    cash, values = request.sweep.backtest.initial_cash, equity["equity"].to_numpy(np.float64)
    problems = []
    if not equity["timestamp"].is_monotonic_increasing or not equity["timestamp"].is_unique:
        problems.append("equity.parquet: its moments do not rise")
    final = cash + float(tables["trades"]["pnl"].sum())
    if abs(final - values[-1]) > TOLERANCE * max(cash, values.max()):
        problems.append(
            f"equity.parquet: ends at {float(values[-1])!r}, the pnl of all trades make it {final!r}"
        )
    if manifest.metrics.get("final_equity") != values[-1]:
        problems.append(
            f"equity.parquet: ends at {float(values[-1])!r}, the manifest says "
            f"{manifest.metrics.get('final_equity')!r}"
        )
    if not any(_follows(equity, own) for _, own in folds.groupby("path")):
        problems.append("equity.parquet: it is the account of no path in folds.parquet")
    return problems


def _follows(equity: pd.DataFrame, folds: pd.DataFrame) -> bool:
    """Whether a curve has at the end of each test what the folds of one path say."""
    stamps = equity["timestamp"]
    for row in folds.to_dict("records"):
        at = int(stamps.searchsorted(row["test_end"], side="right")) - 1
        if at < 0 or equity["equity"].iloc[at] != row["equity_after"]:
            return False
    return True


def _winner_problems(folder: Path, folds: pd.DataFrame, request: WalkForwardRequest) -> list[str]:
    """Of a walk-forward, each fold's trial is the one of rank 1 in its training."""
    if request.is_cross_validation:
        return []
    best: dict[int, dict[str, Any]] = {
        row["fold"]: row
        for row in pq.read_table(folder / "trials.parquet", filters=[("rank", "==", 1)]).to_pylist()
    }
    problems = []
    for row in folds.to_dict("records"):
        own = best.get(row["fold"])
        chosen = None if pd.isna(row["trial"]) else int(row["trial"])
        if chosen != (own["trial"] if own else None):
            problems.append(f"folds.parquet: fold {row['fold']} has trial {chosen}, which is not of rank 1")
        elif own and own["objective"] != row["in_sample_objective"]:
            problems.append(f"folds.parquet: fold {row['fold']} has another objective than trial {chosen}")
    return problems
