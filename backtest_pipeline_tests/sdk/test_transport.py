"""Where HTTP is spoken, foreign errors become ours."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.model.errors import RequestInvalid, ServerRefused, ServerUnreachable, TaskUnknown

REQUEST = BacktestRequest(strategy="sma_cross", symbols=["AAPL"])
TASK = "0f1e2d3c-0000-4000-8000-000000000000"


def _client(answer: Callable[[dict[str, Any]], httpx.Response]) -> BacktestClient:
    transport = httpx.MockTransport(lambda request: answer(json.loads(request.content)))
    return BacktestClient("http://pipeline", transport=transport)


def _data(**data: Any) -> httpx.Response:
    return httpx.Response(200, json={"data": data})


def test_a_server_that_is_not_running_is_told_with_what_to_do() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        BacktestClient(f"http://127.0.0.1:{port}") as client,
        pytest.raises(
            ServerUnreachable, match=rf"no answer from http://127.0.0.1:{port} .* start it with `backtest up`"
        ),
    ):
        client.submit(REQUEST)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(502, text="<html>bad gateway</html>"), "status 502, and no JSON"),
        (httpx.Response(200, json=[1]), "no GraphQL answer"),
        (httpx.Response(500, json={"data": None}), "status 500, and no GraphQL answer"),
        (
            httpx.Response(
                500, json={"errors": [{"message": "OperationalError: gone\n[SQL: SELECT secret]"}]}
            ),
            "OperationalError: gone$",
        ),
    ],
)
def test_an_answer_that_is_no_answer_is_refused_without_its_inner_parts(
    answer: httpx.Response, says: str
) -> None:
    with _client(lambda _: answer) as client, pytest.raises(ServerRefused, match=says) as caught:
        client.status(TASK)
    assert "SQL" not in str(caught.value)


def test_a_config_that_the_server_finds_invalid_is_an_invalid_request() -> None:
    answer = _data(
        launchRun={
            "__typename": "RunConfigValidationInvalid",
            "errors": [{"message": 'Received unexpected config entry "quick"'}],
        }
    )
    with (
        _client(lambda _: answer) as client,
        pytest.raises(RequestInvalid, match='unexpected config entry "quick"'),
    ):
        client.submit(REQUEST)


@pytest.mark.parametrize(
    "kind",
    ["PipelineNotFoundError", "InvalidSubsetError", "UnauthorizedError", "RunConflict", "NoModeProvidedError",
     "ConflictingExecutionParamsError", "PresetNotFoundError", "PythonError", "SomethingNew"],
)  # fmt: skip
def test_every_other_refusal_is_told_by_its_first_line(kind: str) -> None:
    answer = _data(launchRun={"__typename": kind, "message": f"{kind} happened\nTraceback: SELECT"})
    with (
        _client(lambda _: answer) as client,
        pytest.raises(ServerRefused, match=f"refused: {kind} happened$"),
    ):
        client.submit(REQUEST)


def test_an_unknown_task_is_told_by_its_id() -> None:
    answer = _data(runGroupOrError={"__typename": "RunGroupNotFoundError", "message": "x"})
    with _client(lambda _: answer) as client, pytest.raises(TaskUnknown, match=f"there is no task '{TASK}'"):
        client.status(TASK)


def test_the_token_is_sent_as_a_bearer() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return _data(runsOrError={"__typename": "Runs", "results": []})

    with BacktestClient("http://pipeline", token="s3cret", transport=httpx.MockTransport(answer)) as client:  # noqa: S106
        assert client.list_tasks() == []
    assert seen == ["Bearer s3cret"]
