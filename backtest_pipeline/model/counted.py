"""How many of something, as sentences say it: `1 task`, `1,200 tasks`."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count and its noun, whose plural has an `s` unless it is given."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
