"""Retries that something stood in the way of."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterInvalidSubsetError
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.auto_run_reexecution.event_log_consumer import (
    DAGSTER_EVENT_TYPES,
    EventLogConsumerDaemon,
    _create_cursor_key,
)

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals import retry_daemon
from backtest_pipeline.orchestration.dagster_internals.retry_daemon import (
    CURSOR_KEY,
    GIVEN_UP_S,
    IN_SIGHT_S,
    FailuresInSight,
    LastingRetryDaemon,
    retry_or_owe,
)
from backtest_pipeline.orchestration.tasks.repeated_submissions import drop_duplicates

LOG = logging.getLogger("retries")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        yield instance


def _failed(instance: dg.DagsterInstance, **run_tags: str) -> RunRecord:
    run = create_run_for_test(
        instance,
        job_name="backtest",
        status=dg.DagsterRunStatus.FAILURE,
        tags={tags.WILL_RETRY: "true", "dagster/max_retries": "2", **run_tags},
    )
    record = instance.get_run_record_by_id(run.run_id)
    assert record is not None
    return record


def _retry(instance: dg.DagsterInstance, record: RunRecord) -> dict[str, str]:
    """Lets the failed run be retried; returns its tags afterwards."""
    list(retry_or_owe(SimpleNamespace(instance=instance), [record], LOG))  # type: ignore[arg-type]
    run = instance.get_run_by_id(record.dagster_run.run_id)
    assert run is not None
    return dict(run.tags)


def test_a_retry_that_cannot_be_launched_is_owed_until_it_can(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [True]
    launched = []

    def retry_run(run: dg.DagsterRun, _context: Any) -> None:
        if away[0]:
            raise dg.DagsterInvariantViolationError("the code server is away")
        launched.append(run.run_id)

    monkeypatch.setattr(retry_daemon, "retry_run", retry_run)
    record = _failed(instance)
    run_tags = _retry(instance, record)
    assert (run_tags[tags.RETRY_OWED], run_tags[tags.WILL_RETRY]) == ("true", "true")
    owed = instance.get_run_records(dg.RunsFilter(tags={tags.RETRY_OWED: "true"}))
    assert [one.dagster_run.run_id for one in owed] == [record.dagster_run.run_id]
    away[0] = False
    assert _retry(instance, owed[0])[tags.RETRY_OWED] == ""
    assert launched == [record.dagster_run.run_id]


def test_a_worker_that_died_after_its_last_step_is_retried_from_the_beginning(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = []

    def retry_run(run: dg.DagsterRun, _context: Any) -> None:
        if run.tags.get("dagster/retry_strategy") != "ALL_STEPS":
            raise DagsterInvalidSubsetError("No steps needed to be retried in the failed run.")
        launched.append(run.run_id)

    monkeypatch.setattr(retry_daemon, "retry_run", retry_run)
    record = _failed(instance)
    assert tags.RETRY_OWED not in _retry(instance, record)
    assert launched == [record.dagster_run.run_id]


def test_a_run_that_never_started_goes_when_its_submission_was_repeated(instance: dg.DagsterInstance) -> None:
    def run(key: str, status: dg.DagsterRunStatus, **run_tags: str) -> str:
        run_tags = {tags.IDEMPOTENCY_KEY: key, **run_tags}
        return str(create_run_for_test(instance, job_name="backtest", status=status, tags=run_tags).run_id)

    timed_out = {"dagster/failure_reason": "START_TIMEOUT"}
    lost = run("twice", dg.DagsterRunStatus.NOT_STARTED)
    failed = run("twice", dg.DagsterRunStatus.FAILURE, **timed_out)
    taken = run("twice", dg.DagsterRunStatus.STARTED)
    alone = run("once", dg.DagsterRunStatus.NOT_STARTED)
    both_lost = [run("lost", dg.DagsterRunStatus.FAILURE, **timed_out) for _ in range(2)]
    now_s = time.time()
    assert drop_duplicates(instance, now_s) == [], "it may be on its way into the queue"
    assert set(drop_duplicates(instance, now_s + 60)) == {lost, failed}
    assert {one.run_id for one in instance.get_runs()} == {taken, alone, *both_lost}
    assert drop_duplicates(instance, now_s + 60) == []


def _says_it_failed(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED
) -> str:
    """A run whose failure is an event already; its status is written after that."""
    run = create_run_for_test(instance, job_name="backtest", status=status, tags={"dagster/max_retries": "1"})
    failure = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.RUN_FAILURE.value,
        job_name="backtest",
        event_specific_data=JobFailureData(
            None, failure_reason=RunFailureReason.STEP_FAILURE, first_step_failure_event=None
        ),
    )
    entry = dg.EventLogEntry(  # type: ignore[no-untyped-call]
        error_info=None,
        level="error",
        user_message="",
        run_id=run.run_id,
        timestamp=time.time(),
        dagster_event=failure,
    )
    instance.event_log_storage.store_event(entry)
    return str(run.run_id)


def _status(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> None:
    instance.run_storage.handle_run_event(run_id, dg.DagsterEvent(kind.value, "backtest"))


def _look(instance: dg.DagsterInstance, failures: FailuresInSight, now_s: float) -> list[str]:
    """One look, at which all that is found is settled: the identifiers of these runs."""
    found = failures.look(instance, now_s)
    failures.pass_settled(instance, found, now_s)
    return [record.dagster_run.run_id for record in found]


def test_a_failure_seen_before_the_status_of_its_run_is_retried_when_the_status_says_so(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[str] = []
    monkeypatch.setattr(retry_daemon, "retry_run", lambda run, _context: launched.append(run.run_id))
    daemon = LastingRetryDaemon()
    daemon._logger = LOG
    context: Any = SimpleNamespace(instance=instance)
    run_id = _says_it_failed(instance)
    list(daemon.run_iteration(context))
    assert launched == []
    _status(instance, run_id, dg.DagsterEventType.RUN_FAILURE)
    instance.add_run_tags(run_id, {tags.WILL_RETRY: "true"})
    list(daemon.run_iteration(context))
    list(daemon.run_iteration(context))
    assert launched == [run_id]


def test_dagsters_own_consumer_still_loses_such_a_failure(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When this fails, Dagster waits for the status itself, and less of ours is needed."""
    launched: list[str] = []
    monkeypatch.setattr(
        "dagster._daemon.auto_run_reexecution.auto_run_reexecution.retry_run",
        lambda run, _context: launched.append(run.run_id),
    )
    keys = map(_create_cursor_key, DAGSTER_EVENT_TYPES)
    instance.daemon_cursor_storage.set_cursor_values(dict.fromkeys(keys, "0"))
    daemon = EventLogConsumerDaemon()
    daemon._logger = LOG
    context: Any = SimpleNamespace(instance=instance)
    run_id = _says_it_failed(instance)
    list(daemon.run_iteration(context))
    _status(instance, run_id, dg.DagsterEventType.RUN_FAILURE)
    instance.add_run_tags(run_id, {tags.WILL_RETRY: "true"})
    list(daemon.run_iteration(context))
    assert launched == []


