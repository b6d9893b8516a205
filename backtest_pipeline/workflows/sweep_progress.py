"""How far a search is, as its callbacks are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far a sweep is.

    Attributes:
        done: trials that are done, those of earlier attempts included.
        trials: all there are.
        resumed: of those done, how many earlier attempts have left.
        best: the best objective so far; none where no trial ranks yet.
    """

    done: int
    trials: int
    resumed: int
    best: float | None
