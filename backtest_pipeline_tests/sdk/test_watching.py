"""Statuses of many tasks, waiting for them and listing them, in few requests."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from backtest_pipeline.model.errors import TaskUnknown, WaitTimedOut
from backtest_pipeline.model.status import TaskState, TaskStatus
from backtest_pipeline_tests.sdk.stand_ins import FakeServer, StillClock, run


def test_two_hundred_tasks_take_one_request_and_keep_their_order() -> None:
    ids = [f"task{number}" for number in range(200)]
    server = FakeServer(*(run(task_id, status="SUCCESS") for task_id in reversed(ids)))
    with server.client() as client:
        assert [task.task_id for task in client.statuses(ids)] == ids
    assert server.asked == ["TaskRuns"]


def test_more_tasks_take_a_request_for_each_two_hundred() -> None:
    ids = [f"task{number}" for number in range(450)]
    server = FakeServer(*(run(task_id) for task_id in ids))
    with server.client() as client:
        assert len(client.statuses(ids)) == 450
    assert server.asked == ["TaskRuns"] * 3


def test_later_attempts_take_no_request_of_their_own() -> None:
    server = FakeServer(run("a", status="FAILURE"), run("b"), run("c", root="a", status="SUCCESS", created=5))
    with server.client() as client:
        states = [(task.task_id, task.state, task.attempt) for task in client.statuses(["a", "b"])]
        assert states == [("a", "completed", 2), ("b", "running", 1)]
        assert server.asked == ["TaskRuns"]


def test_the_id_of_a_later_attempt_stands_for_its_task() -> None:
    server = FakeServer(run("a", status="FAILURE"), run("b", root="a", created=5))
    with server.client() as client:
        assert client.status("b").task_id == "a"


def test_an_unknown_task_among_others_is_named() -> None:
    with FakeServer(run("a")).client() as client, pytest.raises(TaskUnknown, match="'b'"):
        client.statuses(["a", "b"])


def test_waiting_for_many_tells_each_change_once_and_returns_them_in_order() -> None:
    runs = [run("a"), run("b", status="QUEUED")]
    server, clock, seen = FakeServer(*runs), StillClock(), list[TaskStatus]()

    def goes_on() -> None:
        if clock.time_s > 1_001:
            runs[0].update(status="SUCCESS")
        if clock.time_s > 1_002:
            runs[1].update(status="CANCELED")

    clock.on_sleep = goes_on
    with server.client(clock) as client:
        ended = client.wait_many(["b", "a", "b"], on_progress=seen.append)
    assert [(task.task_id, task.state) for task in ended] == [
        ("b", "cancelled"),
        ("a", "completed"),
        ("b", "cancelled"),
    ]
    assert [(task.task_id, task.state) for task in seen] == [
        ("b", "queued"),
        ("a", "running"),
        ("a", "completed"),
        ("b", "cancelled"),
    ]
    assert server.sent[-1]["taskIds"] == ["b"]


def test_waiting_ends_in_time_and_names_who_has_not() -> None:
    server, clock = FakeServer(run("a", status="SUCCESS"), run("b"), run("c")), StillClock()
    with (
        server.client(clock) as client,
        pytest.raises(
            WaitTimedOut, match="task b is still running after 3 s, as are 1 more; wait again"
        ) as caught,
    ):
        client.wait_many(["a", "b", "c"], timeout_s=3)
    assert caught.value.others == ["c"]
    assert clock.time_s == pytest.approx(1_003)


def test_waiting_survives_a_server_that_is_away_for_some_seconds() -> None:
    server, clock = FakeServer(run("a", status="SUCCESS")), StillClock()
    server.failures = [httpx.ConnectError("refused") for _ in range(5)]
    with server.client(clock) as client:
        assert client.wait("a").state == "completed"
    assert clock.naps == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])


def test_waiting_goes_on_over_a_failure_whose_retry_is_undecided() -> None:
    failed = run("a", status="FAILURE", created=998)  # ended at 1000, where the clock stands
    server, clock = FakeServer(failed), StillClock()

    def is_retried() -> None:
        if clock.time_s > 1_003 and len(server.runs) == 1:
            server.runs.append(run("b", root="a", status="SUCCESS", created=1_003))

    clock.on_sleep = is_retried
    with server.client(clock) as client:
        ended = client.wait("a")
    assert (ended.state, ended.attempt) == ("completed", 2)


def _history() -> FakeServer:
    """Sixty tasks, one a minute; every third failed at first, of which every second was retried later."""
    runs: list[dict[str, Any]] = []
    for number in range(60):
        run_tags = {
            "backtest__strategy": "sma_cross" if number % 2 else "buy_and_hold",
            "label__desk": str(number % 4),
        }
        failed = number % 3 == 0
        status, created = "FAILURE" if failed else "SUCCESS", 60.0 * number
        runs.append(run(f"task{number}", status=status, created=created, **run_tags))
        if failed and number % 2 == 0:
            runs.append(run(f"again{number}", f"task{number}", "SUCCESS", 10_000.0 + number, **run_tags))
    return FakeServer(*sorted(runs, key=lambda one: float(one["creationTime"])))


def _state(number: int) -> str:
    return "failed" if number % 3 == 0 and number % 2 else "completed"


def _listed(server: FakeServer, **wanted: Any) -> list[int]:
    with server.client(StillClock(20_000)) as client:
        return [int(task.task_id.removeprefix("task")) for task in client.list_tasks(**wanted)]


def test_the_newest_tasks_come_first_and_retries_are_no_tasks() -> None:
    assert _listed(_history(), limit=25) == list(range(59, 34, -1))
    assert _listed(_history()) == list(range(59, -1, -1))


@pytest.mark.parametrize("state", ["completed", "failed", "running", "queued", "cancelled"])
@pytest.mark.parametrize("limit", [1, 3, 100])
def test_a_state_is_that_of_the_newest_attempt_and_the_limit_counts_tasks(
    state: TaskState, limit: int
) -> None:
    expected = [number for number in range(59, -1, -1) if _state(number) == state]
    assert _listed(_history(), state=state, limit=limit) == expected[:limit]


def test_a_failed_attempt_whose_retry_is_to_come_is_listed_as_queued() -> None:
    server = FakeServer(run("task1", status="FAILURE", dagster__will_retry="true"), run("task2"))
    assert _listed(server, state="queued") == [1]
    assert _listed(server, state="failed") == []


def test_strategy_and_labels_narrow_the_list() -> None:
    wanted = {"strategy": "sma_cross", "label": {"desk": "3"}, "limit": 5}
    assert _listed(_history(), **wanted) == [59, 55, 51, 47, 43]
    assert _listed(_history(), label={"desk": "1"}, strategy="buy_and_hold") == []


@pytest.mark.parametrize("more", [{}, {"state": "completed"}, {"strategy": "buy_and_hold"}])
def test_since_and_until_are_about_the_submission_and_inclusive(more: dict[str, Any]) -> None:
    start = datetime(1970, 1, 1, tzinfo=UTC)
    since, until = start + timedelta(minutes=10), start + timedelta(minutes=20)
    expected = [
        number
        for number in range(20, 9, -1)
        if more.get("state") in {None, _state(number)} and ("strategy" not in more or number % 2 == 0)
    ]
    assert _listed(_history(), since=since, until=until, **more) == expected


def test_moments_without_a_zone_are_utc_and_a_date_is_the_whole_day() -> None:
    server = _history()
    seoul = timezone(timedelta(hours=9))
    assert _listed(server, since=datetime(1970, 1, 1, 0, 58)) == [59, 58]  # noqa: DTZ001  what is tested
    assert _listed(server, since=datetime(1970, 1, 1, 9, 58, tzinfo=seoul)) == [59, 58]
    assert len(_listed(server, since=date(1970, 1, 1), until=date(1970, 1, 1))) == 60
    assert _listed(server, until=date(1969, 12, 31)) == []


@pytest.mark.parametrize(
    ("lasts_s", "late_s"),
    [(0.3, 0.04), (2.0, 2.0 / 10), (60.0, 0.5)],
    ids=["a short task", "a tenth of the wait", "never more than half a second"],
)
def test_the_longer_a_task_takes_the_later_its_end_is_seen(lasts_s: float, late_s: float) -> None:
    task = run("a")
    server, clock = FakeServer(task), StillClock()
    began_s = clock.time_s

    def goes_on() -> None:
        if clock.time_s - began_s >= lasts_s:
            task.update(status="SUCCESS")

    clock.on_sleep = goes_on
    with server.client(clock) as client:
        client.wait("a")
    assert lasts_s <= clock.time_s - began_s <= lasts_s + late_s + 1e-9
