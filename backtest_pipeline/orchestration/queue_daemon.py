"""Taking runs from the queue: under the lock, retries not before their time, and soon."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.daemon import DaemonIterator
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.launch_lock import launch_lock
from backtest_pipeline.orchestration.run_storage import run_storage_of

LOOK_EVERY_S = 0.1


class PromptQueueDaemon(QueuedRunCoordinatorDaemon):
    """Dagster's queue daemon; looks ten times a second, which on an empty queue is one small query."""

    def __init__(self, interval_seconds: float) -> None:  # noqa: ARG002  Dagster counts whole seconds
        super().__init__(interval_seconds=LOOK_EVERY_S)
        self._empty_at: object = None

    def core_loop(
        self, workspace_process_context: IWorkspaceProcessContext[Any], shutdown_event: Event
    ) -> DaemonIterator:
        """Runs Dagster's loop with a shorter sleep."""
        return super().core_loop(workspace_process_context, _Impatient(shutdown_event))  # type: ignore[arg-type]

    def run_iteration(
        self,
        workspace_process_context: IWorkspaceProcessContext[Any],
        fixed_iteration_time: float | None = None,
    ) -> DaemonIterator:
        """Takes what fits from the queue, while nobody else starts runs."""
        instance = workspace_process_context.instance
        looked_at = _last_written(instance)
        if looked_at is not None and looked_at == self._empty_at:
            return
        if not instance.get_run_ids(RunsFilter(statuses=[DagsterRunStatus.QUEUED]), limit=1):
            self._empty_at = looked_at
            return
        with launch_lock(instance, wait=True):
            yield from super().run_iteration(workspace_process_context, fixed_iteration_time)

    def _priority_sort(self, runs: Iterable[DagsterRun]) -> list[DagsterRun]:
        """Dagster's order, without the retries whose wait is not over."""
        due = [run for run in runs if float(run.tags.get(tags.NOT_BEFORE, 0)) <= time.time()]
        return list(super()._priority_sort(due))


def _last_written(instance: DagsterInstance) -> object:
    """What changes with every write to SQLite's runs: a look at two files costs less than a question.

    None where runs are kept elsewhere, whatever lies in the folder from earlier, and within a second of a
    write: two writes may share a clock's tick.
    """
    if not isinstance(run_storage_of(instance), SqliteRunStorage):
        return None
    runs = Path(instance.root_directory) / "history" / "runs.db"
    seen = []
    for path in (runs, runs.with_name("runs.db-wal")):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        if time.time() - status.st_mtime < 1.0:
            return None
        seen.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return seen or None


class _Impatient:
    """A shutdown event whose waits are short."""

    def __init__(self, event: Event) -> None:
        self._event = event

    def wait(self, timeout: float) -> bool:
        return self._event.wait(min(timeout, LOOK_EVERY_S))

    def is_set(self) -> bool:
        return self._event.is_set()
