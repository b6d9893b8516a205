"""From Dagster's runs to a task's status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from backtest_pipeline.sdk.states import status_of


def _run(
    run_id: str = "a", root: str | None = None, status: str = "STARTED", created: float = 0.0, **tags: str
) -> dict[str, Any]:
    return {
        "runId": run_id,
        "rootRunId": root,
        "status": status,
        "creationTime": created,
        "startTime": created + 1,
        "endTime": created + 2 if status in {"SUCCESS", "FAILURE", "CANCELED"} else None,
        "tags": [{"key": key.replace("__", "/"), "value": value} for key, value in tags.items()],
    }


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("NOT_STARTED", "queued"),
        ("QUEUED", "queued"),
        ("STARTING", "running"),
        ("STARTED", "running"),
        ("CANCELING", "running"),
        ("SUCCESS", "completed"),
        ("FAILURE", "failed"),
        ("CANCELED", "cancelled"),
    ],
)
def test_a_tasks_state_is_that_of_its_run(status: str, state: str) -> None:
    assert status_of([_run(status=status)]).state == state


def test_the_newest_attempt_decides_in_whatever_order_the_runs_come() -> None:
    root = _run("a", status="FAILURE", created=0)
    retry = _run("b", root="a", status="SUCCESS", created=10)
    for runs in ([root, retry], [retry, root]):
        status = status_of(runs)
        assert (status.task_id, status.state, status.attempt) == ("a", "completed", 2)
        assert status.submitted_at == datetime(1970, 1, 1, tzinfo=UTC)
        assert status.finished_at == datetime(1970, 1, 1, 0, 0, 12, tzinfo=UTC)


def test_a_failed_attempt_that_will_be_retried_counts_as_queued() -> None:
    status = status_of([_run(status="FAILURE", dagster__will_retry="true", backtest__error="disk full")])
    assert (status.state, status.error, status.finished_at) == ("queued", None, None)


def test_a_failed_task_tells_why() -> None:
    assert status_of([_run(status="FAILURE", backtest__error="no such symbol")]).error == "no such symbol"
    crashed = status_of([_run(status="FAILURE")])
    assert crashed.error is not None
    assert "ended without a message" in crashed.error


def test_progress_stage_symbols_and_labels_come_from_the_tags() -> None:
    status = status_of(
        [
            _run(
                backtest__progress="0.42",
                backtest__stage="simulating AAPL",
                backtest__strategy="sma_cross",
                backtest__symbols="AAPL,IBM",
                label__desk="rates",
            )
        ]
    )
    assert (status.progress, status.stage) == (0.42, "simulating AAPL")
    assert (status.strategy, status.symbols, status.labels) == (
        "sma_cross",
        ["AAPL", "IBM"],
        {"desk": "rates"},
    )


def test_a_completed_task_is_done_even_if_its_last_progress_was_lost() -> None:
    assert status_of([_run(status="SUCCESS", backtest__progress="0.90")]).progress == 1.0
