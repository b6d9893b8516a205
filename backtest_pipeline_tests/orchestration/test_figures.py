"""Counting tasks for the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.runs.schema import RunsTable
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from backtest_pipeline.orchestration.tasks.task_counts import EndedTasks, task_counts

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp()
Status = dg.DagsterRunStatus


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def _ran(
    instance: dg.DagsterInstance,
    status: Status,
    *,
    submitted_s: float = 0.0,
    ended_s: float | None = None,
    root: str | None = None,
    job: str = "backtest",
    **run_tags: str,
) -> str:
    """Adds a run that was submitted and ended so many seconds after noon; the row changed at its end."""
    run = instance.add_run(
        dg.DagsterRun(
            job_name=job,
            status=Status.NOT_STARTED,
            root_run_id=root,
            parent_run_id=root,
            tags={f"dagster/{key}": value for key, value in run_tags.items()},
        )
    )
    _set(
        instance,
        run.run_id,
        status=status.value,
        create_timestamp=_naive(submitted_s),
        update_timestamp=_naive(submitted_s if ended_s is None else ended_s),
        end_time=None if ended_s is None else NOON + ended_s,
    )
    return run.run_id


def _naive(after_noon_s: float) -> datetime:
    return datetime.fromtimestamp(NOON + after_noon_s, UTC).replace(tzinfo=None)


def _set(instance: dg.DagsterInstance, run_id: str, **values: object) -> None:
    storage = instance.run_storage
    assert isinstance(storage, SqlRunStorage)
    with storage.connect() as connection:
        connection.execute(sa.update(RunsTable).where(RunsTable.c.run_id == run_id).values(**values))


def test_tasks_are_counted_by_the_state_that_users_see(instance: dg.DagsterInstance) -> None:
    shown = {
        "queued": [Status.NOT_STARTED, Status.QUEUED, Status.QUEUED],
        "running": [Status.STARTING, Status.STARTED, Status.CANCELING],
        "completed": [Status.SUCCESS] * 4,
        "failed": [Status.FAILURE] * 2,
        "cancelled": [Status.CANCELED],
    }
    for statuses in shown.values():
        for status in statuses:
            _ran(instance, status)
    _ran(instance, Status.SUCCESS, job="cleanup_task_results")
    assert task_counts(instance) == {state: len(statuses) for state, statuses in shown.items()}


def test_a_failure_that_dagster_retries_is_no_failed_task(instance: dg.DagsterInstance) -> None:
    root = _ran(instance, Status.FAILURE, will_retry="true")
    _ran(instance, Status.FAILURE, root=root, will_retry="false")
    _ran(instance, Status.QUEUED)
    assert task_counts(instance) == {"queued": 1, "running": 0, "completed": 0, "failed": 1, "cancelled": 0}


def test_each_task_that_ends_is_told_once_with_its_latency(instance: dg.DagsterInstance) -> None:
    ended = EndedTasks(instance, NOON)
    _ran(instance, Status.SUCCESS, submitted_s=-100, ended_s=-50)  # before this process began
    _ran(instance, Status.SUCCESS, submitted_s=1, ended_s=3.5)
    _ran(instance, Status.STARTED, submitted_s=2)
    _ran(instance, Status.SUCCESS, submitted_s=1, ended_s=4, job="cleanup_task_results")
    assert ended.look(NOON + 5) == [("completed", 2.5)]
    assert ended.look(NOON + 6) == []
    _ran(instance, Status.CANCELED, submitted_s=3, ended_s=7)
    assert ended.look(NOON + 8) == [("cancelled", 4.0)]
    assert ended.look(NOON + 500) == []


def test_a_retried_task_counts_from_its_first_attempt_and_only_at_its_end(
    instance: dg.DagsterInstance,
) -> None:
    ended = EndedTasks(instance, NOON)
    root = _ran(instance, Status.FAILURE, submitted_s=1, ended_s=2, will_retry="true")
    assert ended.look(NOON + 30) == []
    _ran(instance, Status.SUCCESS, submitted_s=31, ended_s=41, root=root)
    assert ended.look(NOON + 42) == [("completed", 40.0)]


def test_a_failure_is_told_once_it_is_certain(instance: dg.DagsterInstance) -> None:
    ended = EndedTasks(instance, NOON)
    _ran(instance, Status.FAILURE, submitted_s=1, ended_s=2)
    assert ended.look(NOON + 11.9) == []  # 9.9 s after its end, Dagster may still decide to retry
    assert ended.look(NOON + 12.1) == [("failed", 1.0)]


def test_a_run_that_gets_a_tag_later_is_not_told_again(instance: dg.DagsterInstance) -> None:
    ended = EndedTasks(instance, NOON)
    run_id = _ran(instance, Status.SUCCESS, submitted_s=1, ended_s=2)
    assert len(ended.look(NOON + 5)) == 1
    assert ended.look(NOON + 1_000) == []
    _set(instance, run_id, update_timestamp=_naive(1_001))
    assert ended.look(NOON + 1_002) == []


def test_more_than_a_page_is_told_in_one_look(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backtest_pipeline.orchestration.tasks.task_counts._PAGE", 3)
    ended = EndedTasks(instance, NOON)
    for number in range(7):
        _ran(instance, Status.SUCCESS, submitted_s=0, ended_s=1 + number)
    assert [latency_s for _, latency_s in ended.look(NOON + 20)] == [1, 2, 3, 4, 5, 6, 7]
