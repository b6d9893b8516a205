"""The folder of a completed sweep, and whether its files are whole."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from backtest_pipeline.model.errors import ResultDamaged, ResultMissing
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.results.tables import read_tables
from backtest_pipeline.results.verification import file_problem
from backtest_pipeline.storage.layout import BEST

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.task_kind import TaskKind
    from backtest_pipeline.results.task_store import TaskStore


def completed_sweep(store: TaskStore, task_id: str) -> tuple[Manifest, Path]:
    """The manifest and the folder of a completed sweep.

    Raises:
        TaskUnknown, ResultMissing: there is none, it did not complete, or it is no sweep.
        ResultDamaged: the manifest is not one of ours.
    """
    return completed_search(store, task_id, "sweep")


def completed_search(store: TaskStore, task_id: str, kind: TaskKind) -> tuple[Manifest, Path]:
    """As `completed_sweep`, of a task of another kind."""
    manifest, folder = store.manifest(task_id), store.layout.task(task_id)
    if manifest.kind != kind:
        own, wanted = manifest.kind.replace("_", "-"), kind.replace("_", "-")
        raise ResultMissing(task_id, folder, f"it is a {own} and no {wanted}; see `backtest result`")
    if manifest.status != "completed":
        why = manifest.error.message if manifest.error else "no reason is recorded"
        raise ResultMissing(task_id, folder, f"it {manifest.status}: {why}")
    return manifest, folder


def require_whole_sweep(
    store: TaskStore, task_id: str, names: Collection[str] | None = None
) -> tuple[Manifest, Path]:
    """As `completed_sweep`, the bytes of its files compared with their checksums.

    Args:
        store: where results lie.
        task_id: the task.
        names: of the listed files that are wanted; None: all.

    Raises:
        TaskUnknown, ResultMissing: as `completed_sweep`.
        ResultDamaged: a file is gone or differs from what was published.
    """
    return require_whole_search(store, task_id, "sweep", names)


def require_whole_search(
    store: TaskStore, task_id: str, kind: TaskKind, names: Collection[str] | None = None
) -> tuple[Manifest, Path]:
    """As `require_whole_sweep`, of a task of another kind."""
    manifest, folder = completed_search(store, task_id, kind)
    for file in manifest.result_files:
        if (names is None or file.name in names) and (problem := file_problem(folder, file)):
            raise ResultDamaged(task_id, folder / file.path, problem)
    return manifest, folder


def best_backtest(manifest: Manifest, request: BacktestRequest, folder: Path) -> BacktestResult:
    """The best trial of a completed sweep, as a backtest of its own.

    Args:
        manifest: the sweep's.
        request: the trial's.
        folder: the sweep's, whose files are whole.
    """
    return BacktestResult(
        **read_tables(folder, manifest, f"{BEST}/"),
        metrics=manifest.metrics,
        by_symbol=manifest.by_symbol,
        request=request,
        diagnostics=manifest.diagnostics,
        checks=manifest.checks,
        calendars=manifest.calendars,
    )