def test_a_failure_is_settled_once_and_passed_when_no_earlier_event_can_appear(
    instance: dg.DagsterInstance,
) -> None:
    first, second = (_says_it_failed(instance, dg.DagsterRunStatus.FAILURE) for _ in range(2))
    failures = FailuresInSight()
    assert set(_look(instance, failures, 0.0)) == {first, second}
    assert _look(instance, failures, IN_SIGHT_S - 1) == []
    assert instance.daemon_cursor_storage.get_cursor_values({CURSOR_KEY}) == {}
    assert set(_look(instance, FailuresInSight(), 0.0)) == {first, second}, "another process looks again"
    assert _look(instance, failures, IN_SIGHT_S) == []
    assert instance.daemon_cursor_storage.get_cursor_values({CURSOR_KEY}) == {CURSOR_KEY: "2"}
    assert _look(instance, FailuresInSight(), 0.0) == []
    third = _says_it_failed(instance, dg.DagsterRunStatus.FAILURE)
    assert _look(instance, failures, IN_SIGHT_S + 1) == [third]


def test_the_cursor_waits_for_a_run_that_does_not_end_but_not_for_ever(instance: dg.DagsterInstance) -> None:
    never_ends = _says_it_failed(instance)
    ended = _says_it_failed(instance, dg.DagsterRunStatus.FAILURE)
    failures = FailuresInSight()
    assert _look(instance, failures, 0.0) == [ended]
    assert _look(instance, failures, GIVEN_UP_S - 1) == []
    assert instance.daemon_cursor_storage.get_cursor_values({CURSOR_KEY}) == {}
    _look(instance, failures, GIVEN_UP_S)
    assert instance.daemon_cursor_storage.get_cursor_values({CURSOR_KEY}) == {CURSOR_KEY: "2"}
    _status(instance, never_ends, dg.DagsterEventType.RUN_FAILURE)
    assert _look(instance, failures, GIVEN_UP_S + 1) == []


def test_the_failure_of_a_run_that_was_deleted_holds_nothing_up(instance: dg.DagsterInstance) -> None:
    gone = _says_it_failed(instance)
    instance.run_storage.delete_run(gone)
    failures = FailuresInSight()
    assert _look(instance, failures, 0.0) == []
    _look(instance, failures, IN_SIGHT_S)
    assert instance.daemon_cursor_storage.get_cursor_values({CURSOR_KEY}) == {CURSOR_KEY: "1"}


def test_our_daemon_is_the_one_that_dagsters_controller_makes(instance: dg.DagsterInstance) -> None:
    from dagster._daemon import controller  # noqa: PLC0415  its names are replaced in the daemon's process

    from backtest_pipeline.orchestration.dagster_internals.daemon_command import install  # noqa: PLC0415  as above

    kept = dict(vars(controller))
    try:
        install()
        made = controller.create_daemon_of_type("EVENT_LOG_CONSUMER", instance)
    finally:
        vars(controller).update(kept)
    assert isinstance(made, LastingRetryDaemon)
