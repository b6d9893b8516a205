"""Removing second runs of one submission, left where a web server died between making and queueing a run.

The client then submits again with the same idempotency key and gets another run. The first has never been
told to anyone; Dagster would fail it for not starting, and retry it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC

from dagster import DagsterInstance, DagsterRunStatus, RunRecord, RunsFilter

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals.names import RUN_FAILURE_REASON_TAG, RunFailureReason
from backtest_pipeline.orchestration.tasks.attempts import is_first, task_of
from backtest_pipeline.orchestration.tasks.launch_locks import launch_lock

IN_FLIGHT_S = 15.0
"""A run that is younger may be on its way into the queue."""


def drop_duplicates(instance: DagsterInstance, now_s: float) -> list[str]:
    """Deletes runs that never started and whose idempotency key another task has.

    Args:
        instance: whose runs are looked at.
        now_s: seconds since 1970, from which a run's age counts.

    Returns:
        Ids of the deleted runs.

    Raises:
        LockNotAcquired: there may be some, and somebody else has had the lock of starts for a minute;
            nothing was deleted.
    """

    def repeated(records: Iterable[RunRecord]) -> list[RunRecord]:
        return [record for record in records if _other_task_has_key(instance, record)]

    doubtful = repeated(
        record
        for record in _never_started(instance)
        if tags.IDEMPOTENCY_KEY in record.dagster_run.tags
        and is_first(record.dagster_run)
        and now_s - record.create_timestamp.replace(tzinfo=UTC).timestamp() > IN_FLIGHT_S
    )
    if not doubtful:
        return []  # nearly always, and without the lock that whoever starts a run waits for
    with launch_lock(instance, wait=True):
        dropped = [record.dagster_run.run_id for record in repeated(doubtful)]
        for run_id in dropped:
            instance.delete_run(run_id)
    return dropped


def _never_started(instance: DagsterInstance) -> Iterator[RunRecord]:
    for job in tags.TASK_JOBS:
        yield from instance.get_run_records(RunsFilter(job_name=job, statuses=[DagsterRunStatus.NOT_STARTED]))
        timed_out = RunsFilter(
            job_name=job,
            statuses=[DagsterRunStatus.FAILURE],
            tags={RUN_FAILURE_REASON_TAG: RunFailureReason.START_TIMEOUT.value},
        )
        yield from (record for record in instance.get_run_records(timed_out) if record.start_time is None)


def _other_task_has_key(instance: DagsterInstance, record: RunRecord) -> bool:
    run = record.dagster_run
    same_key = RunsFilter(tags={tags.IDEMPOTENCY_KEY: run.tags[tags.IDEMPOTENCY_KEY]})
    return any(
        task_of(other.dagster_run) != run.run_id and _was_queued(other)
        for other in instance.get_run_records(same_key)
    )


def _was_queued(record: RunRecord) -> bool:
    status = record.dagster_run.status
    return record.start_time is not None or status not in {
        DagsterRunStatus.NOT_STARTED,
        DagsterRunStatus.FAILURE,
    }
