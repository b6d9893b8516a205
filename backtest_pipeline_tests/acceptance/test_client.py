"""The client against the real processes: many tasks at once, cancelled, listed, submitted once."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import SubmissionsFailed, TaskUnknown
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline_tests.acceptance.live import Pipeline, broken_candles
from backtest_pipeline_tests.sdk.stand_ins import LAUNCH_ERRORS

PATIENCE_S = 120
SLOTS = 2


class CountingTransport(httpx.HTTPTransport):
    """Counts the requests; takes the answers of the first `to_lose` away."""

    def __init__(self, to_lose: int = 0) -> None:
        super().__init__()
        self.requests = 0
        self._to_lose = to_lose

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        response = super().handle_request(request)
        if self.requests <= self._to_lose:
            response.read()
            response.close()
            raise httpx.ReadError("the line broke")
        return response


def _request(**changes: Any) -> BacktestRequest:
    return BacktestRequest(**{"strategy": "buy_and_hold", "symbols": ["IBM"], **changes})


def _desk() -> dict[str, str]:
    """A label that no other test has."""
    return {"desk": uuid.uuid4().hex}


@pytest.fixture
def client(pipeline: Pipeline) -> Iterator[BacktestClient]:
    with pipeline.client() as client:
        yield client


def test_one_key_from_twenty_threads_is_one_task(client: BacktestClient) -> None:
    key, desk = str(uuid.uuid4()), _desk()
    with ThreadPoolExecutor(20) as pool:
        submitted = pool.map(
            lambda _: client.submit(_request(labels=desk), idempotency_key=key).task_id, range(20)
        )
        task_ids = set(submitted)
    assert len(task_ids) == 1
    assert {task.task_id for task in client.list_tasks(label=desk)} == task_ids
    assert client.wait(task_ids.pop(), timeout_s=PATIENCE_S).state == "completed"


def test_a_launch_whose_answer_got_lost_is_one_task(pipeline: Pipeline) -> None:
    desk, transport = _desk(), CountingTransport(to_lose=2)
    with BacktestClient(pipeline.url, data_root=pipeline.data_root, transport=transport) as client:
        task = client.submit(_request(labels=desk), reuse=False)
        # Two launches lost, the third answered by the run that there is; its status where that has ended.
        assert transport.requests in {3, 4}
        assert [known.task_id for known in client.list_tasks(label=desk)] == [task.task_id]
        client.wait(task.task_id, timeout_s=PATIENCE_S)


def test_many_tasks_are_submitted_waited_for_and_asked_in_one_request(pipeline: Pipeline) -> None:
    transport = CountingTransport()
    requests = [_request(labels={"number": str(number)}) for number in range(20)]
    with BacktestClient(pipeline.url, data_root=pipeline.data_root, transport=transport) as client:
        tasks = client.submit_many(requests)
        assert [task.labels["number"] for task in tasks] == [str(number) for number in range(20)]
        task_ids = [task.task_id for task in tasks]
        assert len(set(task_ids)) == 20
        ended = client.wait_many(task_ids, timeout_s=PATIENCE_S)
        assert [(task.task_id, task.state) for task in ended] == [
            (task_id, "completed") for task_id in task_ids
        ]
        before = transport.requests
        assert client.statuses(task_ids) == ended
        assert transport.requests == before + 1


def test_requests_that_are_refused_leave_the_others_running(client: BacktestClient) -> None:
    good, bad = _request(), _request(strategy="sma_cross", params={"slow": -5})
    with pytest.raises(SubmissionsFailed, match="1 of 3 requests were not taken") as caught:
        client.submit_many([good, bad, good])
    first, second, third = caught.value.task_ids
    assert second is None
    assert first is not None
    assert third is not None
    states = [task.state for task in client.wait_many([first, third], timeout_s=PATIENCE_S)]
    assert states == ["completed", "completed"]


def test_a_waiting_task_is_cancelled_and_stays_so(client: BacktestClient) -> None:
    ahead = client.submit_many([_request(strategy="volume_zone_breakout")] * (SLOTS + 8))
    last = client.submit(_request(priority=-10), reuse=False)
    cancelled = client.cancel(last.task_id)
    assert (cancelled.state, cancelled.error) == ("cancelled", None)
    ended = client.wait_many([task.task_id for task in ahead], timeout_s=PATIENCE_S)
    assert {task.state for task in ended} == {"completed"}
    assert client.cancel(last.task_id) == client.status(last.task_id) == cancelled
    assert client.cancel(ended[0].task_id) == ended[0]


def test_tasks_cancelled_right_after_their_submission_never_complete_later(client: BacktestClient) -> None:
    """Some wait, some start, some run; whatever state the cancellation met, it is final."""
    tasks = client.submit_many([_request(strategy="volume_zone_breakout") for _ in range(6)])
    with ThreadPoolExecutor(6) as pool:
        ended = list(pool.map(lambda task: client.cancel(task.task_id, timeout_s=PATIENCE_S), tasks))
    assert {task.state for task in ended} <= {"cancelled", "completed"}
    assert "cancelled" in {task.state for task in ended}
    time.sleep(1.5)  # a worker that was just starting would have gone on by now
    assert [task.state for task in client.statuses(task.task_id for task in ended)] == [
        task.state for task in ended
    ]


def test_an_unknown_task_cannot_be_cancelled(client: BacktestClient) -> None:
    with pytest.raises(TaskUnknown):
        client.cancel(str(uuid.uuid4()))


def test_a_list_is_narrowed_by_state_strategy_label_and_time(
    client: BacktestClient, pipeline: Pipeline
) -> None:
    desk = _desk()
    good = client.submit_many([_request(labels=desk), _request(labels={**desk, "book": "b"})])
    other = client.submit(_request(strategy="sma_cross", labels=desk))
    with broken_candles(pipeline.data_root):
        bad = client.submit(_request(symbols=["BROKEN"], labels=desk))
        ids = [task.task_id for task in (*good, other, bad)]
        ended = {task.task_id: task for task in client.wait_many(ids, timeout_s=PATIENCE_S)}

    def listed(**wanted: Any) -> set[str]:
        return {task.task_id for task in client.list_tasks(label=desk, **wanted)}

    assert listed() == set(ids)
    assert listed(state="failed") == {bad.task_id}
    assert listed(state="completed") == {*ids[:2], other.task_id}
    assert listed(state="queued") == listed(state="running") == listed(state="cancelled") == set()
    assert listed(strategy="sma_cross") == {other.task_id}
    assert {task.task_id for task in client.list_tasks(label={**desk, "book": "b"})} == {ids[1]}
    newest_first = sorted(ended.values(), key=lambda task: task.submitted_at, reverse=True)
    assert client.list_tasks(label=desk, limit=2) == newest_first[:2]
    assert listed(since=newest_first[1].submitted_at) == {task.task_id for task in newest_first[:2]}
    assert listed(until=newest_first[1].submitted_at) == {task.task_id for task in newest_first[1:]}
    assert listed(since=datetime.now(UTC) + timedelta(days=1)) == set()


def test_a_task_that_was_re_executed_is_as_its_newest_attempt_is(pipeline: Pipeline) -> None:
    desk, transport = _desk(), CountingTransport()
    with BacktestClient(pipeline.url, data_root=pipeline.data_root, transport=transport) as client:
        task_id = client.wait(
            client.submit(_request(labels=desk), reuse=False).task_id, timeout_s=PATIENCE_S
        ).task_id
        _re_execute(pipeline, task_id)
        assert client.status(task_id).attempt == 2
        ended = client.wait(task_id, timeout_s=PATIENCE_S)
        assert (ended.task_id, ended.state, ended.attempt) == (task_id, "completed", 2)
        assert client.list_tasks(label=desk) == [ended]
        before = transport.requests
        assert client.statuses([task_id]) == [ended]
        assert transport.requests == before + 1


def _re_execute(pipeline: Pipeline, task_id: str) -> None:
    document = """
    mutation($parent: String!) {
      launchRunReexecution(reexecutionParams: {parentRunId: $parent, strategy: ALL_STEPS}) {
        __typename
        ... on PythonError { message }
      }
    }
    """
    with pipeline.graphql() as graphql:
        answer = graphql.ask(document, {"parent": task_id})["launchRunReexecution"]
    assert answer["__typename"] == "LaunchRunSuccess"


def test_the_table_of_refusals_names_every_answer_of_the_servers_schema(pipeline: Pipeline) -> None:
    with pipeline.graphql() as graphql:
        kinds = {
            name: _kinds(graphql, name) for name in ("LaunchRunResult", "RunsOrError", "TerminateRunResult")
        }
    assert kinds["LaunchRunResult"] == {"LaunchRunSuccess", "RunConfigValidationInvalid", *LAUNCH_ERRORS}
    assert kinds["RunsOrError"] == {"Runs", "InvalidPipelineRunsFilterError", "PythonError"}
    assert kinds["TerminateRunResult"] == {
        "TerminateRunSuccess",
        "TerminateRunFailure",
        "RunNotFoundError",
        "UnauthorizedError",
        "PythonError",
    }


def _kinds(graphql: GraphQL, union: str) -> set[str]:
    query = "query($union: String!) { __type(name: $union) { possibleTypes { name } } }"
    return {kind["name"] for kind in graphql.ask(query, {"union": union})["__type"]["possibleTypes"]}


def test_priority_and_labels_reach_dagster_as_tags(pipeline: Pipeline, client: BacktestClient) -> None:
    task = client.submit(_request(priority=3, labels={"desk": "fx"}), idempotency_key=str(uuid.uuid4()))
    with pipeline.graphql() as graphql:
        query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { tags { key value } } } }"
        marks = {
            tag["key"]: tag["value"] for tag in graphql.ask(query, {"id": task.task_id})["runOrError"]["tags"]
        }
    assert (marks[tags.PRIORITY], marks["label/desk"]) == ("3", "fx")
    client.wait(task.task_id, timeout_s=PATIENCE_S)
