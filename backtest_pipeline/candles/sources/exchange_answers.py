"""What an exchange answered last, and answers that are no use."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any


class AnswerUnusable(Exception):
    """An answer came that is not what was asked for; another try may bring a better one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an exchange answered last.

    Attributes:
        status: HTTP status; 0 where none came.
        headers: by lower-case name.
        text: the body.
        parsed: the body as JSON, or `None`.
    """

    status: int = 0
    headers: dict[str, str] | None = None
    text: str = ""
    parsed: Any = None

    def header(self, name: str) -> str:
        """A header, or the empty text."""
        return (self.headers or {}).get(name, "")

    def sent_ms(self) -> int | None:
        """The exchange's own time, in milliseconds since 1970, where it says so."""
        try:
            return int(parsedate_to_datetime(self.header("date")).timestamp() * 1_000)
        except ValueError:
            return None

    def has_list(self) -> bool:
        """Whether there is a list anywhere in it, which an answer with candles cannot do without."""
        return _has_list(self.parsed)


def _has_list(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_list(inner) for inner in value.values())
    return isinstance(value, list)


def start_of(text: str) -> str:
    """The beginning of a body, for messages."""
    shown = " ".join(text.split())
    return f"{shown[:80]}…" if len(shown) > 80 else shown or "nothing at all"
