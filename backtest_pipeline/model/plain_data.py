"""What any value from outside may be: text that can be written down, numbers, shallow nesting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

MOST_NESTING = 64
LARGEST_WHOLE = 2**63 - 1


def plain_data_problem(value: object) -> str | None:
    """Says why a value cannot be stored, or `None` where it can; looks at each part once.

    Refused are texts that are no Unicode (half of a surrogate pair) or that PostgreSQL cannot hold (NUL),
    numbers that JSON or a database's integers cannot hold, and nesting that recursion would not survive.
    """
    level: list[object] = [value]
    for _ in range(MOST_NESTING + 1):
        if not level:
            return None
        below: list[object] = []
        for part in level:
            if isinstance(part, Mapping):
                below += [*part.keys(), *part.values()]
            elif isinstance(part, Sequence) and not isinstance(part, str):
                below += part
            elif problem := _scalar_problem(part):
                return problem
        level = below
    return f"nest lists and mappings at most {MOST_NESTING} deep"


def _scalar_problem(value: object) -> str | None:
    if isinstance(value, str):
        return text_problem(value)
    if isinstance(value, float) and not math.isfinite(value):
        return "write finite numbers"
    if isinstance(value, int) and abs(value) > LARGEST_WHOLE:
        return "write whole numbers that fit into 64 bits"
    return None


def text_problem(text: str) -> str | None:
    """Says why a text cannot be stored, or `None` where it can."""
    if "\x00" in text:
        return "leave out the character NUL"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "write Unicode text; there is half of a surrogate pair in it"
    return None


def shortened(value: object, most: int = 80) -> str:
    """A value as Python writes it, cut where it is long: for messages that repeat what somebody has sent."""
    try:
        shown = repr(value[: most + 1] if isinstance(value, str | list | tuple) else value)
    except ValueError:  # a number with more digits than Python writes
        return f"a very long {type(value).__name__}"
    return shown if len(shown) <= most else f"{shown[:most]}…"
