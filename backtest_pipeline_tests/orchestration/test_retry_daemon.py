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
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.auto_run_reexecution.event_log_consumer import DAGSTER_EVENT_TYPES, _create_cursor_key

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals import retry_daemon
from backtest_pipeline.orchestration.dagster_internals.retry_daemon import (
    retry_or_owe,
    start_at_the_beginning,
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


def test_the_first_look_starts_before_the_first_failure_and_a_later_one_where_it_was(
    instance: dg.DagsterInstance,
) -> None:
    failures, successes = sorted(map(_create_cursor_key, DAGSTER_EVENT_TYPES))
    storage = instance.daemon_cursor_storage
    storage.set_cursor_values({failures: "41"})
    start_at_the_beginning(instance)
    assert storage.get_cursor_values({failures, successes}) == {failures: "41", successes: "0"}


def test_our_daemon_is_the_one_that_dagsters_controller_makes(instance: dg.DagsterInstance) -> None:
    from dagster._daemon import controller  # noqa: PLC0415  its names are replaced in the daemon's process

    from backtest_pipeline.orchestration.dagster_internals.daemon_command import install  # noqa: PLC0415  as above

    kept = dict(vars(controller))
    try:
        install()
        made = controller.create_daemon_of_type("EVENT_LOG_CONSUMER", instance)
    finally:
        vars(controller).update(kept)
    assert isinstance(made, retry_daemon.LastingRetryDaemon)
