"""A task is submitted once, however often the line breaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model.errors import RequestInvalid, ServerRefused, ServerUnreachable, SubmissionsFailed
from backtest_pipeline_tests.sdk.stand_ins import FakeServer, StillClock, run

KEY_TAG = "backtest/idempotency_key"


def _request(**changes: Any) -> BacktestRequest:
    return BacktestRequest(**{"strategy": "sma_cross", "symbols": ["AAPL"], **changes})


def _tag_values(server: FakeServer, name: str) -> list[str]:
    """A tag's value in each launch that arrived, be it alone or among others."""
    launches = [
        one
        for asked, sent in zip(server.asked, server.sent, strict=True)
        if asked in {"Launch", "LaunchMany"}
        for one in (sent["params"] if asked == "LaunchMany" else [sent["params"]])
    ]
    return [
        tag["value"] for one in launches for tag in one["executionMetadata"]["tags"] if tag["key"] == name
    ]


def _keys(server: FakeServer) -> list[str]:
    return _tag_values(server, KEY_TAG)


def test_submitting_takes_one_request_and_tells_the_status() -> None:
    server = FakeServer()
    with server.client() as client:
        task = client.submit(_request(labels={"desk": "rates"}))
    assert (task.task_id, task.state, task.strategy) == ("run0", "queued", "sma_cross")
    assert task.labels == {"desk": "rates"}
    assert server.asked == ["Launch"]


@pytest.mark.parametrize("request_", [None, {"strategy": "sma_cross"}, "sma_cross"])
def test_what_is_no_request_is_not_sent(request_: Any) -> None:
    server = FakeServer()
    with server.client() as client:
        with pytest.raises(
            RequestInvalid, match="give a BacktestRequest or SweepRequest or WalkForwardRequest, not"
        ):
            client.submit(request_)
        with pytest.raises(SubmissionsFailed, match="give a BacktestRequest"):
            client.submit_many([request_])
    assert server.asked == []


def test_requests_may_come_one_by_one() -> None:
    with FakeServer().client() as client:
        tasks = client.submit_many(_request(seed=seed) for seed in range(3))
    assert [task.task_id for task in tasks] == ["run0", "run1", "run2"]


def test_each_submission_has_a_key_of_its_own() -> None:
    server = FakeServer()
    with server.client() as client:
        assert client.submit(_request()).task_id != client.submit(_request()).task_id
    assert len(set(_keys(server))) == 2


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ReadTimeout("timed out"),
        httpx.RemoteProtocolError("disconnected"),
        httpx.ConnectError("refused"),
        httpx.Response(503),
    ],
)
def test_a_launch_that_got_lost_is_sent_again_with_the_same_key(failure: httpx.Response | Exception) -> None:
    server = FakeServer()
    server.failures = [failure]
    with server.client() as client:
        assert client.submit(_request()).task_id == "run0"
    first, second = _keys(server)
    assert first == second


def test_an_answer_that_got_lost_does_not_make_a_second_task() -> None:
    server = FakeServer()
    server.lost_answers = 1
    with server.client() as client:
        task = client.submit(_request())
    assert [run["runId"] for run in server.runs] == [task.task_id]
    assert server.asked == ["Launch", "Launch"]  # a root run that goes on has no later attempts to ask for


@pytest.mark.parametrize("key", ["nightly", "it's night", '"', "two\nlines"])
def test_a_key_that_is_used_again_yields_its_task_even_after_that_has_ended(key: str) -> None:
    server = FakeServer()
    with server.client() as client:
        first = client.submit(_request(), idempotency_key=key)
        server.runs[0].update(status="CANCELED")
        second = client.submit(_request(), idempotency_key=key)
    assert (second.task_id, second.state) == (first.task_id, "cancelled")
    assert len(server.runs) == 1


def test_a_key_of_a_task_that_was_tried_again_yields_its_newest_attempt() -> None:
    server = FakeServer(
        run("first", status="FAILURE", backtest__idempotency_key="nightly", dagster__will_retry="true"),
        run("second", root="first", status="STARTED", created=9.0, backtest__idempotency_key="nightly"),
    )
    with server.client() as client:
        task = client.submit(_request(), idempotency_key="nightly")
    assert (task.task_id, task.state, task.attempt) == ("first", "running", 2)
    assert len(server.runs) == 2


