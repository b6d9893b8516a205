"""What a server says went wrong, as errors of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from backtest_pipeline.model.errors import (
    BacktestError,
    LockNotAcquired,
    RequestInvalid,
    ServerRefused,
    ServerTroubled,
)

_MOST_CHARACTERS = 500
_INVALID = "this request cannot be run: "
_DATABASE = re.compile(r"\b(?:sqlalchemy|psycopg2|psycopg|sqlite3|pg8000)\.([\w.]+)")
# Said at first, and once the web server has looked and found no code.
_CODE_SERVER_AWAY = re.compile(r"DagsterUserCodeUnreachableError|Could not find Pipeline")


def refusal_of(url: str, message: str) -> BacktestError:
    """The error that a server's message stands for, without the SQL and the stack trace in it."""
    database = _DATABASE.search(message)
    if database:
        _, _, error = database[1].rstrip(".").rpartition(".")
        return ServerTroubled(url, f"its database failed ({error}); see the server's log")
    if _CODE_SERVER_AWAY.search(message):
        return ServerTroubled(url, "its code server does not answer; see the server's log")
    _, invalid, problem = _told(message).partition(_INVALID)
    if invalid:
        return RequestInvalid([("", problem)])
    return ServerRefused(url, _told(message))


def refusal_of_answer(url: str, answer: Mapping[str, Any]) -> BacktestError:
    """The error that a typed GraphQL answer stands for."""
    message = str(answer.get("message") or answer.get("__typename") or "")
    if answer.get("className") == LockNotAcquired.__name__:
        return ServerTroubled(url, _told(message))
    return refusal_of(url, message)


def sentence_of(content: object) -> str:
    """What the first error of a GraphQL answer says, in one line; empty where it holds none."""
    errors = content.get("errors") if isinstance(content, Mapping) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    message = first.get("message") if isinstance(first, Mapping) else None
    return _told(message) if isinstance(message, str) else ""


def _told(message: str) -> str:
    """The first line only: what follows may be SQL or a stack trace, which is nobody's business."""
    first = message.strip().partition("\n")[0].partition("[SQL")[0].strip()
    return first[:_MOST_CHARACTERS] or "an error without a message"
