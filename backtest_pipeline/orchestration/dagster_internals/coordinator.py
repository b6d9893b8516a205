"""Submitting runs: tags, the earlier task that answers instead, and a start at once where a slot is free."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import RunQueueConfig
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._utils.tags import TagConcurrencyLimitsCounter

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import LockNotAcquired, TaskRepeated
from backtest_pipeline.orchestration.dagster_internals.code_location import code_answers, location_of
from backtest_pipeline.orchestration.dagster_internals.compat import overrides, uses
from backtest_pipeline.orchestration.dagster_internals.stored_runs import store_queued
from backtest_pipeline.orchestration.dagster_internals.submission_channel import ask
from backtest_pipeline.orchestration.tasks.admission import gone_if_refused, refuse_inadmissible
from backtest_pipeline.orchestration.tasks.attempts import is_first, task_of
from backtest_pipeline.orchestration.tasks.earlier_tasks import (
    completed_in_same_words,
    takes_earlier_result,
    task_with_key,
    tasks_with_keys,
)
from backtest_pipeline.orchestration.tasks.launch_locks import launch_lock, submit_lock
from backtest_pipeline.orchestration.tasks.submission_tags import submission_tags
from backtest_pipeline.web.access.identity import USER_HEADER

if TYPE_CHECKING:
    from dagster._core.workspace.context import BaseWorkspaceRequestContext

LOOKS_FOR_RESULT_S = 15
ASKED_FOR_AGAIN = f"Asked for again, with the tag {tags.REUSE}; this result was the answer."
_logger = logging.getLogger(__name__)

overrides(QueuedRunCoordinator, "submit_run", used_by=DagsterInstance.submit_run)
uses(QueuedRunCoordinator, "_instance", within=QueuedRunCoordinator.submit_run)
overrides(QueuedRunCoordinator, "get_run_queue_config", used_by=DagsterInstance.get_concurrency_config)


class BacktestRunCoordinator(QueuedRunCoordinator[DagsterInstance]):
    """Dagster's queue, with a short cut past it when nothing waits and a slot is free."""

    def get_run_queue_config(self) -> RunQueueConfig:
        """The limits; where workers behind a broker take the runs, as many run at once as they have slots."""
        limits = super().get_run_queue_config()
        launcher = self._instance.run_launcher if self.has_instance else None
        slots = getattr(launcher, "run_slots", None)
        return limits if slots is None else limits._replace(max_concurrent_runs=slots())

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Queues a run and starts it at once where that is fair.

        Returns:
            The run; or that of an earlier task with its idempotency key, or with the result that it asks for
            and would take, and then this run is gone again.

        Raises:
            TaskRepeated: the run is a later attempt, and another task has its key; the run is gone again.
            RequestInvalid: it may not run as it stands; it is gone again.
            LockNotAcquired: its key could not be compared with others; the run is gone again.
        """
        run = context.dagster_run
        with gone_if_refused(self._instance, run):
            run_tags = self._further_tags(context)
            if run_tags:
                self._instance.add_run_tags(run.run_id, run_tags)
        result = self._with_same_result(run, context.workspace)
        try:
            with _key_lock(self._instance, [run]):
                earlier = self._earlier_with_key(run) or result
                queued = super().submit_run(context) if earlier is None else earlier
        except LockNotAcquired:
            self._instance.delete_run(run.run_id)  # else its key would stand for a task that never was
            raise
        if earlier is not None:
            self._instance.delete_run(run.run_id)
            return earlier
        self._start_now_or_later(queued, context.workspace)
        return self._instance.get_run_by_id(run.run_id) or queued

    def submit_new(
        self, runs: Sequence[DagsterRun], workspace: BaseWorkspaceRequestContext
    ) -> list[DagsterRun | Exception]:
        """Queues first runs of tasks that are stored nowhere yet, as `submit_run` would one after another.

        Returns:
            Of each the run that stands for its task, or why there is none.
        """
        outcomes: dict[str, DagsterRun | Exception] = {}
        admitted: list[DagsterRun] = []
        for run in runs:
            try:
                further = self._further_tags(SubmitRunContext(run, workspace=workspace))
                admitted.append(run.with_tags({**run.tags, **further}))
            except Exception as error:  # noqa: BLE001  of this one; whoever has asked for it raises it
                outcomes[run.run_id] = error
        same = {run.run_id: self._with_same_result(run, workspace) for run in admitted}
        queued: list[DagsterRun] = []
        try:
            with _key_lock(self._instance, admitted):
                known = tasks_with_keys(self._instance, admitted)
                for run in admitted:
                    key = run.tags.get(tags.IDEMPOTENCY_KEY)
                    earlier = (None if key is None else known.get(key)) or same[run.run_id]
                    outcomes[run.run_id] = earlier or run
                    if earlier is None:
                        queued.append(run)
                        known |= {} if key is None else {key: run}
                if queued:
                    store_queued(self._instance, queued)
        except Exception as error:  # noqa: BLE001  as above, of all of them
            outcomes |= {run.run_id: error for run in admitted}
            queued = []
        if len(queued) == 1:  # of several, the daemon finds those that may start
            self._start_now_or_later(queued[0], workspace)
        return [outcomes[run.run_id] for run in runs]

    def _further_tags(self, context: SubmitRunContext) -> dict[str, str]:
        """The tags that a run gets with its submission.

        Raises:
            RequestInvalid: it may not run as it stands.
        """
        run = context.dagster_run
        run_tags = submission_tags(run, now_s=time.time()) if run.job_name in tags.TASK_JOBS else {}
        user = context.get_request_header(USER_HEADER)  # the guard's word; what a client wrote there is gone
        if user:
            run_tags[tags.USER] = user
        refuse_inadmissible(self._instance, run, run_tags)
        return run_tags

    def _earlier_with_key(self, run: DagsterRun) -> DagsterRun | None:
        """The root run of another task with the run's idempotency key.

        Raises:
            TaskRepeated: there is one, and the run is a later attempt, which cannot be another task's; the
                run is gone.
        """
        other = task_with_key(self._instance, run)
        if other is not None and not is_first(run):
            self._instance.delete_run(run.run_id)
            raise TaskRepeated(task_of(other), run.tags[tags.IDEMPOTENCY_KEY])
        return other

    def _with_same_result(self, run: DagsterRun, workspace: BaseWorkspaceRequestContext) -> DagsterRun | None:
        """The newest run of a completed task with the result that a run asks for, if it takes an earlier one.

        Where it cannot be found out whether there is one, there is none, and the request runs.
        """
        if not takes_earlier_result(run):
            return None
        try:
            candidates = completed_in_same_words(self._instance, run)
            if not candidates:
                return None
            code = None if run.tags.get(tags.ANY_CODE) == "true" else run.tags.get(tags.SUBMITTED_CODE)
            question = {
                "same_result": run.run_config,
                "among": list(candidates),
                "submitted_code": code or None,
            }
            answer = ask(location_of(run), workspace, question, within_s=LOOKS_FOR_RESULT_S)
            found = candidates.get(str(answer.get("task_id")))
            if found is not None:
                self._instance.report_engine_event(ASKED_FOR_AGAIN, found)
        except Exception as error:  # noqa: BLE001  then it runs, which is what was asked for
            _logger.warning("no earlier result was looked for: %r", error)
            return None
        return found

    def _start_now_or_later(self, run: DagsterRun, workspace: BaseWorkspaceRequestContext) -> None:
        try:
            self._start_if_free(run, workspace)
        except Exception as error:  # noqa: BLE001  it is in the queue, or was started: not for the submitter
            _logger.warning("run %s was not started at once: %r", run.run_id, error)

    def _start_if_free(self, run: DagsterRun, workspace: BaseWorkspaceRequestContext) -> None:
        """Starts a queued run unless others wait, the limits are reached or its code is out of reach."""
        if run.status != DagsterRunStatus.QUEUED or run.tags.get(tags.NOT_BEFORE):
            return
        with suppress(LockNotAcquired), launch_lock(self._instance, wait=False):
            if self._is_free(run) and code_answers(location_of(run), workspace):
                self._instance.launch_run(run.run_id, workspace)

    def _is_free(self, run: DagsterRun) -> bool:
        waiting = self._instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.QUEUED]), limit=2)
        if [other.run_id for other in waiting] != [run.run_id]:
            return False
        limits = self.get_run_queue_config()
        running = self._instance.get_runs(RunsFilter(statuses=IN_PROGRESS_RUN_STATUSES))
        if limits.max_concurrent_runs != -1 and len(running) >= limits.max_concurrent_runs:
            return False
        return not TagConcurrencyLimitsCounter(limits.tag_concurrency_limits, running).is_blocked(run)


@contextmanager
def _key_lock(instance: DagsterInstance, runs: Sequence[DagsterRun]) -> Iterator[None]:
    """Makes runs with an idempotency key pass one after another; others need not wait."""
    if not any(tags.IDEMPOTENCY_KEY in run.tags for run in runs):
        yield
        return
    with submit_lock(instance):
        yield
