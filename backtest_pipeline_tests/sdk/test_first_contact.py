"""A server that is not there is named soon, however it fails to be there."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable

import httpx
import pytest

from backtest_pipeline.model.errors import ServerUnreachable
from backtest_pipeline.sdk.first_contact import Trace, send_once_connected
from backtest_pipeline.sdk.transport import FIRST_CONTACT_S
from backtest_pipeline_tests.sdk.stand_ins import FakeServer, StillClock, run

TASK = "7d6e1c1e-0000-4000-8000-000000000001"


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
        send_once_connected(_resolving_for_ever(let_go), 0.01)
    let_go.set()


def test_a_server_that_has_been_reached_may_take_longer_than_the_deadline() -> None:
    deadline_over = threading.Event()

    def send(trace: Trace) -> httpx.Response:
        trace("connection.connect_tcp.complete", {})
        deadline_over.wait(0.05)
        return httpx.Response(204)

    assert send_once_connected(send, 0.01).status_code == 204


def test_a_socket_that_nobody_accepts_from_is_connected_and_times_out_by_the_request_s_own_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, httpx.Client(trust_env=False) as http:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(httpx.ReadTimeout):
            send_once_connected(
                lambda trace: http.get(url, timeout=0.05, extensions={"trace": trace}), connect_s=60.0
            )


def test_what_goes_wrong_while_sending_is_what_the_caller_gets() -> None:
    def send(_: Trace) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(httpx.ConnectError, match="refused"):
        send_once_connected(send, 60.0)
