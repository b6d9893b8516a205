"""Taking SQL and stack traces out of GraphQL answers; the operator finds them in the server's log.

Texts are judged by what they say and not by the name of their field, which a query can choose. The record of
a run keeps its stack traces: they are the user's own, of a strategy that failed. SQL goes everywhere.
"""

from __future__ import annotations

import json
import logging
import secrets
from typing import Any

# A child of Dagster's own logger, so that its format and its file are those of the web server.
_log = logging.getLogger("dagster-webserver.guard")

_HINTS = (b"[SQL", b"Traceback (", b'File \\"', b"Stack Trace")
_SQL = "[SQL:"
_STACK_TITLES = ("Traceback (most recent call last)", "Stack Trace:")
_MOST_LOGGED_CHARACTERS = 65_536


def cleaned(body: bytes) -> bytes:
    """A GraphQL answer, or one message of a subscription, without what is nobody's business.

    Nothing is parsed where nothing suspicious stands, which is nearly always. Where something was removed,
    the answer's `extensions.error_id` says under which id the log has it.
    """
    if not any(hint in body for hint in _HINTS):
        return body
    error_id = secrets.token_hex(4)
    cleaner = _Cleaner(error_id)
    try:
        result = cleaner.cleaned(json.loads(body), own_record=False)
    except (ValueError, RecursionError):
        return b'{"errors": [{"message": "the answer was no JSON; see the server\'s log"}]}'
    if not cleaner.removed:
        return body
    if isinstance(result, dict):
        further = result.get("extensions")
        result["extensions"] = {**(further if isinstance(further, dict) else {}), "error_id": error_id}
    removed = "\n".join(cleaner.removed)[:_MOST_LOGGED_CHARACTERS]
    _log.warning("error %s, removed from an answer:\n%s", error_id, removed)
    return json.dumps(result).encode()


class _Cleaner:
    def __init__(self, error_id: str) -> None:
        self.removed: list[str] = []
        self._hint = f"\n(details: error {error_id} in the web server's log)"

    def cleaned(self, content: Any, *, own_record: bool) -> Any:
        if isinstance(content, dict):
            typename = content.get("__typename")
            inside = own_record or (isinstance(typename, str) and typename.endswith("Event"))
            return {key: self.cleaned(value, own_record=inside) for key, value in content.items()}
        if isinstance(content, list):
            if not own_record and any(isinstance(item, str) and _is_frame(item) for item in content):
                self.removed += [str(item).rstrip("\n") for item in content]
                return []
            return [self.cleaned(item, own_record=own_record) for item in content]
        return self._text(content, own_record=own_record) if isinstance(content, str) else content

    def _text(self, text: str, *, own_record: bool) -> str:
        at = text.find(_SQL)
        if not own_record:
            at = min((place for place in (at, _stack_at(text)) if place >= 0), default=-1)
        if at < 0:
            return text
        self.removed.append(text.rstrip("\n"))
        return text[:at].rstrip() + self._hint


def _stack_at(text: str) -> int:
    """Where a stack trace begins in a text, -1 where there is none; one look at each character."""
    found = [place for title in _STACK_TITLES if (place := text.find(title)) >= 0]
    line_at = 0
    for line in text.split("\n"):
        if _is_frame(line):
            found.append(line_at)
            break
        line_at += len(line) + 1
    return min(found, default=-1)


def _is_frame(text: str) -> bool:
    """Whether a text begins as a line of a stack trace does: `File "a.py", line 3`."""
    line = text.lstrip().partition("\n")[0]
    if not line.startswith('File "'):
        return False
    _, *behind = line[len('File "') :].split('", line ')
    return any(number[:1].isdigit() for number in behind)
