"""Retrying failed runs, so that no retry is lost when something else is down at that moment.

Dagster's daemon begins reading failures "from now" on its first look; passes a failure over for good when
it sees the event before the run's status, which is written after it; gives a retry up for good when the code
server does not answer; and has none for a worker that died between its last step and its end. Here the first
look starts at the beginning; a failure is passed once its run has ended, and all events numbered before it
must be in sight; a retry that could not be launched is owed: a mark on the failed run brings it up again
until it is launched; and where no step is left to repeat, all are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.errors import DagsterInvalidSubsetError
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.tags import RETRY_STRATEGY_TAG, WILL_RETRY_TAG
from dagster._core.workspace.context import IWorkspaceProcessContext
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import filter_runs_to_should_retry, retry_run
from dagster._daemon.auto_run_reexecution.event_log_consumer import (
    EventLogConsumerDaemon,
    _create_cursor_key,
)
from dagster._daemon.daemon import DaemonIterator, IntervalDaemon

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import LockNotAcquired, RequestInvalid, TaskRepeated
from backtest_pipeline.orchestration.dagster_internals.compat import overrides, uses
from backtest_pipeline.orchestration.tasks.repeated_submissions import drop_duplicates

LOOK_EVERY_S = 2
# A database numbers an event before others can see it: one with a lower number may come into sight later.
IN_SIGHT_S = 60.0
# A run that says it failed and does not end is left to the monitoring, which reports a failure of its own.
GIVEN_UP_S = 3600.0
_EVENTS_A_LOOK = 500
CURSOR_KEY = _create_cursor_key(DagsterEventType.RUN_FAILURE)

overrides(EventLogConsumerDaemon, "run_iteration", used_by=IntervalDaemon.core_loop)
uses(EventLogConsumerDaemon, "_logger", within=EventLogConsumerDaemon.run_iteration)


class LastingRetryDaemon(EventLogConsumerDaemon):
    """Dagster's consumer of failures, that forgets none."""

    def __init__(self) -> None:
        super().__init__(interval_seconds=LOOK_EVERY_S)
        self._failures = FailuresInSight()

    def run_iteration(self, workspace_process_context: IWorkspaceProcessContext[Any]) -> DaemonIterator:
        """Retries what has failed since the last look, and what is owed from earlier ones."""
        instance = workspace_process_context.instance
        try:
            for run_id in drop_duplicates(instance, time.time()):
                self._logger.info("run %s is gone: its submission was repeated and has another run", run_id)
        except LockNotAcquired as error:  # the retries below do without it
            self._logger.warning("repeated submissions are left for the next look: %s", error)
        yield None
        failed = self._failures.look(instance, time.monotonic())
        yield from retry_or_owe(workspace_process_context, failed, self._logger)
        self._failures.pass_settled(instance, failed, time.monotonic())
        owed = instance.get_run_records(
            RunsFilter(statuses=[DagsterRunStatus.FAILURE], tags={tags.RETRY_OWED: "true"})
        )
        yield from retry_or_owe(workspace_process_context, owed, self._logger)


class FailuresInSight:
    """The failures after a cursor in the database, which passes what is settled and was long in sight.

    A process that begins anew looks at the last minute's failures again; no run is retried twice for that.
    """

    def __init__(self) -> None:
        self._run_ids: dict[int, str] = {}  # by the event's number
        self._first_seen_s: dict[int, float] = {}
        self._settled: set[str] = set()

    def look(self, instance: DagsterInstance, now_s: float) -> Sequence[RunRecord]:
        """The runs that have failed and are not settled, without those whose status does not say so yet.

        Args:
            instance: where the events are.
            now_s: of a monotonic clock.
        """
        events = instance.event_log_storage.get_logs_for_all_runs_by_log_id(
            after_cursor=_cursor(instance),
            dagster_event_type={DagsterEventType.RUN_FAILURE},
            limit=_EVENTS_A_LOOK + len(self._run_ids),
        )
        for event_id, event in events.items():
            self._run_ids[event_id] = event.run_id
            self._first_seen_s.setdefault(event_id, now_s)
        unsettled = {*self._run_ids.values()} - self._settled
        if not unsettled:
            return []
        records = instance.get_run_records(RunsFilter(run_ids=sorted(unsettled)))
        self._settled |= unsettled - {record.dagster_run.run_id for record in records}  # deleted
        return [record for record in records if record.dagster_run.is_finished]

    def pass_settled(self, instance: DagsterInstance, settled: Sequence[RunRecord], now_s: float) -> None:
        """Moves the cursor past the failures that need no further look.

        Args:
            instance: where the cursor is.
            settled: runs that have been retried, or need not be.
            now_s: of a monotonic clock.
        """
        self._settled |= {record.dagster_run.run_id for record in settled}
        passed = 0
        for event_id, run_id in sorted(self._run_ids.items()):
            age_s = now_s - self._first_seen_s[event_id]
            if age_s < (IN_SIGHT_S if run_id in self._settled else GIVEN_UP_S):
                break
            passed = event_id
            del self._run_ids[event_id], self._first_seen_s[event_id]
        if passed > _cursor(instance):
            instance.daemon_cursor_storage.set_cursor_values({CURSOR_KEY: str(passed)})
        self._settled &= {*self._run_ids.values()}


def _cursor(instance: DagsterInstance) -> int:
    return int(instance.daemon_cursor_storage.get_cursor_values({CURSOR_KEY}).get(CURSOR_KEY, "0"))


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
    failed = [one.dagster_run for one in records if one.dagster_run.status == DagsterRunStatus.FAILURE]
    for run in filter_runs_to_should_retry(failed, instance):
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
