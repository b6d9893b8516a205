"""Taking runs from the queue: under the lock, retries not before their time, and soon."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlparse

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.workspace.context import BaseWorkspaceRequestContext, IWorkspaceProcessContext
from dagster._daemon.daemon import DaemonIterator, DagsterDaemon, IntervalDaemon
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals.code_location import code_answers, location_of
from backtest_pipeline.orchestration.dagster_internals.compat import overrides, uses
from backtest_pipeline.orchestration.dagster_internals.run_storage import run_storage_of
from backtest_pipeline.orchestration.tasks.launch_locks import launch_lock

LOOK_EVERY_S = 0.1
LOOK_AT_LEAST_EVERY_S = 5.0
SAY_AGAIN_AFTER_S = 60.0
PAUSE_WITHOUT_CODE_S = 1.0

_Parent = QueuedRunCoordinatorDaemon
overrides(_Parent, "core_loop", used_by=DagsterDaemon.run_daemon_loop)
overrides(_Parent, "run_iteration", used_by=IntervalDaemon.core_loop)
overrides(_Parent, "_get_runs_to_dequeue", used_by=_Parent.run_iteration)
overrides(_Parent, "_priority_sort", used_by=_Parent._get_runs_to_dequeue)  # noqa: SLF001  declared here
uses(_Parent, "_location_timeouts", "_location_timeouts_lock", within=_Parent._get_runs_to_dequeue)  # noqa: SLF001  as above
uses(_Parent, "_logger", within=DagsterDaemon.__init__)
uses(_Parent, "wait", within=IntervalDaemon.core_loop)  # for whose patience `_Impatient` stands in
uses(SqliteRunStorage, "_conn_string", within=SqliteRunStorage.connect)


class PromptQueueDaemon(QueuedRunCoordinatorDaemon):
    """Dagster's queue daemon; looks ten times a second, which on an empty queue is one small query."""

    def __init__(self, interval_seconds: float) -> None:  # noqa: ARG002  Dagster counts whole seconds
        super().__init__(interval_seconds=LOOK_EVERY_S)
        self._logger.addFilter(_SaidOnce())
        self._workspace: BaseWorkspaceRequestContext | None = None
        self._empty_at: object = None
        self._asked_s = 0.0
        self._fault: Exception | None = None

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
        """Takes what fits from the queue, while nobody else starts runs.

        Raises:
            LockNotAcquired: somebody else has had the lock for a minute; Dagster's loop logs it, shows the
                health check by the heartbeat, and looks again.
            Exception: it could not be asked whether the code servers are there, for another reason than that
                they are away; what was due was started all the same, and the fault is reported as above.
        """
        instance = workspace_process_context.instance
        looked_at, now_s = _last_written(instance), time.monotonic()
        if (
            looked_at is not None
            and looked_at == self._empty_at
            and now_s < self._asked_s + LOOK_AT_LEAST_EVERY_S
        ):
            return
        self._asked_s = now_s
        if not instance.get_run_ids(RunsFilter(statuses=[DagsterRunStatus.QUEUED]), limit=1):
            self._empty_at = looked_at
            return
        self._workspace = workspace_process_context.create_request_context()
        self._fault = None
        with launch_lock(instance, wait=True):
            yield from super().run_iteration(workspace_process_context, fixed_iteration_time)
        if self._fault is not None:
            raise self._fault

    def _get_runs_to_dequeue(
        self, instance: DagsterInstance, concurrency_config: Any, fixed_iteration_time: float | None
    ) -> list[DagsterRun]:
        """What would be started next, as long as its code server answers.

        Dagster takes runs without asking, and fails each that has met a server which is away for a minute.
        """
        runs = super()._get_runs_to_dequeue(instance, concurrency_config, fixed_iteration_time)
        away = {name for name in {location_of(run) for run in runs} if not self._answers(name)}
        for name in away:
            self._logger.warning("the code server of %s is away; its tasks wait in the queue", name)
            with self._location_timeouts_lock:
                self._location_timeouts[name] = time.time() + PAUSE_WITHOUT_CODE_S
        return [run for run in runs if location_of(run) not in away]

    def _answers(self, name: str) -> bool:
        """Whether a code server answers. Where the question itself fails, a launch will show."""
        if self._workspace is None:
            return False
        try:
            return code_answers(name, self._workspace)
        except Exception as error:  # noqa: BLE001  raised once what is due has been started
            self._fault = error
            return True

    def _priority_sort(self, runs: Iterable[DagsterRun]) -> list[DagsterRun]:
        """Dagster's order, without the retries whose wait is not over."""
        due = [run for run in runs if tags.number(run.tags, tags.NOT_BEFORE, 0) <= time.time()]
        return list(super()._priority_sort(due))


def _last_written(instance: DagsterInstance) -> object:
    """What changes with every write to SQLite's runs: a look at two files costs less than a question.

    None where runs are kept elsewhere, whatever lies in the folder from earlier, and within a second of a
    write: two writes may share a clock's tick.
    """
    storage = run_storage_of(instance)
    if not isinstance(storage, SqliteRunStorage):
        return None
    runs = Path(urlparse(storage._conn_string).path)  # noqa: SLF001  there is no public name
    seen = []
    for path in (runs, runs.with_name(f"{runs.name}-wal")):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        if time.time() - status.st_mtime < 1.0:
            return None
        seen.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return seen or None


class _SaidOnce(logging.Filter):
    """Passes a line that was said already only once a minute: the loop would say it ten times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        if record.created < self._said.get(line, 0.0) + SAY_AGAIN_AFTER_S:
            return False
        self._said = {
            said: at for said, at in self._said.items() if record.created < at + SAY_AGAIN_AFTER_S
        } | {line: record.created}
        return True


class _Impatient:
    """A shutdown event whose waits are short."""

    def __init__(self, event: Event) -> None:
        self._event = event

    def wait(self, timeout: float) -> bool:
        return self._event.wait(min(timeout, LOOK_EVERY_S))

    def is_set(self) -> bool:
        return self._event.is_set()