def _reuse_tags(server: FakeServer) -> list[str]:
    return _tag_values(server, "backtest/reuse")


def test_an_earlier_result_will_do_by_default_and_the_server_decides() -> None:
    server = FakeServer(run("done", status="SUCCESS"))
    server.earlier_result = "done"
    with server.client(data_root="/nowhere") as client:
        task = client.submit(_request())
    assert (task.task_id, task.state) == ("done", "completed")
    assert _reuse_tags(server) == ["true"]


def test_an_earlier_result_that_took_two_attempts_is_its_task() -> None:
    server = FakeServer(run("first", status="FAILURE", dagster__will_retry="true"))
    server.runs.append(run("second", root="first", status="SUCCESS", created=5.0))
    server.earlier_result = "second"
    with server.client() as client:
        task = client.submit(_request())
    assert (task.task_id, task.state, task.attempt) == ("first", "completed", 2)


@pytest.mark.parametrize(
    "options",
    [{"reuse": False}, {"idempotency_key": "nightly"}, {"server_code": True}],
    ids=["reuse", "key", "server_code"],
)
def test_who_asks_for_a_run_of_its_own_gets_one(options: dict[str, Any]) -> None:
    server = FakeServer(run("done", status="SUCCESS"))
    server.earlier_result = "done"
    with server.client() as client:
        assert client.submit(_request(), **options).task_id == "run1"
    assert _reuse_tags(server) == ["false"]


def test_many_are_submitted_as_asked() -> None:
    server = FakeServer(run("done", status="SUCCESS"))
    server.earlier_result = "done"
    with server.client() as client:
        assert "done" not in [task.task_id for task in client.submit_many([_request(), _request()])]
    assert _reuse_tags(server) == ["false", "false"]


def test_a_submission_is_one_request_whatever_lies_here(own_data_root: Path) -> None:
    """The client needs neither candles nor results."""
    server = FakeServer()
    with server.client(data_root=own_data_root) as client:
        client.submit(_request())
    assert server.asked == ["Launch"]
    assert not own_data_root.exists()


def test_what_an_error_says_names_no_task_of_ours() -> None:
    """A strategy's or a database's words may look like anything."""
    said = "backtest_pipeline.model.errors.TaskRepeated: task other already has the idempotency key 'k'"
    server = FakeServer(run("other"))
    server.failures = [httpx.Response(500, json={"errors": [{"message": said}]})]
    with server.client() as client, pytest.raises(ServerRefused):
        client.submit(_request())


def test_a_launch_that_met_a_held_lock_is_sent_again_with_the_same_key() -> None:
    error = {"__typename": "PythonError", "className": "LockNotAcquired", "message": "held by somebody else"}
    server = FakeServer()
    server.failures = [httpx.Response(500, json={"data": {"launchRun": error}})]
    with server.client() as client:
        assert client.submit(_request()).task_id == "run0"
    assert len(set(_keys(server))) == 1


def test_a_lost_launch_is_given_up_when_the_patience_is_over() -> None:
    server = FakeServer()
    server.failures = [httpx.ConnectError("refused") for _ in range(100)]
    clock = StillClock()
    with server.client(clock, patience_s=3.0) as client, pytest.raises(ServerUnreachable):
        client.submit(_request())
    assert len(set(_keys(server))) == 1
    assert sum(clock.naps) <= 3.0


@pytest.mark.parametrize("key", ["", " ", "x" * 256])
def test_a_key_that_is_none_is_refused(key: str) -> None:
    with FakeServer().client() as client, pytest.raises(RequestInvalid, match="write 1 to 255 characters"):
        client.submit(_request(), idempotency_key=key)


def test_many_are_submitted_in_their_order() -> None:
    server = FakeServer()
    requests = [_request(labels={"number": str(number)}) for number in range(20)]
    with server.client() as client:
        tasks = client.submit_many(requests)
    assert [task.labels["number"] for task in tasks] == [str(number) for number in range(20)]
    assert len(server.runs) == 20


