"""When a task's folder changes no more: reports, and what a failed task leaves, come after its end."""

from __future__ import annotations

from pathlib import Path

from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.polling import until


def wait_for_report(data_root: Path, task_id: str) -> None:
    """Waits until a completed task's manifest lists its report."""
    store = TaskStore(data_root)
    until(lambda: "report.html" in {file.path for file in store.manifest(task_id).result_files}, "the report")


def wait_for_manifest(data_root: Path, task_id: str) -> None:
    """Waits until a failed task has its manifest."""
    until(Layout(data_root).manifest(task_id).exists, "the manifest")
