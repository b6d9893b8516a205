"""Do a sweep's tables agree with each other and with the manifest? Read a row group at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.trial_states import COMPLETED, TRIAL_STATES
from backtest_pipeline.results.sweep_tables import BLOCKS_FILE
from backtest_pipeline.results.tables import TABLES
from backtest_pipeline.storage.layout import BEST

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.sweep_request import SweepRequest

ALWAYS = ("trials", "blocks")
"""Tables that every completed sweep has."""
OF_BEST = (*(f"{BEST}/{name}" for name in TABLES), "best_equity")
"""Tables that a sweep has of which a trial ranks."""


def missing_tables(manifest: Manifest) -> list[str]:
    """Names of the tables that a completed sweep should list and does not."""
    wanted = [*ALWAYS, *(OF_BEST if manifest.summary.best_trial is not None else ())]
    listed = {file.name for file in manifest.result_files}
    return [name for name in wanted if name not in listed]


def sweep_problems(folder: Path, manifest: Manifest, request: SweepRequest) -> list[str]:
    """Where the tables of a completed sweep, whose bytes are as published, contradict each other.

    Args:
        folder: of the task.
        manifest: of the task.
        request: what was asked.
    """
    problems = [f"{table}.parquet: {why}" for table, why in _wrong_columns(folder, request)]
    if problems:
        return problems
    states: Counter[str] = Counter()
    ranks, objectives, completed = [], [], []
    for piece in _pieces(folder / "trials.parquet", ["trial", "state", "rank", "objective"]):
        numbers = piece.column("trial").to_numpy()
        if not np.array_equal(numbers, np.arange(states.total(), states.total() + len(numbers))):
            problems.append(f"trials.parquet: trials are not numbered on from {states.total():,}")
            return problems
        own = piece.column("state").to_pylist()
        states.update(own)
        completed.append(np.array([state == COMPLETED for state in own], dtype=np.bool_))
        ranks.append(piece.column("rank").to_numpy())
        objectives.append(piece.column("objective").to_numpy())
    rank = np.concatenate(ranks)
    counted = {**dict.fromkeys(TRIAL_STATES, 0), **states}
    counted["ranked"] = int(np.count_nonzero(~np.isnan(rank)))
    if counted != manifest.summary.trials:
        problems.append(f"trials.parquet: has {counted}, the manifest says {manifest.summary.trials}")
    problems += _rank_problems(rank, np.concatenate(objectives), manifest, request)
    with_blocks = pq.read_table(folder / BLOCKS_FILE, columns=["trial"], use_threads=False).column("trial")
    if not np.array_equal(with_blocks, np.flatnonzero(np.concatenate(completed))):
        problems.append(f"{BLOCKS_FILE}: its trials are not those that have completed")
    return problems or _best_problems(folder, manifest)


def _wrong_columns(folder: Path, request: SweepRequest) -> Iterator[tuple[str, str]]:
    wanted = ["trial", "state", "rank", "objective", *request.space]
    names = pq.read_schema(folder / "trials.parquet").names
    if names[: len(wanted)] != wanted or names[-1] != "error" or request.objective not in names:
        yield "trials", f"its columns do not begin with {', '.join(wanted)} and end with error"
    blocks = pq.read_schema(folder / BLOCKS_FILE).names
    if blocks != ["trial", "count", "sum", "sum_squares"]:
        yield "blocks", f"has the columns {', '.join(blocks)}"


def _rank_problems(
    rank: np.ndarray[Any, Any], objective: np.ndarray[Any, Any], manifest: Manifest, request: SweepRequest
) -> list[str]:
    rows = np.flatnonzero(~np.isnan(rank))
    order = rows[np.argsort(rank[rows], kind="stable")]
    if not np.array_equal(rank[order], np.arange(1, len(order) + 1)):
        return [f"trials.parquet: ranks are not 1 to {len(order):,}"]
    steps = np.diff(objective[order])
    worse = steps > 0 if METRICS[request.objective].better == "more" else steps < 0
    if worse.any() or np.isnan(objective[order]).any():
        return [f"trials.parquet: ranks do not follow {request.objective}"]
    best = int(order[0]) if len(order) else None
    if best != manifest.summary.best_trial:
        return [f"trials.parquet: trial {best} is the best, the manifest says {manifest.summary.best_trial}"]
    return []


def _best_problems(folder: Path, manifest: Manifest) -> list[str]:
    """Where the row of the best trial differs from the manifest's metrics, which are its backtest's."""
    best = manifest.summary.best_trial
    if best is None:
        return []
    row = pq.read_table(folder / "trials.parquet", filters=[("trial", "==", best)]).to_pylist()[0]
    return [
        f"trials.parquet: {name} of trial {best} is {row[name]!r}, the manifest says {value!r}"
        for name, value in manifest.metrics.items()
        if name not in row or row[name] != value
    ]


def _pieces(path: Path, columns: list[str]) -> Iterator[pa.Table]:
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        yield file.read_row_group(group, columns=columns, use_threads=False)
