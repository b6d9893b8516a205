"""Which names look like one that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest_names(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Those of the known names that look like `name`, the likeliest first; none where nothing does."""
    choices = list(known)
    containing = [other for other in choices if name and (name in other or other.endswith(f".{name}"))]
    alike = difflib.get_close_matches(name, choices, n=most, cutoff=0.5)
    return list(dict.fromkeys([*alike, *containing]))[:most]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?` for the end of a message, or nothing where no name is like it."""
    near = nearest_names(name, known)
    return f"; did you mean {' or '.join(near)}?" if near else ""
