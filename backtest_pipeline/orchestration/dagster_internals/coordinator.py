"""Submitting runs: tags, one task for one idempotency key, and a start at once where a slot is free."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES
from dagster._utils.tags import TagConcurrencyLimitsCounter

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import LockNotAcquired, TaskRepeated
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.tag_rules import tag_problem
from backtest_pipeline.model.task_kind import backtest_of
from backtest_pipeline.orchestration.dagster_internals.code_location import code_answers, location_of
from backtest_pipeline.orchestration.dagster_internals.compat import overrides, uses
from backtest_pipeline.orchestration.tasks.admission import gone_if_refused, refuse_inadmissible
from backtest_pipeline.orchestration.tasks.launch_locks import launch_lock, submit_lock
from backtest_pipeline.web.access.identity import USER_HEADER

if TYPE_CHECKING:
    from dagster._core.workspace.context import BaseWorkspaceRequestContext

FIRST_RETRY_WAIT_S = 1.0
LONGEST_RETRY_WAIT_S = 300.0
_MOST_DOUBLINGS = 20
# Numbers of a request that Dagster reads from tags.
_NUMBERS = {"priority": tags.PRIORITY, "max_retries": tags.MAX_RETRIES, "timeout_s": tags.MAX_RUNTIME}
_logger = logging.getLogger(__name__)

overrides(QueuedRunCoordinator, "submit_run", used_by=DagsterInstance.submit_run)
uses(QueuedRunCoordinator, "_instance", within=QueuedRunCoordinator.submit_run)
uses(QueuedRunCoordinator, "get_run_queue_config")


class BacktestRunCoordinator(QueuedRunCoordinator[DagsterInstance]):
    """Dagster's queue, with a short cut past it when nothing waits and a slot is free."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Queues a run and starts it at once where that is fair.

        Returns:
            The run; or that of an earlier task with its idempotency key, and then this run is gone again.

        Raises:
            TaskRepeated: the run is a later attempt, and another task has its key; the run is gone again.
            RequestInvalid: it may not run as it stands; it is gone again.
            LockNotAcquired: its key could not be compared with others; the run is gone again.
        """
        run = context.dagster_run
        run_tags = submission_tags(run, now_s=time.time()) if run.job_name in tags.TASK_JOBS else {}
        user = context.get_request_header(USER_HEADER)  # the guard's word; what a client wrote there is gone
        if user:
            run_tags[tags.USER] = user
        with gone_if_refused(self._instance, run):
            refuse_inadmissible(self._instance, run, run_tags)
            if run_tags:
                self._instance.add_run_tags(run.run_id, run_tags)
        try:
            with _key_lock(self._instance, run):
                earlier = self._earlier_with_key(run)
                queued = super().submit_run(context) if earlier is None else earlier
        except LockNotAcquired:
            self._instance.delete_run(run.run_id)  # else its key would stand for a task that never was
            raise
        if earlier is not None:
            return earlier
        try:
            self._start_if_free(queued, context.workspace)
        except Exception as error:  # noqa: BLE001  it is in the queue, or was started: not for the submitter
            _logger.warning("run %s was not started at once: %r", run.run_id, error)
        return self._instance.get_run_by_id(run.run_id) or queued

    def _earlier_with_key(self, run: DagsterRun) -> DagsterRun | None:
        """The root run of another task with the run's idempotency key; then the run itself is deleted.

        Raises:
            TaskRepeated: there is one, and the run is a later attempt, which cannot be another task's.
        """
        key = run.tags.get(tags.IDEMPOTENCY_KEY)
        if key is None:
            return None
        task_id = task_of(run)
        for other in self._instance.get_runs(RunsFilter(tags={tags.IDEMPOTENCY_KEY: key})):
            if task_of(other) != task_id and other.status != DagsterRunStatus.NOT_STARTED:
                self._instance.delete_run(run.run_id)
                if task_id != run.run_id:
                    raise TaskRepeated(task_of(other), key)
                return self._instance.get_run_by_id(task_of(other)) or other
        return None

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


def task_of(run: DagsterRun) -> str:
    """Id of the task that a run is an attempt of."""
    return run.root_run_id or run.run_id


def submission_tags(run: DagsterRun, *, now_s: float) -> dict[str, str]:
    """What a run's config says that Dagster reads from tags, wherever the run was launched.

    Args:
        run: a run that is being submitted.
        now_s: seconds since 1970, from which a retry's wait counts.
    """
    config: Mapping[str, Any] = backtest_of(run.run_config)
    selected = config.get("strategy")
    run_tags = {tags.PROGRESS: "0.00"}
    if tags.NOT_BEFORE in run.tags:
        run_tags[tags.NOT_BEFORE] = ""  # of an earlier attempt, or a client's invention
    if isinstance(selected, Mapping) and len(selected) == 1:
        run_tags[tags.STRATEGY] = str(next(iter(selected)))
    for name, tag in _NUMBERS.items():
        asked = config.get(name)
        if isinstance(asked, int) and not tag_problem(tag, str(asked)):
            run_tags[tag] = str(asked)
        elif tag not in run.tags:
            run_tags[tag] = str(BacktestRequest.model_fields[name].default)
    if isinstance(config.get("symbols"), list):
        run_tags[tags.SYMBOLS] = ",".join(map(str, config["symbols"]))
    if isinstance(config.get("labels"), Mapping):
        run_tags |= {f"{tags.LABEL_PREFIX}{key}": str(value) for key, value in config["labels"].items()}
    return tags.fitting(run_tags | _retry_tags(run, now_s))


def _retry_tags(run: DagsterRun, now_s: float) -> dict[str, str]:
    number = int(tags.number(run.tags, tags.RETRY_NUMBER, 0))
    run_tags = {
        tags.STAGE: "waiting for a free worker",
        tags.ERROR: "",
        tags.RESULT_PATH: "",
        tags.ALERTED: "",
        tags.RECORDED: "",
        tags.RETRY_OWED: "",
        tags.CODE: "",
    }
    if task_of(run) == run.run_id:
        return {name: value for name, value in run_tags.items() if name == tags.STAGE or name in run.tags}
    if not number:  # executed again by hand, in the web UI: whoever does that asks for the server's code
        return run_tags | {tags.SUBMITTED_CODE: "", tags.ANY_CODE: ""}
    wait_s = min(FIRST_RETRY_WAIT_S * 2 ** min(number - 1, _MOST_DOUBLINGS), LONGEST_RETRY_WAIT_S)
    stage = f"waiting {wait_s:g} s before attempt {number + 1}"
    return run_tags | {tags.NOT_BEFORE: f"{now_s + wait_s:.3f}", tags.STAGE: stage}


@contextmanager
def _key_lock(instance: DagsterInstance, run: DagsterRun) -> Iterator[None]:
    """Makes runs with an idempotency key pass one after another; others need not wait."""
    if tags.IDEMPOTENCY_KEY not in run.tags:
        yield
        return
    with submit_lock(instance):
        yield
