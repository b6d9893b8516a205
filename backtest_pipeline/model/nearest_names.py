"""What somebody may have meant who wrote a name that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_LEAST_ALIKE = 0.6
_MOST_NAMES = 5_000


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that looks most like `name`, its case aside; None where none does.

    A name that contains it, or that it is the last part of, as `fast` of `params.fast`, is like it.
    """
    names = {one.casefold(): one for one in list(known)[:_MOST_NAMES]}
    wanted = name.casefold()
    close = get_close_matches(wanted, names, n=1, cutoff=_LEAST_ALIKE)
    containing = [other for other in names if wanted and (wanted in other or other.endswith(f".{wanted}"))]
    found = [*close, *containing]
    return names[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean AAPL?)` for the end of a message, or nothing where no name is like it."""
    near = nearest_name(name, known)
    return f" (did you mean {near}?)" if near else ""
