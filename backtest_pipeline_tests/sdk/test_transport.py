"""Where HTTP is spoken, foreign errors become ours."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.model.errors import (
    AddressInvalid,
    BacktestError,
    RequestInvalid,
    ServerBusy,
    ServerRefused,
    ServerTroubled,
    ServerUnreachable,
    ServiceError,
    TaskUnknown,
)
from backtest_pipeline.sdk.transport import GraphQL, without_proxy
from backtest_pipeline_tests.sdk.stand_ins import LAUNCH_ERRORS, URL, FakeServer, StillClock, run

REQUEST = BacktestRequest(strategy="sma_cross", symbols=["AAPL"])
TASK = "0f1e2d3c-0000-4000-8000-000000000000"


def _client(answer: Callable[[dict[str, Any]], httpx.Response], **options: Any) -> BacktestClient:
    transport = httpx.MockTransport(lambda request: answer(json.loads(request.content)))
    return BacktestClient(URL, transport=transport, clock=StillClock(), **options)


def _data(**data: Any) -> httpx.Response:
    return httpx.Response(200, json={"data": data})


def _error(message: str, status: int = 500) -> httpx.Response:
    return httpx.Response(status, json={"errors": [{"message": message}]})


def test_a_server_that_is_not_running_is_told_with_what_to_do() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (
        BacktestClient(f"http://127.0.0.1:{port}", clock=StillClock()) as client,
        pytest.raises(
            ServerUnreachable, match=rf"no answer from http://127.0.0.1:{port} .* start it with `backtest up`"
        ),
    ):
        client.submit(REQUEST)


@pytest.mark.parametrize("url", ["pipeline", "ftp://pipeline", "http://pipeline:port"])
def test_an_address_that_is_none_is_told_at_once(url: str) -> None:
    clock = StillClock()
    with BacktestClient(url, clock=clock) as client, pytest.raises(AddressInvalid, match="BACKTEST_URL"):
        client.status(TASK)
    assert clock.naps == []


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (httpx.Response(404, text="<html>not found</html>"), ServerRefused, "status 404, and no JSON"),
        (httpx.Response(200, json=[1]), ServerRefused, "no GraphQL answer"),
        (httpx.Response(500, json={"data": None}), ServerRefused, "status 500, and no GraphQL answer"),
        (httpx.Response(401, text="who are you?"), ServerRefused, "status 401; set BACKTEST_TOKEN"),
        (
            httpx.Response(403, json={"errors": [{"message": "viewers only read; ask\nSQL"}]}),
            ServerRefused,
            "status 403; viewers only read; ask$",
        ),
        (httpx.Response(403, text="<html>no</html>"), ServerRefused, "status 403; it does not say why"),
        (httpx.Response(429, text="slow down"), ServerBusy, "too many requests$"),
        (
            _error(
                "backtest_pipeline.model.errors.RequestInvalid: this request cannot be run: seed: odd", 400
            ),
            RequestInvalid,
            "^this request cannot be run: seed: odd$",
        ),
        (httpx.Response(502, text="<html>bad gateway</html>"), ServerUnreachable, "a gateway says 502"),
        (_error("Cannot query field 'x'\nmore", 400), ServerRefused, "refused: Cannot query field 'x'$"),
        (_error("odd [SQL: SELECT secret]"), ServerRefused, "refused: odd$"),
        (_error(""), ServerRefused, "refused: an error without a message$"),
        (
            _error("sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) gone\n[SQL: SELECT secret]"),
            ServerTroubled,
            r"its database failed \(OperationalError\); see the server's log$",
        ),
        (
            _error("(psycopg2.errors.AdminShutdown) terminating [SQL: SELECT secret]"),
            ServerTroubled,
            r"its database failed \(AdminShutdown\)",
        ),
        (
            _error("dagster._core.errors.DagsterUserCodeUnreachableError: Could not reach user code server"),
            ServerTroubled,
            "its code server does not answer",
        ),
        (
            _error("Could not find Pipeline backtest_pipeline.__repository__.backtest"),
            ServerTroubled,
            "its code server does not answer",
        ),
    ],
)
def test_an_answer_that_is_no_answer_is_an_error_without_its_inner_parts(
    answer: httpx.Response, error: type[BacktestError], says: str
) -> None:
    with _client(lambda _: answer) as client, pytest.raises(error, match=says) as caught:
        client.status(TASK)
    assert "SQL" not in str(caught.value)
    assert "secret" not in str(caught.value)


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


@pytest.mark.parametrize("kind", [*LAUNCH_ERRORS, "SomethingNew"])
def test_every_other_refusal_of_a_launch_is_told_by_its_first_line(kind: str) -> None:
    answer = _data(launchRun={"__typename": kind, "message": f"{kind} happened\nTraceback: SELECT"})
    with (
        _client(lambda _: answer) as client,
        pytest.raises(ServerRefused, match=f"refused: {kind} happened$"),
    ):
        client.submit(REQUEST)


def test_a_refusal_of_a_status_is_told_by_its_first_line() -> None:
    answer = _error("Cannot query field 'taskRuns' on type 'Query'.\nTraceback")
    with _client(lambda _: answer) as client, pytest.raises(ServerRefused, match=r"on type 'Query'\.$"):
        client.status(TASK)


@pytest.mark.parametrize("kind", ["InvalidPipelineRunsFilterError", "PythonError", "SomethingNew"])
def test_every_refusal_of_a_list_is_told_by_its_first_line(kind: str) -> None:
    answer = _data(runsOrError={"__typename": kind, "message": f"{kind} happened\nTraceback"})
    with _client(lambda _: answer) as client, pytest.raises(ServerRefused, match=f"{kind} happened$"):
        client.list_tasks()


def test_an_unknown_task_is_told_by_its_id() -> None:
    with FakeServer().client() as client, pytest.raises(TaskUnknown, match=f"there is no task '{TASK}'"):
        client.status(TASK)


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        httpx.RemoteProtocolError("cut off"),
        httpx.Response(502),
        httpx.Response(503),
        httpx.Response(504),
        _error("sqlalchemy.exc.OperationalError: database is locked"),
        _data(taskRuns={"__typename": "PythonError", "message": "sqlite3.OperationalError: locked"}),
    ],
)
def test_what_may_pass_is_tried_again(failure: httpx.Response | Exception) -> None:
    server, told = FakeServer(run("a")), list[ServiceError]()
    server.failures = [failure, failure]
    with server.client(on_retry=told.append) as client:
        assert client.status("a").state == "running"
    assert len(server.asked) == 3
    assert len(told) == 2


@pytest.mark.parametrize("failure", [httpx.Response(404), httpx.Response(401), _error("no such field")])
def test_what_will_not_pass_is_not_tried_again(failure: httpx.Response) -> None:
    server = FakeServer(run("a"))
    server.failures = [failure]
    with server.client() as client, pytest.raises(ServerRefused):
        client.status("a")
    assert len(server.asked) == 1


def test_the_pauses_grow_and_the_patience_ends_with_what_went_wrong_last() -> None:
    clock, server = StillClock(), FakeServer()
    server.failures = [httpx.ConnectError(f"refused {number}") for number in range(100)]
    with server.client(clock) as client, pytest.raises(ServerUnreachable, match="refused 8"):
        client.status("a")
    assert clock.naps == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2])


def test_without_patience_nothing_is_tried_again() -> None:
    clock, server = StillClock(), FakeServer()
    server.failures = [httpx.ConnectError("refused")]
    with server.client(clock, patience_s=0) as client, pytest.raises(ServerUnreachable):
        client.status("a")
    assert clock.naps == []


def test_the_token_is_sent_as_a_bearer() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("authorization"))
        return _data(runsOrError={"__typename": "Runs", "results": []})

    with BacktestClient(URL, token="s3cret", transport=httpx.MockTransport(answer)) as client:  # noqa: S106
        assert client.list_tasks() == []
    assert seen == ["Bearer s3cret"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_is_asked_without_the_proxy_of_the_environment(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which would see the token, and could not reach us."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"data": {"version": "1"}}')

        def log_message(self, *arguments: object) -> None:
            """Keeps quiet."""

    for name in ("HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with closing(GraphQL(f"http://{host}:{server.server_address[1]}")) as graphql:
            assert graphql.ask("{ version }", {}) == {"version": "1"}
        thread.join()


def test_other_machines_are_asked_through_the_proxy() -> None:
    assert without_proxy("https://backtest.example.com") == {}
    assert without_proxy("http://[::1]:3000") == {"all://[::1]": None}


def test_a_server_that_says_when_to_go_on_costs_no_patience() -> None:
    clock, server = StillClock(), FakeServer(run("a"))
    wait = httpx.Response(429, headers={"Retry-After": "7"}, json={"errors": [{"message": "too many"}]})
    server.failures = [wait, wait, wait]
    with server.client(clock) as client:
        started_s = clock.monotonic_s()
        assert client.status("a").task_id == "a"
        assert clock.monotonic_s() - started_s == 3 * 7  # twice the patience of ten seconds


def test_a_server_that_is_always_busy_is_given_up_after_ten_minutes() -> None:
    clock, server = StillClock(), FakeServer(run("a"))
    server.failures = [httpx.Response(429, headers={"Retry-After": "60"}) for _ in range(100)]
    with server.client(clock) as client:
        started_s = clock.monotonic_s()
        with pytest.raises(ServerBusy, match="too many requests"):
            client.status("a")
        assert 540 <= clock.monotonic_s() - started_s <= 600
