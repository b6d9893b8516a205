"""A run that was sent to workers is executed by one of them, once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.tasks.run_claims import (
    cancel_unclaimed,
    claim,
    offer,
    take_back,
    worker_of,
)
from backtest_pipeline_tests.orchestration.queued_runs import starting_run


@pytest.fixture
def instance(tmp_path: Path) -> DagsterInstance:
    return DagsterInstance.local_temp(str(tmp_path))


@pytest.fixture
def run(instance: DagsterInstance) -> DagsterRun:
    run = starting_run(instance)
    offer(instance, run.run_id, "token")
    return run


def _now(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    [now] = instance.get_runs(RunsFilter(run_ids=[run.run_id]))
    return now


def test_of_many_who_come_with_the_message_one_gets_the_run(
    instance: DagsterInstance, run: DagsterRun
) -> None:
    claimed: list[str] = []

    def come(worker: str) -> None:
        if claim(instance, run.run_id, "token", worker) is not None:
            claimed.append(worker)

    come_at_once = [threading.Thread(target=come, args=(f"worker-{number}",)) for number in range(8)]
    for one in come_at_once:
        one.start()
    for one in come_at_once:
        one.join()
    assert len(claimed) == 1
    assert worker_of(_now(instance, run)) == claimed[0]


def test_the_message_of_an_earlier_launch_claims_nothing(instance: DagsterInstance, run: DagsterRun) -> None:
    offer(instance, run.run_id, "later")
    assert claim(instance, run.run_id, "token", "worker") is None
    assert claim(instance, run.run_id, "later", "worker") is not None


def test_a_run_that_nobody_has_taken_goes_back_into_the_queue_and_its_message_is_void(
    instance: DagsterInstance, run: DagsterRun
) -> None:
    assert take_back(instance, run.run_id, "lost")
    assert _now(instance, run).status == DagsterRunStatus.QUEUED
    assert claim(instance, run.run_id, "token", "worker") is None


def test_a_claimed_run_is_neither_taken_back_nor_cancelled_as_unclaimed(
    instance: DagsterInstance, run: DagsterRun
) -> None:
    assert claim(instance, run.run_id, "token", "worker") is not None
    assert not take_back(instance, run.run_id, "lost")
    assert not cancel_unclaimed(instance, run.run_id)
    assert _now(instance, run).status == DagsterRunStatus.STARTING


def test_an_unclaimed_run_is_cancelled_at_once(instance: DagsterInstance, run: DagsterRun) -> None:
    assert cancel_unclaimed(instance, run.run_id)
    assert _now(instance, run).status == DagsterRunStatus.CANCELED
    assert claim(instance, run.run_id, "token", "worker") is None


def test_a_retry_that_inherits_its_parents_tags_is_offered_afresh(
    instance: DagsterInstance, run: DagsterRun
) -> None:
    assert claim(instance, run.run_id, "token", "dead-worker") is not None
    retry = starting_run(instance, run_tags=dict(_now(instance, run).tags))
    assert retry.tags[tags.WORKER].startswith("dead-worker")
    assert worker_of(retry) == ""
    offer(instance, retry.run_id, "fresh")
    assert claim(instance, retry.run_id, "fresh", "worker") is not None
