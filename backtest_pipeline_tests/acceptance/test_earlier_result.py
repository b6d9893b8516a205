"""A submission that takes an earlier result gets it from the server, by GraphQL and by the client."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.model.request import BacktestRequest as Request
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.acceptance.live import Pipeline
from backtest_pipeline_tests.acceptance.running_workers import worker_pid
from backtest_pipeline_tests.acceptance.test_gate import launch, run_ids
from backtest_pipeline_tests.polling import PATIENCE_S, until
from backtest_pipeline_tests.processes import is_alive

EVENTS = """query Events($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  ... on MessageEvent { message } } } } }"""


def _request(**changes: Any) -> Request:
    """A request that no other test has made."""
    labels = {"study": str(uuid.uuid4())}
    return BacktestRequest(**{"strategy": "sma_cross", "symbols": ["IBM"], "labels": labels, **changes})


def _form(request: Request) -> dict[str, Any]:
    """The same, as somebody fills it into the launchpad: what is at its default is left out."""
    return {"strategy": {request.strategy: {}}, "symbols": ["IBM"], "labels": dict(request.labels)}


def _completed(pipeline: Pipeline, request: Request) -> str:
    with pipeline.client() as client:
        task = client.submit(request, reuse=False)
        assert client.wait(task.task_id, timeout_s=PATIENCE_S).state == "completed"
    return task.task_id


def test_a_launch_with_the_tag_is_answered_by_the_run_that_there_is(pipeline: Pipeline) -> None:
    request = _request()
    done = _completed(pipeline, request)
    before = run_ids(pipeline)
    answer = launch(pipeline, _form(request), backtest__reuse="true")
    assert answer["__typename"] == "LaunchRunSuccess"
    assert (answer["run"]["runId"], answer["run"]["status"]) == (done, "SUCCESS")
    assert run_ids(pipeline) == before, "the run that was not needed is gone"
    with pipeline.graphql() as graphql:
        events = graphql.ask(EVENTS, {"id": done})["logsForRun"]["events"]
    assert [event["message"] for event in events][-1].startswith(
        "Asked for again, with the tag backtest/reuse"
    )


@pytest.mark.parametrize("run_tags", [{}, {"backtest__reuse": "false"}])
def test_the_launch_forms_default_is_to_run_afresh(pipeline: Pipeline, run_tags: dict[str, str]) -> None:
    request = _request()
    done = _completed(pipeline, request)
    answer = launch(pipeline, _form(request), **run_tags)
    assert answer["run"]["runId"] != done
    with pipeline.client() as client:
        again = client.wait(answer["run"]["runId"], timeout_s=PATIENCE_S)
    assert (again.state, again.attempt) == ("completed", 1)


def test_a_client_that_sees_neither_candles_nor_results_gets_the_earlier_task(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    request = _request()
    done = _completed(pipeline, request)
    with BacktestClient(pipeline.url, data_root=tmp_path / "nothing") as client:
        first, second = client.submit(request), client.submit(request)
        fresh = client.submit(request, reuse=False)
        keyed = client.submit(request, idempotency_key=str(uuid.uuid4()))
        assert (first.task_id, second.task_id, first.state) == (done, done, "completed")
        assert len({done, fresh.task_id, keyed.task_id}) == 3
        client.wait_many([fresh.task_id, keyed.task_id], timeout_s=PATIENCE_S)
        assert client.submit(request).task_id in {fresh.task_id, keyed.task_id}, "the newest one"


@pytest.mark.usefixtures("processes_here")
def test_a_damaged_result_is_not_handed_out(pipeline: Pipeline) -> None:
    request = _request()
    done = _completed(pipeline, request)
    folder = Layout(pipeline.data_root).task(done)
    with pipeline.graphql() as graphql:
        worker = worker_pid(graphql, done)
    until(lambda: not is_alive(worker), "the end of the worker, which publishes again what is not whole")
    path = folder / "trades.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    answer = launch(pipeline, _form(request), backtest__reuse="true")
    assert answer["run"]["runId"] != done
    with pipeline.client() as client:
        assert client.wait(answer["run"]["runId"], timeout_s=PATIENCE_S).state == "completed"


def test_other_candles_make_another_result(pipeline: Pipeline) -> None:
    """A year more of the same company's candles, which every earlier request without dates now includes."""
    folder, symbol = pipeline.data_root / "IBM" / "1D", f"REUSE{uuid.uuid4().hex[:8].upper()}"
    own = pipeline.data_root / symbol / "1D"
    own.mkdir(parents=True)
    years = sorted(folder.glob("*.parquet"))
    (own / years[0].name).write_bytes(years[0].read_bytes())
    try:
        request = _request(symbols=[symbol])
        done = _completed(pipeline, request)
        with pipeline.client() as client:
            assert client.submit(request).task_id == done
            (own / years[1].name).write_bytes(years[1].read_bytes())
            other = client.submit(request)
            assert other.task_id != done
            client.wait(other.task_id, timeout_s=PATIENCE_S)
            assert client.submit(request).task_id == other.task_id
    finally:
        shutil.rmtree(own.parent)


def test_the_command_line_says_so(sqlite_pipeline: Pipeline) -> None:
    request = _request()
    done = _completed(sqlite_pipeline, request)
    words = ["run", "sma_cross", "--symbols", "IBM", "--label", f"study={request.labels['study']}"]
    told = sqlite_pipeline.command(*words)
    assert told.returncode == 0, told.stderr
    assert f"task {done} has this result already; --fresh runs it again" in told.stderr
    fresh = sqlite_pipeline.command(*words, "--fresh")
    assert fresh.returncode == 0, fresh.stderr
    assert "has this result already" not in fresh.stderr