def test_many_go_together_in_questions_that_a_server_takes() -> None:
    """Twenty-five a question, or fewer where they are long: each of the last has labels of 20 kB."""
    server = FakeServer()
    small = [_request(seed=number) for number in range(60)]
    large = [_request(labels={f"{number}": "x" * 200 for number in range(100)}) for _ in range(20)]
    with server.client() as client:
        client.submit_many(small, at_once=1)
        assert server.asked == ["LaunchMany"] * 3
        assert [len(sent["params"]) for sent in server.sent] == [25, 25, 10]
        client.submit_many(large, at_once=1)
    questions = [json.dumps(sent) for sent in server.sent[3:]]
    assert len(questions) > 1
    assert max(map(len, questions)) < 256_000  # of the million that a server takes by default
    assert len(server.runs) == 80


def test_of_many_one_that_met_a_held_lock_is_sent_again_with_its_key() -> None:
    server = FakeServer()
    error = {"__typename": "PythonError", "className": "LockNotAcquired", "message": "held by somebody else"}
    launched = server.launched_among
    held = iter([error])
    server.launched_among = lambda params: next(held, None) or launched(params)  # type: ignore[method-assign]
    with server.client() as client:
        tasks = client.submit_many([_request(seed=1), _request(seed=2)], idempotency_keys=["one", "two"])
    assert server.asked == ["LaunchMany", "Launch"]
    assert _keys(server) == ["one", "two", "one"]
    assert len({task.task_id for task in tasks}) == len(server.runs) == 2


def test_of_many_one_that_the_server_refuses_leaves_the_others_their_tasks() -> None:
    server = FakeServer()
    said = "RequestInvalid: this request cannot be run: symbols: there is no ACME"
    refusal = {"__typename": "PythonError", "className": "RequestInvalid", "message": said}
    launched = server.launched_among
    refused = iter([None, refusal])
    server.launched_among = lambda params: next(refused, None) or launched(params)  # type: ignore[method-assign]
    with server.client() as client, pytest.raises(SubmissionsFailed, match="there is no ACME") as caught:
        client.submit_many([_request(seed=number) for number in range(3)])
    assert caught.value.task_ids == ["run0", None, "run1"]
    assert server.asked == ["LaunchMany"]


def test_many_whose_answer_was_lost_are_the_same_tasks() -> None:
    server = FakeServer()
    server.lost_answers = 1
    with server.client() as client:
        tasks = client.submit_many([_request(seed=number) for number in range(3)])
    assert server.asked == ["LaunchMany"] * 2
    assert [task.task_id for task in tasks] == ["run0", "run1", "run2"]
    assert len(server.runs) == 3


def test_no_requests_are_no_tasks() -> None:
    with FakeServer().client() as client:
        assert client.submit_many([]) == []


def test_one_bad_request_does_not_keep_the_others_back_and_all_can_be_repeated() -> None:
    server = FakeServer()
    good = [_request(), _request(), _request(params={"slow": -5}), _request()]
    with server.client() as client:
        with pytest.raises(SubmissionsFailed, match=r"1 of 4 requests were not taken, .* number 3") as caught:
            client.submit_many(good)
        failed = caught.value
        assert isinstance(failed.failures[2], RequestInvalid)
        assert not failed.retryable
        assert failed.task_ids[2] is None
        good[2] = _request(params={"slow": 50})
        tasks = client.submit_many(good, idempotency_keys=failed.idempotency_keys)
    taken = [task_id for task_id in failed.task_ids if task_id]
    assert [task.task_id for task in tasks if task.task_id in taken] == taken
    assert len(server.runs) == 4


def test_as_many_keys_as_requests_are_wanted() -> None:
    with FakeServer().client() as client, pytest.raises(RequestInvalid, match="1 keys for 2 requests"):
        client.submit_many([_request(), _request()], idempotency_keys=["one"])


def test_a_refused_launch_is_not_sent_again() -> None:
    server = FakeServer()
    server.failures = [httpx.Response(500, json={"errors": [{"message": "no"}]})]
    with server.client() as client, pytest.raises(ServerRefused):
        client.submit(_request())
    assert server.asked == ["Launch"]
