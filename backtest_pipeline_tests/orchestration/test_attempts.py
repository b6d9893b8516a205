"""Which runs are attempts of a task, in which order, and which of them may still publish."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest
from sqlalchemy import text

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import AttemptSuperseded
from backtest_pipeline.orchestration.dagster_internals.run_storage import run_storage_of
from backtest_pipeline.orchestration.tasks.attempts import Attempt, attempts_of, is_first, task_of


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def _add(
    instance: dg.DagsterInstance,
    root: dg.DagsterRun | None = None,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.FAILURE,
) -> dg.DagsterRun:
    given = {tags.ROOT_RUN: root.run_id, tags.PARENT_RUN: root.run_id} if root else {}
    root_id = root.run_id if root else None
    run = dg.DagsterRun(
        job_name="backtest", root_run_id=root_id, parent_run_id=root_id, tags=given, status=status
    )
    instance.run_storage.add_run(run)
    return run


def _ids(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    return [record.dagster_run.run_id for record in attempts_of(instance, run_id)]


def _created(instance: dg.DagsterInstance, run: dg.DagsterRun, moment: str) -> None:
    """Sets a run's creation, as a clock that was set back would have."""
    with run_storage_of(instance).connect() as connection:
        statement = text("UPDATE runs SET create_timestamp = :moment WHERE run_id = :run")
        connection.execute(statement, {"moment": moment, "run": run.run_id})


def test_any_attempt_leads_to_all_of_its_task_and_to_no_others(instance: dg.DagsterInstance) -> None:
    first, other = _add(instance), _add(instance)
    second, third = _add(instance, first), _add(instance, first)
    attempts = [first.run_id, second.run_id, third.run_id]
    assert [_ids(instance, run_id) for run_id in attempts] == [attempts] * 3
    assert _ids(instance, other.run_id) == [other.run_id]
    assert [task_of(run) for run in (first, second, third)] == [first.run_id] * 3
    assert [is_first(run) for run in (first, second, other)] == [True, False, True]


def test_the_root_is_the_oldest_even_where_clocks_were_set_back(instance: dg.DagsterInstance) -> None:
    first = _add(instance)
    second, third = _add(instance, first), _add(instance, first)
    _created(instance, first, "2026-01-03 00:00:00")
    _created(instance, second, "2026-01-02 00:00:00")
    _created(instance, third, "2026-01-01 00:00:00")
    assert _ids(instance, second.run_id) == [first.run_id, third.run_id, second.run_id]


def test_an_unknown_run_has_no_attempts(instance: dg.DagsterInstance) -> None:
    assert attempts_of(instance, "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0") == []


def test_an_attempt_knows_the_ones_before_it_and_when_its_task_was_submitted(
    instance: dg.DagsterInstance,
) -> None:
    first = _add(instance)
    second = _add(instance, first)
    _add(instance, first)
    _created(instance, first, "2026-01-01 12:30:00")
    attempt = Attempt.of(instance, second.run_id)
    assert attempt == Attempt(
        first.run_id, [first.run_id, second.run_id], datetime(2026, 1, 1, 12, 30, tzinfo=UTC), None
    )


def test_a_task_is_the_users_who_submitted_it_whoever_runs_it_again(instance: dg.DagsterInstance) -> None:
    first = _add(instance)
    second = _add(instance, first)
    instance.add_run_tags(first.run_id, {tags.USER: "ann"})
    instance.add_run_tags(second.run_id, {tags.USER: "bob"})
    assert Attempt.of(instance, second.run_id).user == "ann"


def test_an_attempt_whose_root_is_gone_is_still_one_of_its_task(instance: dg.DagsterInstance) -> None:
    first = _add(instance)
    second = _add(instance, first)
    instance.delete_run(first.run_id)
    attempt = Attempt.of(instance, second.run_id)
    assert (attempt.task_id, attempt.run_ids) == (first.run_id, [second.run_id])


def test_a_run_that_is_deleted_while_it_executes_is_a_task_of_its_own(instance: dg.DagsterInstance) -> None:
    run = _add(instance)
    instance.delete_run(run.run_id)
    assert Attempt.of(instance, run.run_id).run_ids == [run.run_id]


@pytest.mark.parametrize("status", ["STARTING", "STARTED", "CANCELING"])
def test_the_newest_attempt_may_publish_while_it_lives(instance: dg.DagsterInstance, status: str) -> None:
    run = _add(instance, status=dg.DagsterRunStatus[status])
    Attempt.of(instance, run.run_id).refuse_given_up(instance)


@pytest.mark.parametrize("status", ["FAILURE", "CANCELED", "SUCCESS"])
def test_an_attempt_that_was_given_up_may_not(instance: dg.DagsterInstance, status: str) -> None:
    run = _add(instance, status=dg.DagsterRunStatus[status])
    with pytest.raises(AttemptSuperseded):
        Attempt.of(instance, run.run_id).refuse_given_up(instance)


def test_an_attempt_that_another_has_followed_may_not(instance: dg.DagsterInstance) -> None:
    first = _add(instance, status=dg.DagsterRunStatus.STARTED)
    attempt = Attempt.of(instance, first.run_id)
    _add(instance, first, dg.DagsterRunStatus.STARTED)
    with pytest.raises(AttemptSuperseded, match=r"attempt 1 of task .* comes too late: attempt 2"):
        attempt.refuse_given_up(instance)


def test_an_attempt_that_was_deleted_may_not(instance: dg.DagsterInstance) -> None:
    run = _add(instance, status=dg.DagsterRunStatus.STARTED)
    attempt = Attempt.of(instance, run.run_id)
    instance.delete_run(run.run_id)
    with pytest.raises(AttemptSuperseded):
        attempt.refuse_given_up(instance)
