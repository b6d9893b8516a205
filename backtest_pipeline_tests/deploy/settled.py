"""When a task's folder changes no more: reports, and what a failed task leaves, come after its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.storage.layout import Layout

_PATIENCE_S = 60


def wait_for_report(data_root: Path, task_id: str) -> None:
    """Waits until a completed task's manifest lists its report."""
    store = TaskStore(data_root)
    _until(lambda: "report.html" in {file.path for file in store.manifest(task_id).result_files})


def wait_for_manifest(data_root: Path, task_id: str) -> None:
    """Waits until a failed task has its manifest."""
    _until(Layout(data_root).manifest(task_id).exists)


def _until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, f"nothing in {_PATIENCE_S} s"
        time.sleep(0.05)
