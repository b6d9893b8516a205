"""A server that is not there is named soon, however it fails to be there."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from backtest_pipeline.model.errors import ServerSilent, ServerUnreachable
from backtest_pipeline.sdk import transport
from backtest_pipeline.sdk.first_contact import NothingSaid, Trace, send_once_connected
from backtest_pipeline.sdk.reachable import FIRST_CONTACT_S, why_unreachable
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline_tests.sdk.stand_ins import FakeServer, StillClock, run

TASK = "7d6e1c1e-0000-4000-8000-000000000001"


NOT_ASKED: Any = {"says_anything": lambda: False, "silence_s": 30.0}
"""Of servers that are done or given up before anybody would ask whether they live."""

FAILURES = [
    httpx.ConnectError("[Errno 111] Connection refused"),
    httpx.ConnectTimeout("timed out"),
    httpx.ConnectError("[Errno -2] Name or service not known"),
]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_client_says_before_it_tries_again_that_nothing_answers_and_what_to_do(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    server, clock = FakeServer(run(TASK)), StillClock()
    server.failures = [failure] * 100
    with server.client(clock) as client, pytest.raises(ServerUnreachable):
        client.status(TASK)
    [said] = caplog.messages  # once, however often it tries
    assert re.search(r"no answer from .*backtest up.*BACKTEST_URL", said)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_command_gives_a_missing_server_up_within_a_second(failure: Exception) -> None:
    server, clock = FakeServer(run(TASK)), StillClock()
    server.failures = [failure] * 100
    began_s = clock.monotonic_s()
    with (
        server.client(clock, first_patience_s=FIRST_CONTACT_S) as client,
        pytest.raises(ServerUnreachable, match=r"backtest up.*BACKTEST_URL"),
    ):
        client.status(TASK)
    assert clock.monotonic_s() - began_s <= 1.0
    assert FIRST_CONTACT_S <= 1.0  # what one attempt may take of the two seconds


def _resolving_for_ever(let_go: threading.Event) -> Callable[[Trace], httpx.Response]:
    def send(_: Trace) -> httpx.Response:
        let_go.wait()
        return httpx.Response(200)

    return send


def test_a_name_that_is_never_resolved_is_given_up_at_the_deadline() -> None:
    let_go = threading.Event()
    with pytest.raises(httpx.ConnectTimeout, match=r"no connection within 0\.01 s"):
        send_once_connected(_resolving_for_ever(let_go), 0.01, **NOT_ASKED)
    let_go.set()


def test_a_server_that_has_been_reached_may_take_longer_than_the_deadline() -> None:
    deadline_over = threading.Event()

    def send(trace: Trace) -> httpx.Response:
        trace("connection.connect_tcp.complete", {})
        deadline_over.wait(0.05)
        return httpx.Response(204)

    assert send_once_connected(send, 0.01, **NOT_ASKED).status_code == 204


def test_a_socket_that_nobody_accepts_from_is_connected_and_times_out_by_the_request_s_own_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, httpx.Client(trust_env=False) as http:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(httpx.ReadTimeout):
            send_once_connected(
                lambda trace: http.get(url, timeout=0.05, extensions={"trace": trace}), 60.0, **NOT_ASKED
            )


def test_what_goes_wrong_while_sending_is_what_the_caller_gets() -> None:
    def send(_: Trace) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(httpx.ConnectError, match="refused"):
        send_once_connected(send, 60.0, **NOT_ASKED)


def _answering(after: threading.Event) -> Callable[[Trace], httpx.Response]:
    def send(trace: Trace) -> httpx.Response:
        trace("connection.connect_tcp.complete", {})
        after.wait(30)
        return httpx.Response(204)

    return send


def test_a_slow_answer_of_a_server_that_lives_is_waited_for() -> None:
    let_go = threading.Event()

    def lives() -> bool:
        let_go.set()
        return True

    assert (
        send_once_connected(_answering(let_go), 60.0, says_anything=lives, silence_s=0.01).status_code == 204
    )


def test_an_answer_that_comes_while_the_server_is_asked_for_a_word_is_taken() -> None:
    let_go = threading.Event()

    def silent() -> bool:
        let_go.set()
        time.sleep(0.05)
        return False

    assert (
        send_once_connected(_answering(let_go), 60.0, says_anything=silent, silence_s=0.01).status_code == 204
    )


def test_a_server_that_says_nothing_at_all_is_given_up() -> None:
    let_go = threading.Event()
    with pytest.raises(NothingSaid, match=r"no answer within 0\.02 s"):
        send_once_connected(_answering(let_go), 60.0, says_anything=lambda: False, silence_s=0.01)
    let_go.set()


def test_a_socket_that_nobody_accepts_from_is_named_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SILENCE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(
            ServerSilent, match=r"answers nothing, not even /server_info within 0\.2 s.*restart"
        ):
            GraphQL(url).ask("{ version }", {})


def test_an_address_where_something_listens_is_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert why_unreachable(f"http://127.0.0.1:{listening.getsockname()[1]}") is None


def test_a_port_that_opens_within_the_time_is_reachable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    opened: list[socket.socket] = []
    opening = threading.Timer(0.2, lambda: opened.append(socket.create_server(("127.0.0.1", port))))
    opening.start()
    assert why_unreachable(f"http://127.0.0.1:{port}", 30.0) is None
    opening.join()
    opened[0].close()


def test_what_does_not_listen_is_named_with_its_reason_when_the_time_is_over() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # taken, and nobody listens
        reason = why_unreachable(f"http://127.0.0.1:{probe.getsockname()[1]}", 0.05)
    assert reason is not None
    assert "refused" in reason


def test_a_name_that_nobody_resolves_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    def resolving(*_: Any, **__: Any) -> None:
        let_go.wait()
        raise OSError("given up long ago")

    monkeypatch.setattr(socket, "create_connection", resolving)
    assert why_unreachable("http://slow.example.com:3000", 0.05) == "no connection within 0.05 s"
    let_go.set()


@pytest.mark.parametrize(
    "url", ["", "ftp://there", "http://", "http://[", "nonsense", "http://there:99999999"]
)
def test_an_address_that_is_none_is_left_to_the_client(url: str) -> None:
    assert why_unreachable(url, 0.05) is None


def test_what_lies_behind_a_proxy_is_left_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing is to be connected to")

    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:8080")
    monkeypatch.setattr(socket, "create_connection", never)
    assert why_unreachable("https://backtest.example.com", 0.05) is None
