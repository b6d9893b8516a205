"""Bounds how long a client waits for a server that may not be there: its name, its addresses, all of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

import httpx

from backtest_pipeline.model.errors import ServiceError

Trace = Callable[[str, object], None]
_CONNECTED = "connection.connect_tcp.complete"


_log = logging.getLogger(__name__)


class NothingSaid(httpx.ReadTimeout):
    """A server was connected to and has answered nothing.

    Attributes:
        waited_s: for how long, in seconds.
    """

    def __init__(self, waited_s: float) -> None:
        self.waited_s = waited_s
        super().__init__(f"connected, and no answer within {waited_s:g} s")


class LoggedOnce:
    """Logs the first of a client's failures that it tries again after, which says what to do about it."""

    def __init__(self) -> None:
        self._logged = False

    def __call__(self, error: ServiceError) -> None:
        """Take what went wrong before a further try."""
        if not self._logged:
            self._logged = True
            _log.warning("trying again: %s", error)


def send_once_connected(
    send: Callable[[Trace], httpx.Response],
    connect_s: float,
    *,
    says_anything: Callable[[], bool],
    silence_s: float,
) -> httpx.Response:
    """Send a request, and give up where no connection stands after so many seconds, or where all is silent.

    httpx limits each address of a host by itself and the name's resolution not at all, hence the thread. Once
    connected, the answer may take as long as the request's own timeouts let it, from a server that lives.

    Args:
        send: sends the request with `trace` as its extension, and is left alone when it is given up.
        connect_s: how long looking the name up and connecting may take together, in seconds.
        says_anything: asks the server for something light and returns whether it answers within `silence_s`;
            called where the request has waited for so long.
        silence_s: how long the answer may take before it is asked whether the server lives, in seconds.

    Raises:
        httpx.ConnectTimeout: there is no connection by then.
        NothingSaid: there is one, and neither request was answered.
    """
    outcome: Future[httpx.Response] = Future()
    connected_or_done = threading.Event()

    def trace(event: str, _: object) -> None:
        if event == _CONNECTED:
            connected_or_done.set()

    def work() -> None:
        try:
            outcome.set_result(send(trace))
        except BaseException as error:  # noqa: BLE001 - raised again where the request was asked for
            outcome.set_exception(error)
        connected_or_done.set()

    threading.Thread(target=work, name="first-contact", daemon=True).start()
    if not connected_or_done.wait(connect_s):
        raise httpx.ConnectTimeout(f"no connection within {connect_s:g} s")
    if not wait([outcome], silence_s).done and not says_anything() and not outcome.done():
        raise NothingSaid(2 * silence_s)
    return outcome.result()
