"""What somebody may have meant who wrote a name that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_MOST_LIKE = 0.6
_MOST_NAMES = 5_000


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` (did you mean AAPL?)` for the likest of the names that there are; empty where none is like it."""
    names = {one.casefold(): one for one in list(known)[:_MOST_NAMES]}
    close = get_close_matches(name.casefold(), names, n=1, cutoff=_MOST_LIKE)
    return f" (did you mean {names[close[0]]}?)" if close else ""
