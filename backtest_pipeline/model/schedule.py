"""An exchange's sessions: which days it opens, and from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Schedule:
    """The sessions of an exchange between two days, oldest first.

    Attributes:
        calendar: the exchange's MIC.
        first_day, last_day: days since 1970 that the schedule covers, both included.
        day: shape (m,), the day since 1970, in the market's own time, of each stretch in which the market is
            open; a session with a lunch break has two stretches.
        open_s, close_s: shape (m,), the stretches' beginnings and ends, seconds since 1970, UTC, in order and
            without overlap.
    """

    calendar: str
    first_day: int
    last_day: int
    day: Ints
    open_s: Ints
    close_s: Ints

    def days(self) -> Ints:
        """The sessions' days since 1970, each once."""
        return np.unique(self.day)

    def open_seconds_until(self, moments_s: Ints) -> Ints:
        """Seconds that the market has been open from the schedule's start until each moment."""
        before = np.concatenate([[0], np.cumsum(self.close_s - self.open_s)])
        latest = np.searchsorted(self.open_s, moments_s, side="right") - 1
        within = np.clip(moments_s - self.open_s[np.maximum(latest, 0)], 0, None)
        length = (self.close_s - self.open_s)[np.maximum(latest, 0)]
        total = before[np.maximum(latest, 0)] + np.minimum(within, length)
        return np.where(latest < 0, 0, total).astype(np.int64)

    def covers(self, moments_s: Ints) -> NDArray[np.bool_]:
        """Whether each moment lies between the schedule's first and last day."""
        day_s = 86_400
        inside: NDArray[np.bool_] = (moments_s >= self.first_day * day_s) & (
            moments_s < (self.last_day + 1) * day_s
        )
        return inside
