"""Which addresses this server answers for, and which pages may speak to it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.web.access.refusal import Refusal

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_WILDCARDS = {"", "0.0.0.0", "::", "[::]"}  # noqa: S104  recognised, not listened on
_AUTHORITY = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>\d{1,5}))?")
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/]+)")
_DEFAULT_PORTS = {"http": 80, "https": 443}


class HostsInvalid(BacktestError):
    """BACKTEST_HOSTS names something that is no host."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A host as URLs and the header `Host` write it; port `None` where it is not written."""

    name: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Authority | None:
        """Reads `name` or `name:port`; `None` where the text is neither."""
        match = _AUTHORITY.fullmatch(text.strip().lower())
        if match is None:
            return None
        return cls(match["name"].rstrip("."), int(match["port"]) if match["port"] else None)


class AllowedHosts:
    """The hosts that requests may name, and the origins that may send what changes something."""

    def __init__(self, bind_host: str, further: Sequence[str] = ()) -> None:
        """Notes what is allowed.

        Args:
            bind_host: the address that the server listens on.
            further: BACKTEST_HOSTS: `name` or `name:port`. A name without a port stands for any port where
                a request names its host, and for the usual ports where a page names its origin.

        Raises:
            HostsInvalid: an entry is no host.
        """
        self._further = frozenset(_entry(text) for text in further)
        own = set(_LOOPBACK_NAMES) if is_loopback(bind_host) or bind_host in _WILDCARDS else set()
        if bind_host not in _WILDCARDS:
            own.add(_in_brackets(bind_host.lower()))
        self._own = frozenset(own)

    def check_host(self, values: Sequence[str]) -> None:
        """Lets through what names one allowed host.

        A page whose name was made to point at this machine still sends its own name: such are refused here.

        Raises:
            Refusal: there is no such header, more than one, or another host in it.
        """
        host = Authority.parse(values[0]) if len(values) == 1 else None
        if host is None:
            raise Refusal(400, "send exactly one Host header with a host name in it")
        if host.name in self._own or Authority(host.name, None) in self._further:
            return
        ports = [host.port] if host.port else list(_DEFAULT_PORTS.values())
        if not any(Authority(host.name, port) in self._further for port in ports):
            raise Refusal(
                421, f"this server does not answer for {host.name!r}; if it should, add it to BACKTEST_HOSTS"
            )

    def check_origin(self, origins: Sequence[str], hosts: Sequence[str]) -> None:
        """Lets through what no page, or a page of this server, has sent.

        Raises:
            Refusal: the page that sent it is of another origin.
        """
        if not origins:
            return
        match = _ORIGIN.fullmatch(origins[0].strip().lower()) if len(origins) == 1 else None
        origin = Authority.parse(match["authority"]) if match else None
        if match is not None and origin is not None:
            usual = _DEFAULT_PORTS[match["scheme"]]
            port = origin.port or usual
            host = Authority.parse(hosts[0])
            if host is not None and (host.name, host.port or usual) == (origin.name, port):
                return
            if Authority(origin.name, port) in self._further:
                return
            if port == usual and Authority(origin.name, None) in self._further:  # not its neighbour's ports
                return
        raise Refusal(
            403, "a page of another origin may not do this; open the server's own page or see BACKTEST_HOSTS"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on this address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def reached_at(bind_host: str) -> str:
    """The host of this server's URL on this machine."""
    return "127.0.0.1" if bind_host in _WILDCARDS else _in_brackets(bind_host)


def _in_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _entry(text: str) -> Authority:
    authority = Authority.parse(text)
    if authority is None:
        raise HostsInvalid(
            f"BACKTEST_HOSTS: {text!r} is no host; write names like backtest.example.com or lab:3000"
        )
    return authority
