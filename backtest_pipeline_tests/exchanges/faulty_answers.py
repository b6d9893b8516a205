"""How an exchange's answers go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sent:
    """What goes over the wire.

    Attributes:
        length: what `Content-Length` says.
        wait_s: how long the client waits for it.
        ends: whether the connection is closed behind it.
        silent: whether it is closed before anything is sent.
    """

    status: int
    text: bytes
    length: int
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    ends: bool = False
    silent: bool = False


def sent(status: int, body: Any, fault: str | None) -> Sent:
    """The answer as it should be, or with a fault of `FAULTS`."""
    return FAULTS[fault](status, body) if fault else _whole(status, json.dumps(body).encode())


def _whole(status: int, text: bytes, **headers: str) -> Sent:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Sent(status, text, len(text), {"Content-Type": "application/json", **named})


def _cut(status: int, body: Any) -> Sent:
    """The connection drops within the answer."""
    text = json.dumps(body).encode()
    return Sent(status, text[: len(text) // 2], len(text), ends=True)


def _cut_before(status: int, body: Any) -> Sent:
    """What stands between has cut the answer and tells its new length."""
    text = json.dumps(body).encode()
    return _whole(status, text[: len(text) // 2])


def _late(status: int, body: Any) -> Sent:
    text = json.dumps(body).encode()
    return Sent(status, text, len(text), wait_s=0.6)


def _nulls(status: int, body: Any) -> Sent:
    return _whole(status, json.dumps(_with_nulls(body)).encode())


def _with_nulls(body: Any) -> Any:
    """The same candles; of the last one, something is missing."""
    if isinstance(body, dict):
        inner = {"result", "list"}
        return {name: _with_nulls(value) if name in inner else value for name, value in body.items()}
    rows = list(body)
    if rows and isinstance(rows[-1], dict):
        rows[-1] = rows[-1] | {"trade_price": None}
    elif rows and isinstance(rows[-1], list):
        rows[-1] = [*rows[-1][:4], None, *rows[-1][5:]]
    return rows


def _timeless(status: int, body: Any) -> Sent:
    """The same candles; none of them has a time."""
    text = json.dumps(body).replace("candle_date_time_utc", "time").replace('"timestamp"', '"moment"')
    return _whole(status, text.encode())


FAULTS: dict[str, Callable[[int, Any], Sent]] = {
    "429": lambda *_: _whole(429, b"Too many API requests."),
    "429 for 3 s": lambda *_: _whole(429, b'{"error": {"name": 429, "message": "slow"}}', Retry_After="3"),
    "418": lambda *_: _whole(418, b'{"error": {"name": 418, "message": "blocked"}}', Retry_After="40"),
    "418 of Binance": lambda *_: _whole(
        418, b'{"code":-1003,"msg":"Way too much request weight used; IP banned until 1709300000000."}'
    ),
    "403 of Bybit": lambda *_: _whole(403, b"403, access too frequent"),
    "10006 of Bybit": lambda *_: _whole(200, b'{"retCode":10006,"retMsg":"Too many visits!","result":{}}'),
    "500": lambda *_: _whole(500, b"<html>oops</html>"),
    "451": lambda *_: _whole(451, b'{"code":0,"msg":"Service unavailable from a restricted location"}'),
    "late": _late,
    "cut": _cut,
    "cut, whole by its length": _cut_before,
    "page": lambda *_: _whole(200, b"<html><body>We are under maintenance</body></html>"),
    "empty object": lambda *_: _whole(200, b"{}"),
    "nulls": _nulls,
    "timeless": _timeless,
    "dropped": lambda *_: Sent(200, b"", 0, silent=True),
}
