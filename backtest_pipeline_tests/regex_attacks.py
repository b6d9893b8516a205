"""Inputs that make a backtracking search slow, derived from the pattern itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as sre  # type: ignore[attr-defined]  # private, read in Python 3.11 and 3.12
from re import _parser  # type: ignore[attr-defined]  # as above
from typing import Any

_ENDS = ("", "\x00", "\n", "!")
_ALWAYS = (" ", "\n", "a", "0", "-", ".", "/", '"', "[", "{", "a.", "\n ", " a")


def attacks(pattern: re.Pattern[Any], length: int) -> Iterator[str]:
    """Texts of about a length: each part that may repeat, repeated, behind what leads to it.

    A search is slow where something repeats and the end then does not fit; the ends here fit nothing usual.
    """
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    parsed = _parser.parse(text, pattern.flags & ~re.UNICODE)
    pumps = dict.fromkeys([*_repeated(parsed), *((_ALWAYS_AT, pump) for pump in _ALWAYS)])
    whole = _sample(parsed)
    for lead, pump in pumps:
        if pump:
            for end in _ENDS:
                yield lead + pump * (length // len(pump)) + end
    if whole:
        for end in _ENDS:
            yield whole * (length // len(whole)) + end
            yield whole[:-1] * (length // max(len(whole) - 1, 1)) + end


_ALWAYS_AT = ""


def _repeated(parts: Any, lead: str = "") -> Iterator[tuple[str, str]]:
    for op, argument in parts:
        if op in {sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT}:
            yield lead, _sample(argument[2])
            yield lead, lead + _sample(argument[2])
            yield from _repeated(argument[2], lead)
        elif op is sre.SUBPATTERN:
            yield from _repeated(argument[3], lead)
        elif op is sre.BRANCH:
            for branch in argument[1]:
                yield from _repeated(branch, lead)
        elif op is sre.ATOMIC_GROUP:
            yield from _repeated(argument, lead)
        lead += _sample([(op, argument)])


def _sample(parts: Any) -> str:
    """A short text that parts of a pattern match."""
    text = ""
    for op, argument in parts:
        if op is sre.LITERAL:
            text += chr(argument)
        elif op is sre.NOT_LITERAL:
            text += "a" if argument != ord("a") else "b"
        elif op is sre.ANY:
            text += "a"
        elif op is sre.IN:
            text += _of_class(argument)
        elif op in {sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT}:
            text += _sample(argument[2]) * max(argument[0], 1 if argument[1] else 0)
        elif op is sre.SUBPATTERN:
            text += _sample(argument[3])
        elif op is sre.BRANCH:
            text += _sample(argument[1][0])
        elif op is sre.ATOMIC_GROUP:
            text += _sample(argument)
    return text


def _of_class(parts: Any) -> str:
    refused = set()
    negated = False
    for op, argument in parts:
        if op is sre.NEGATE:
            negated = True
        elif op is sre.LITERAL:
            if not negated:
                return chr(argument)
            refused.add(chr(argument))
        elif op is sre.RANGE:
            if not negated:
                return chr(argument[0])
            refused |= {chr(code) for code in range(argument[0], min(argument[1], 0x100) + 1)}
        elif op is sre.CATEGORY and not negated:
            return {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "0", "CATEGORY_WORD": "a"}.get(
                argument.name, "-"
            )
    return next((one for one in "a0 -" if one not in refused), "é")
