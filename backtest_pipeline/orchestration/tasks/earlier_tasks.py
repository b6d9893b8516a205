"""Which earlier task answers a submission: one with its idempotency key, or one that may have its result."""

from __future__ import annotations

from collections.abc import Sequence

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.task_request import request_of
from backtest_pipeline.orchestration.tasks.attempts import attempts_of, is_first, task_of
from backtest_pipeline.orchestration.tasks.run_states import STATUSES, state_of

MOST_CANDIDATES = 5


def task_with_key(instance: DagsterInstance, run: DagsterRun) -> DagsterRun | None:
    """The root run of another task with the run's idempotency key, or none."""
    return next(iter(tasks_with_keys(instance, [run]).values()), None)


def tasks_with_keys(instance: DagsterInstance, runs: Sequence[DagsterRun]) -> dict[str, DagsterRun]:
    """The root runs of other tasks with the idempotency keys of runs, by key; of two, the newest."""
    own = {task_of(run) for run in runs}
    keys = {run.tags[tags.IDEMPOTENCY_KEY] for run in runs if tags.IDEMPOTENCY_KEY in run.tags}
    if not keys:
        return {}
    found: dict[str, DagsterRun] = {}
    for other in instance.get_runs(RunsFilter(tags={tags.IDEMPOTENCY_KEY: sorted(keys)})):
        if task_of(other) not in own and other.status != DagsterRunStatus.NOT_STARTED:
            found.setdefault(other.tags[tags.IDEMPOTENCY_KEY], other)
    return {key: instance.get_run_by_id(task_of(other)) or other for key, other in found.items()}


def takes_earlier_result(run: DagsterRun) -> bool:
    """Whether a submission takes the result that there is; a further attempt of a task never does."""
    return run.job_name in tags.TASK_JOBS and is_first(run) and run.tags.get(tags.REUSE) == "true"


def completed_in_same_words(instance: DagsterInstance, run: DagsterRun) -> dict[str, DagsterRun]:
    """The newest completed tasks that were asked for as a run is, newest first, by id: their newest runs.

    A task that is executed again right now is none of them.
    """
    try:
        digest = request_of(run.run_config).digest()
    except RequestInvalid:
        return {}
    run_tags = {tags.REQUEST_DIGEST: digest}
    wanted = RunsFilter(job_name=run.job_name, statuses=STATUSES["completed"], tags=run_tags)
    found = dict.fromkeys(task_of(other) for other in instance.get_runs(wanted, limit=MOST_CANDIDATES))
    newest = {task_id: attempts_of(instance, task_id)[-1].dagster_run for task_id in found}
    return {id_: one for id_, one in newest.items() if state_of(one) == "completed"}
