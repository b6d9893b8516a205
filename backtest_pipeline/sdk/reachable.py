"""Whether anything listens at the web server's address, found out before any library is imported for it."""

from __future__ import annotations

import os
import socket
import threading
import time
from ipaddress import ip_address
from urllib.parse import urlsplit

FIRST_CONTACT_S = 1.0
"""How long a server that has never answered is waited for: two seconds with a command's start."""

_PAUSE_S = 0.1
_PORTS = {"http": 80, "https": 443}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def is_this_machine(url: str) -> bool:
    """Whether an address is one of this machine's own, to which no proxy of the environment leads."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def why_unreachable(url: str, within_s: float = FIRST_CONTACT_S) -> str | None:
    """Return why no connection could be made in time; `None` where one was, or where only httpx can tell.

    A server that is just being started is tried again until the time is over. The name is looked up in a
    thread, as nothing bounds how long that takes.

    Args:
        url: the web server's.
        within_s: how long looking the name up and connecting may take together, in seconds.
    """
    address = _address_of(url)
    if address is None:
        return None
    problems: list[str] = []
    connected, given_up = threading.Event(), time.monotonic() + within_s

    def connect() -> None:
        while (left_s := given_up - time.monotonic()) > 0:
            try:
                socket.create_connection(address, timeout=left_s).close()
            except (OSError, UnicodeError) as error:  # a label of the name may be too long to be sent
                problems.append(str(error) or type(error).__name__)
                time.sleep(_PAUSE_S)
            else:
                connected.set()
                return

    threading.Thread(target=connect, name="first-look", daemon=True).start()
    if connected.wait(within_s):
        return None
    return problems[-1] if problems else f"no connection within {within_s:g} s"


def _address_of(url: str) -> tuple[str, int] | None:
    """Host and port; `None` where the address is none, or where a proxy may be what has to be reached."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    has_proxy = any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES)
    if not host or not port or parts.scheme not in _PORTS or (has_proxy and not is_this_machine(url)):
        return None
    return host, port
