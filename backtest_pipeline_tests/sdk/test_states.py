"""From Dagster's runs to a task's status."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.sdk import states
from backtest_pipeline_tests.sdk.stand_ins import run

LONG_AFTER_S = 1e9


def status_of(*runs: states.Run, now_s: float = LONG_AFTER_S) -> TaskStatus:
    return states.status_of(runs, now_s)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("NOT_STARTED", "queued"),
        ("QUEUED", "queued"),
        ("STARTING", "running"),
        ("STARTED", "running"),
        ("SUSPENDED", "running"),
        ("CANCELING", "running"),
        ("SUCCESS", "completed"),
        ("FAILURE", "failed"),
        ("CANCELED", "cancelled"),
    ],
)
def test_a_tasks_state_is_that_of_itsrun(status: str, state: str) -> None:
    assert status_of(run(status=status)).state == state


def test_the_newest_attempt_decides_in_whatever_order_the_runs_come() -> None:
    root = run("a", status="FAILURE", created=0)
    retry = run("b", root="a", status="SUCCESS", created=10)
    for runs in ([root, retry], [retry, root]):
        status = status_of(*runs)
        assert (status.task_id, status.state, status.attempt) == ("a", "completed", 2)
        assert status.submitted_at == datetime(1970, 1, 1, tzinfo=UTC)
        assert status.finished_at == datetime(1970, 1, 1, 0, 0, 12, tzinfo=UTC)


def test_a_failed_attempt_that_will_be_retried_counts_as_queued() -> None:
    failed = run(
        status="FAILURE", dagster__will_retry="true", backtest__error="disk full", backtest__stage="failed"
    )
    status = status_of(failed)
    assert (status.state, status.error, status.finished_at) == ("queued", None, None)
    assert (status.stage, status.attempt) == ("waiting for attempt 2", 1)


@pytest.mark.parametrize(
    ("age_s", "max_retries", "state"),
    [
        (0.0, "2", "queued"),
        (9.9, "2", "queued"),
        (10.0, "2", "failed"),
        (0.0, None, "queued"),  # the instance's own default decides
        (0.0, "0", "failed"),
        (0.0, "many", "failed"),  # Dagster retries nothing then
    ],
)
def test_a_failure_is_final_once_decided_or_ten_seconds_old(
    age_s: float, max_retries: str | None, state: str
) -> None:
    tags = {"backtest__stage": "signals"} | ({"dagster__max_retries": max_retries} if max_retries else {})
    failed = run(status="FAILURE", created=100, **tags)  # ends two seconds after its creation
    status = status_of(failed, now_s=102 + age_s)
    assert (status.state, status.stage) == (state, "signals")
    decided = run(status="FAILURE", created=100, dagster__will_retry="false", **tags)
    assert status_of(decided, now_s=102 + age_s).state == "failed"


def test_the_last_allowed_attempt_is_final_at_once() -> None:
    """Two retries make three attempts: the second failure is undecided, the third is not."""
    attempts = [
        run(name, root=root, status="FAILURE", created=created, dagster__max_retries="2")
        for name, root, created in (("a", None, 0.0), ("b", "a", 10.0), ("c", "a", 20.0))
    ]
    assert status_of(*attempts[:2], now_s=12).state == "queued"
    assert status_of(*attempts, now_s=22).state == "failed"


def test_a_task_that_is_being_cancelled_tells_so() -> None:
    status = status_of(run(status="CANCELING", backtest__stage="signals"))
    assert (status.state, status.stage) == ("running", "cancelling")


def test_a_failed_task_tells_why() -> None:
    assert status_of(run(status="FAILURE", backtest__error="no such symbol")).error == "no such symbol"
    crashed = status_of(run(status="FAILURE"))
    assert crashed.error is not None
    assert "ended without a message" in crashed.error


def test_progress_stage_symbols_and_labels_come_from_the_tags() -> None:
    status = status_of(
        run(
            backtest__progress="0.42",
            backtest__stage="simulating AAPL",
            backtest__strategy="sma_cross",
            backtest__symbols="AAPL,IBM",
            label__desk="rates",
        )
    )
    assert (status.progress, status.stage) == (0.42, "simulating AAPL")
    assert (status.strategy, status.symbols, status.labels) == (
        "sma_cross",
        ["AAPL", "IBM"],
        {"desk": "rates"},
    )


def test_a_completed_task_is_done_even_if_its_last_progress_was_lost() -> None:
    assert status_of(run(status="SUCCESS", backtest__progress="0.90")).progress == 1.0
