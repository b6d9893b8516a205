"""Taking SQL and stack traces out of GraphQL answers; the operator finds them in the server's log.

Texts are judged by what they say and not by the name of their field, which a query can choose. The record of
a run keeps its stack traces: they are the user's own, of a strategy that failed. SQL goes everywhere.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from typing import Any

# A child of Dagster's own logger, so that its format and its file are those of the web server.
_log = logging.getLogger("dagster-webserver.door")

_HINTS = (b"[SQL", b"Traceback (", b'File \\"', b"Stack Trace")
_SQL = re.compile(r"\s*\[SQL:.*", re.DOTALL)
_STACK = re.compile(
    r'\s*(?:Traceback \(most recent call last\)|Stack Trace:|^\s*File ".*", line \d+).*',
    re.DOTALL | re.MULTILINE,
)
_FRAME = re.compile(r'\s*File ".*", line \d+')
_OWN_RECORD = re.compile(r"\w+Event")


def cleaned(body: bytes) -> bytes:
    """A GraphQL answer, or one message of a subscription, without what is nobody's business.

    Nothing is parsed where nothing suspicious stands, which is nearly always. Where something was removed,
    the answer's `extensions.error_id` says under which id the log has it.
    """
    if not any(hint in body for hint in _HINTS):
        return body
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return b'{"errors": [{"message": "the answer was no JSON; see the server\'s log"}]}'
    error_id = secrets.token_hex(4)
    cleaner = _Cleaner(error_id)
    result = cleaner.cleaned(content, own_record=False)
    if not cleaner.removed:
        return body
    if isinstance(result, dict):
        further = result.get("extensions")
        result["extensions"] = {**(further if isinstance(further, dict) else {}), "error_id": error_id}
    _log.warning("error %s, removed from an answer:\n%s", error_id, "\n".join(cleaner.removed))
    return json.dumps(result).encode()


class _Cleaner:
    def __init__(self, error_id: str) -> None:
        self.removed: list[str] = []
        self._hint = f"\n(details: error {error_id} in the web server's log)"

    def cleaned(self, content: Any, *, own_record: bool) -> Any:
        if isinstance(content, dict):
            typename = content.get("__typename")
            inside = own_record or (isinstance(typename, str) and bool(_OWN_RECORD.fullmatch(typename)))
            return {key: self.cleaned(value, own_record=inside) for key, value in content.items()}
        if isinstance(content, list):
            if not own_record and any(isinstance(item, str) and _FRAME.match(item) for item in content):
                self.removed += [str(item).rstrip("\n") for item in content]
                return []
            return [self.cleaned(item, own_record=own_record) for item in content]
        return self._text(content, own_record=own_record) if isinstance(content, str) else content

    def _text(self, text: str, *, own_record: bool) -> str:
        short = _SQL.sub("", text)
        if not own_record:
            short = _STACK.sub("", short)
        if short == text:
            return text
        self.removed.append(text.rstrip("\n"))
        return short + self._hint
