"""A sentence for people as its template and values, so that it can be said in two languages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text whose `{0}`, `{1}` stand for values."""

    template: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.template.format(*self.values)
