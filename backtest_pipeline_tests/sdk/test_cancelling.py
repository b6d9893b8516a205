"""Cancelling stops a task whatever its newest attempt is doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from backtest_pipeline.model.errors import ServerRefused, TaskNotCancelled, TaskUnknown
from backtest_pipeline_tests.sdk.stand_ins import FakeServer, StillClock, run


def _becomes(*statuses: str) -> Callable[[dict[str, Any], str], str | None]:
    """A termination that moves the run to these statuses, one a call."""
    left = list(statuses)

    def terminate(target: dict[str, Any], policy: str) -> None:
        target["status"] = left.pop(0)

    return terminate


def _policies(server: FakeServer) -> list[str]:
    return [
        sent["policy"] for name, sent in zip(server.asked, server.sent, strict=True) if name == "Terminate"
    ]


def test_a_queued_task_is_cancelled_at_once() -> None:
    server = FakeServer(run(status="QUEUED"))
    server.terminate = _becomes("CANCELED")
    with server.client() as client:
        assert client.cancel("a").state == "cancelled"
    assert _policies(server) == ["SAFE_TERMINATE"]


@pytest.mark.parametrize(
    ("status", "state"), [("SUCCESS", "completed"), ("FAILURE", "failed"), ("CANCELED", "cancelled")]
)
def test_a_task_that_has_ended_stays_as_it_is(status: str, state: str) -> None:
    server = FakeServer(run(status=status))
    with server.client() as client:
        assert client.cancel("a").state == state
    assert _policies(server) == []


def test_a_running_task_is_followed_to_its_end() -> None:
    target = run(status="STARTED")
    server, clock = FakeServer(target), StillClock()
    server.terminate = _becomes("CANCELING")
    clock.on_sleep = lambda: target.update(status="CANCELED" if clock.time_s > 1_002 else target["status"])
    with server.client(clock) as client:
        assert client.cancel("a").state == "cancelled"
    assert _policies(server) == ["SAFE_TERMINATE"]


def test_a_task_that_takes_long_to_stop_is_told_to_be_cancelling() -> None:
    server, clock = FakeServer(run(status="STARTED")), StillClock()
    server.terminate = _becomes("CANCELING")
    with server.client(clock) as client:
        task = client.cancel("a", timeout_s=4)
    assert (task.state, task.stage) == ("running", "cancelling")
    assert 4 <= clock.time_s - 1_000 < 5


def test_a_starting_task_is_asked_again_until_it_has_started() -> None:
    target = run(status="STARTING")
    server, clock = FakeServer(target), StillClock()

    def terminate(target: dict[str, Any], policy: str) -> str | None:
        if target["status"] == "STARTING":
            return "could not be terminated due to having status STARTING."
        target["status"] = "CANCELED"
        return None

    server.terminate = terminate

    def starts() -> None:
        if target["status"] == "STARTING" and clock.time_s > 1_000.5:
            target.update(status="STARTED")

    clock.on_sleep = starts
    with server.client(clock) as client:
        assert client.cancel("a").state == "cancelled"
    assert set(_policies(server)) == {"SAFE_TERMINATE"}


def test_a_task_that_stays_starting_for_two_seconds_is_marked_as_cancelled() -> None:
    server, clock = FakeServer(run(status="STARTING")), StillClock()

    def terminate(target: dict[str, Any], policy: str) -> str | None:
        if policy == "SAFE_TERMINATE":
            return "could not be terminated due to having status STARTING."
        target["status"] = "CANCELED"
        return None

    server.terminate = terminate
    with server.client(clock) as client:
        assert client.cancel("a").state == "cancelled"
    assert _policies(server)[-1] == "MARK_AS_CANCELED_IMMEDIATELY"
    assert 2 <= clock.time_s - 1_000 < 3


def test_a_failed_attempt_is_not_retried_because_its_next_one_is_cancelled() -> None:
    server, clock = FakeServer(run(status="FAILURE", dagster__will_retry="true")), StillClock()
    server.terminate = _becomes("CANCELED")

    def retry_comes() -> None:
        if len(server.runs) == 1 and clock.time_s > 1_005:
            server.runs.append(run("b", root="a", status="QUEUED", created=5))

    clock.on_sleep = retry_comes
    with server.client(clock) as client:
        task = client.cancel("a")
    assert (task.task_id, task.state, task.attempt) == ("a", "cancelled", 2)


def test_an_attempt_that_fails_while_it_is_cancelled_is_not_retried_either() -> None:
    target = run(status="STARTED")
    server, clock = FakeServer(target), StillClock()
    server.terminate = _becomes("CANCELING", "CANCELED")

    def fails() -> None:
        if target["status"] == "CANCELING" and clock.time_s > 1_001:
            target.update(run(status="FAILURE", dagster__will_retry="true"))
            server.runs.append(run("b", root="a", status="QUEUED", created=5))

    clock.on_sleep = fails
    with server.client(clock) as client:
        assert client.cancel("a").state == "cancelled"
    assert server.runs[1]["status"] == "CANCELED"


def test_a_retry_that_does_not_come_is_told() -> None:
    server = FakeServer(run(status="FAILURE", dagster__will_retry="true"))
    with (
        server.client() as client,
        pytest.raises(TaskNotCancelled, match="still queued: its next attempt is not there yet; cancel it"),
    ):
        client.cancel("a")


def test_a_termination_that_is_always_refused_is_told_with_its_reason() -> None:
    server = FakeServer(run())
    server.terminate = lambda target, policy: "You do not have permission to terminate this run"
    with server.client() as client, pytest.raises(TaskNotCancelled, match="still running: You do not have"):
        client.cancel("a")


def test_an_unknown_task_cannot_be_cancelled() -> None:
    with FakeServer().client() as client, pytest.raises(TaskUnknown):
        client.cancel("a")


@pytest.mark.parametrize("kind", ["UnauthorizedError", "PythonError", "SomethingNew"])
def test_every_other_answer_is_a_refusal(kind: str) -> None:
    server = FakeServer(run())
    refusal = httpx.Response(
        200, json={"data": {"terminateRun": {"__typename": kind, "message": f"{kind} happened\nTrace"}}}
    )
    with server.client() as client:
        client.status("a")
        server.terminate = lambda target, policy: server.failures.clear()
        server.failures = [_attempts_of(server), refusal]
        with pytest.raises(ServerRefused, match=f"{kind} happened$"):
            client.cancel("a")


def _attempts_of(server: FakeServer) -> httpx.Response:
    return httpx.Response(200, json={"data": {"taskRuns": server.runs}})
