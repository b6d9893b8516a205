"""A task is named by its id, the beginning of it, or as the last one, with a server and without."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from backtest_pipeline.model.errors import (
    RequestInvalid,
    ResultElsewhere,
    ResultMissing,
    ServerUnreachable,
    TaskAmbiguous,
    TaskUnknown,
)
from backtest_pipeline.model.manifest import Timestamps
from backtest_pipeline.results.stored_ids import newest_task, stored_id
from backtest_pipeline.sdk.stored_results import StoredResults
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import NOON, OTHER, TASK, publish, rewrite, wandering
from backtest_pipeline_tests.sdk.stand_ins import URL, FakeServer, StillClock, run

TWIN = TASK[:-1] + "1"
"""An id that differs from `TASK` in its last character alone."""


def _finished(task_id: str, *, hours: int = 0, root: Path) -> None:
    moment = NOON + timedelta(hours=hours)
    times = Timestamps(submitted_at=moment, started_at=moment, finished_at=moment, expires_at=None)
    publish(root, wandering(bars=30), task_id=task_id, timestamps=times)


@pytest.mark.parametrize("name", [TASK, TASK[:8], TASK[:20], TASK[:8].upper(), "last"])
def test_the_server_s_task_is_found_by_each_of_its_names(name: str) -> None:
    with FakeServer(run(OTHER), run(TASK, created=5)).client() as client:
        assert client.task_id(name) == TASK
        assert client.status(name).task_id == TASK


def test_waiting_and_cancelling_take_the_beginning_of_an_id() -> None:
    server = FakeServer(run(TASK, status="QUEUED"))
    server.terminate = lambda target, policy: target.update(status="CANCELED")
    with server.client() as client:
        assert client.cancel(TASK[:8]).state == "cancelled"
        assert [task.task_id for task in client.wait_many([TASK[:9], "last"])] == [TASK, TASK]


def test_the_beginning_of_a_later_attempt_s_id_means_its_task() -> None:
    server = FakeServer(run(TASK, status="FAILURE"), run(OTHER, root=TASK, created=5))
    with server.client() as client:
        assert client.status(OTHER[:8]).task_id == TASK


def test_two_tasks_that_begin_alike_are_both_named() -> None:
    with FakeServer(run(TASK), run(TWIN)).client() as client:
        with pytest.raises(TaskAmbiguous, match=f"{TASK}, {TWIN}") as caught:
            client.status(TASK[:12])
        assert caught.value.candidates == [TASK, TWIN]


def test_seven_characters_are_too_few_and_the_message_says_so() -> None:
    with FakeServer(run(TASK)).client() as client, pytest.raises(TaskUnknown, match="eight characters"):
        client.status(TASK[:7])


def test_a_beginning_that_nobody_has_is_unknown_on_that_server() -> None:
    with FakeServer(run(TASK)).client() as client, pytest.raises(TaskUnknown, match=f"the server at {URL}"):
        client.status("deadbeef")


@pytest.mark.parametrize("name", [None, 5, b"deadbeef", ["deadbeef"]])
def test_what_is_no_text_names_no_task_and_the_message_says_what_does(name: str, tmp_path: Path) -> None:
    with FakeServer(run(TASK)).client() as client:
        for ask in (client.status, client.result, client.cancel, client.pin, StoredResults(tmp_path).result):
            with pytest.raises(RequestInvalid, match=r"write a task's id as text, as task\.task_id, not"):
                ask(name)
        with pytest.raises(RequestInvalid, match="not TaskStatus"):
            client.wait(client.status(TASK))  # type: ignore[arg-type]  # what is tested


def test_last_without_any_task_says_so() -> None:
    with FakeServer().client() as client, pytest.raises(TaskUnknown, match="no task 'last'"):
        client.status("last")


def test_a_folder_alone_answers_a_beginning_and_last(tmp_path: Path) -> None:
    _finished(TASK, hours=2, root=tmp_path)
    _finished(OTHER, hours=1, root=tmp_path)
    stored = StoredResults(tmp_path)
    for name in (TASK[:8], "last"):
        assert stored.result(name).manifest.task_id == TASK
    assert stored.pin(OTHER[:8]).task_id == OTHER


def test_the_newest_task_is_the_one_submitted_last_whichever_file_was_touched_last(tmp_path: Path) -> None:
    _finished(TASK, hours=2, root=tmp_path)
    _finished(OTHER, hours=1, root=tmp_path)
    rewrite(tmp_path, lambda manifest: manifest.update(pinned=True), OTHER)
    assert newest_task(Layout(tmp_path)) == TASK
    Layout(tmp_path).manifest(TASK).write_text("{")  # what cannot be read is no answer
    assert newest_task(Layout(tmp_path)) == OTHER


def test_a_folder_with_two_such_tasks_names_both(tmp_path: Path) -> None:
    for task_id in (TASK, TWIN):
        Layout(tmp_path).task(task_id).mkdir(parents=True)
    with pytest.raises(TaskAmbiguous, match=TWIN):
        stored_id(Layout(tmp_path), TASK[:8])


def test_a_result_in_the_server_s_own_folder_is_found_from_another(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    _finished(TASK, root=theirs)
    path = str(Layout(theirs).task(TASK))
    server = FakeServer(run(TASK, status="SUCCESS", backtest__result_path=path))
    with server.client(data_root=tmp_path / "mine") as client:
        for name in (TASK, TASK[:8], "last"):
            assert client.result(name).manifest.task_id == TASK
        client.pin(TASK)
    assert '"pinned":true' in Layout(theirs).manifest(TASK).read_text().replace(" ", "")


def test_a_server_s_folder_that_is_not_here_is_named_beside_the_one_looked_in(tmp_path: Path) -> None:
    server = FakeServer(run(TASK, status="SUCCESS", backtest__result_path=f"/volume/tasks/{TASK}"))
    with server.client(data_root=tmp_path) as client, pytest.raises(ResultElsewhere) as caught:
        client.result(TASK)
    assert f"has no result in {tmp_path}/tasks/{TASK}: the server at {URL} keeps it" in str(caught.value)
    assert "which cannot be read here; set DATA_ROOT to the folder that is /volume" in str(caught.value)


@pytest.mark.parametrize("path", ["/etc", "/etc/tasks/passwd", f"/volume/elsewhere/{TASK}"])
def test_a_path_that_is_no_folder_of_this_task_is_not_read(tmp_path: Path, path: str) -> None:
    server = FakeServer(run(TASK, status="SUCCESS", backtest__result_path=path))
    with server.client(data_root=tmp_path) as client, pytest.raises(ResultElsewhere):
        client.result(TASK)


@pytest.mark.parametrize(
    ("runs", "sentence"),
    [
        ([run(TASK, status="STARTED")], "it is running .*backtest wait"),
        ([run(TASK, status="CANCELED")], "it was cancelled"),
        ([run(TASK, status="SUCCESS")], "have expired or were deleted"),
        ([], "knows no such task"),
    ],
)
def test_a_missing_result_says_why(tmp_path: Path, runs: list[dict[str, object]], sentence: str) -> None:
    with (
        FakeServer(*runs).client(data_root=tmp_path) as client,
        pytest.raises(ResultMissing, match=f"{tmp_path}/tasks/{TASK}: .*{sentence}"),
    ):
        client.result(TASK)


def test_without_a_server_the_message_says_which_folder_and_which_server(tmp_path: Path) -> None:
    server = FakeServer()
    server.failures = [httpx.ConnectError("nobody")] * 20
    with server.client(data_root=tmp_path, patience_s=0) as client:
        with pytest.raises(
            ResultMissing, match=f"{tmp_path}/tasks/{TASK}: .*no answer from {URL}.*DATA_ROOT"
        ):
            client.result(TASK)
        with pytest.raises(TaskUnknown, match=f"{tmp_path}/tasks.*no answer from {URL}"):
            client.result("last")


def test_a_server_that_never_answered_is_given_up_sooner_than_one_that_has() -> None:
    server, clock, waited_s = FakeServer(run(TASK)), StillClock(), []
    with server.client(clock, patience_s=10, first_patience_s=1.5) as client:
        for _ in range(2):
            began_s = clock.monotonic_s()
            server.failures = [httpx.ConnectError("nobody")] * 100
            with pytest.raises(ServerUnreachable):
                client.status(TASK)
            waited_s.append(clock.monotonic_s() - began_s)
            server.failures = []
            client.status(TASK)
    assert waited_s[0] <= 1.5
    assert 8 <= waited_s[1] <= 10
