"""Retrying failed runs, so that no retry is lost when something else is down at that moment.

Dagster's daemon begins reading failures "from now" on its first look ever; gives a retry up for good when the
code server does not answer; and has none for a worker that died between its last step and its end. Here the
first look starts at the beginning; a retry that could not be launched is owed: a mark on the failed run
brings it up again until it is launched; and where no step is left to repeat, all are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.errors import DagsterInvalidSubsetError
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.tags import RETRY_STRATEGY_TAG, WILL_RETRY_TAG
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import filter_runs_to_should_retry, retry_run
from dagster._daemon.auto_run_reexecution.event_log_consumer import (
    DAGSTER_EVENT_TYPES,
    EventLogConsumerDaemon,
    _create_cursor_key,
)
from dagster._daemon.daemon import DaemonIterator, IntervalDaemon

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import LockNotAcquired, RequestInvalid, TaskRepeated
from backtest_pipeline.orchestration.dagster_internals.compat import overrides, uses
from backtest_pipeline.orchestration.tasks.repeated_submissions import drop_duplicates

LOOK_EVERY_S = 2

overrides(EventLogConsumerDaemon, "run_iteration", used_by=IntervalDaemon.core_loop)
overrides(EventLogConsumerDaemon, "handle_updated_runs_fns", used_by=EventLogConsumerDaemon.run_iteration)
uses(EventLogConsumerDaemon, "_logger", within=EventLogConsumerDaemon.run_iteration)


class LastingRetryDaemon(EventLogConsumerDaemon):
    """Dagster's consumer of failures, that forgets none."""

    def __init__(self) -> None:
        super().__init__(interval_seconds=LOOK_EVERY_S)

    @property
    def handle_updated_runs_fns(
        self,
    ) -> Sequence[
        Callable[[IWorkspaceProcessContext[Any], Sequence[RunRecord], logging.Logger], Iterator[None]]
    ]:
        """What is done with runs that have just ended."""
        return [retry_or_owe]

    def run_iteration(self, workspace_process_context: IWorkspaceProcessContext[Any]) -> DaemonIterator:
        """Retries what has failed since the last look, and what is owed from earlier ones."""
        instance = workspace_process_context.instance
        start_at_the_beginning(instance)
        try:
            for run_id in drop_duplicates(instance, time.time()):
                self._logger.info("run %s is gone: its submission was repeated and has another run", run_id)
        except LockNotAcquired as error:  # the retries below do without it
            self._logger.warning("repeated submissions are left for the next look: %s", error)
        yield from super().run_iteration(workspace_process_context)
        owed = instance.get_run_records(
            RunsFilter(statuses=[DagsterRunStatus.FAILURE], tags={tags.RETRY_OWED: "true"})
        )
        yield from retry_or_owe(workspace_process_context, owed, self._logger)


def start_at_the_beginning(instance: DagsterInstance) -> None:
    """Sets the cursors that are missing, as on an instance's first look, before its first event."""
    keys = {_create_cursor_key(kind) for kind in DAGSTER_EVENT_TYPES}
    storage = instance.daemon_cursor_storage
    if missing := keys - set(storage.get_cursor_values(keys)):
        storage.set_cursor_values(dict.fromkeys(missing, "0"))


def retry_or_owe(
    workspace_process_context: IWorkspaceProcessContext[Any],
    records: Sequence[RunRecord],
    logger: logging.Logger,
) -> Iterator[None]:
    """Launches the retries that runs have left; safe to repeat, as a run gets one retry only.

    Args:
        workspace_process_context: where the runs' code is found.
        records: runs that have ended.
        logger: gets a line when a retry has to wait.
    """
    instance = workspace_process_context.instance
    for run in filter_runs_to_should_retry([record.dagster_run for record in records], instance):
        yield
        owed = run.tags.get(tags.RETRY_OWED) == "true"
        try:
            _retry(run, workspace_process_context)
        except (
            TaskRepeated,
            RequestInvalid,
        ) as error:  # for good; the run goes with the duplicates, or is gone
            instance.report_engine_event(f"Not retrying: {error}", run)
            instance.add_run_tags(run.run_id, {tags.RETRY_OWED: "", WILL_RETRY_TAG: "false"})
        except Exception as error:  # noqa: BLE001  the code server or the database: whatever it is may pass
            if not owed:
                logger.warning("the retry of run %s waits, it could not be launched: %s", run.run_id, error)
                instance.add_run_tags(run.run_id, {tags.RETRY_OWED: "true", WILL_RETRY_TAG: "true"})
        else:
            if owed:
                instance.add_run_tags(run.run_id, {tags.RETRY_OWED: ""})


def _retry(run: DagsterRun, workspace_process_context: IWorkspaceProcessContext[Any]) -> None:
    try:
        retry_run(run, workspace_process_context)
    except DagsterInvalidSubsetError:  # every step had succeeded when the worker died
        retry_run(run.with_tags({**run.tags, RETRY_STRATEGY_TAG: "ALL_STEPS"}), workspace_process_context)
