"""Bounds how long a client waits for a server that may not be there: its name, its addresses, all of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

import httpx

from backtest_pipeline.model.errors import ServiceError

Trace = Callable[[str, object], None]
_CONNECTED = "connection.connect_tcp.complete"


_log = logging.getLogger(__name__)


class LoggedOnce:
    """Logs the first of a client's failures that it tries again after, which says what to do about it."""

    def __init__(self) -> None:
        self._logged = False

    def __call__(self, error: ServiceError) -> None:
        """Take what went wrong before a further try."""
        if not self._logged:
            self._logged = True
            _log.warning("trying again: %s", error)


def send_once_connected(send: Callable[[Trace], httpx.Response], connect_s: float) -> httpx.Response:
    """Send a request, and give up where no connection stands after so many seconds.

    httpx limits each address of a host by itself and the name's resolution not at all, hence the thread; once
    connected, the answer may take as long as the request's own timeouts let it.

    Args:
        send: sends the request with `trace` as its extension, and is left alone when it is given up.
        connect_s: how long looking the name up and connecting may take together, in seconds.

    Raises:
        httpx.ConnectTimeout: there is no connection by then.
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
    return outcome.result()
