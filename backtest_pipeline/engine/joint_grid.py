"""The moments at which several symbols' accounts make one: one a day, a week or a bar's length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.market_days import grid_slots
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles

    Slots = NDArray[np.int64]

SPARSE = 8
"""Slots for each bar from which on it takes less time to sort bars than to look at all slots."""


@dataclass(frozen=True, eq=False, slots=True)
class JointGrid:
    """Where each symbol's bars stand among those of all.

    Symbols open at different hours, and those of one slot of the grid make one value, which stands at the
    latest of their opens.

    Attributes:
        slots: shape (n,), the slots in which any symbol has a bar, rising.
        own_slots: of each symbol's bars.
        timestamp: shape (n,), `datetime64[us]`, the moments of the joint values.
        moments_us: shape (n,), between which time is measured, microseconds since 1970: the slots, or for a
            symbol alone its bars' opens.
        elapsed_us: from the first bar's open to the last bar's end, in microseconds.
    """

    slots: Slots
    own_slots: Sequence[Slots]
    timestamp: NDArray[np.datetime64]
    moments_us: Slots
    elapsed_us: int

    @classmethod
    def of(cls, candles: Sequence[Candles]) -> JointGrid:
        """The grid of some symbols' candles, none empty, all of one timeframe."""
        elapsed = elapsed_us(candles)
        if len(candles) == 1:
            timestamp = candles[0].timestamp
            moments = timestamp.view(np.int64)
            return cls(moments, [moments], timestamp, moments, elapsed)
        own = [grid_slots(one.timestamp, one.timeframe) for one in candles]
        joint = _all_slots(own)
        latest = np.full(len(joint), min(one.timestamp[0] for one in candles))
        for one, places in zip(candles, own, strict=True):
            at = slice(None) if len(places) == len(joint) else np.searchsorted(joint, places)
            latest[at] = np.maximum(latest[at], one.timestamp)
        slot_us = BAR_SECONDS[candles[0].timeframe] * 1_000_000
        return cls(joint, own, latest, joint * slot_us, elapsed)

    def rows(self) -> list[Slots]:
        """For each symbol, the row of each of its bars, rising."""
        first = self.slots[0]
        if self.slots[-1] - first == len(self.slots) - 1:
            return [places - first for places in self.own_slots]
        return [np.searchsorted(self.slots, places) for places in self.own_slots]

    def earliest_opens(self, candles: Sequence[Candles]) -> NDArray[np.datetime64]:
        """When the first of the bars of each value opens, shape (n,); arguments as for `of`."""
        if len(candles) == 1:
            return self.timestamp
        earliest = self.timestamp.copy()
        for one, places in zip(candles, self.own_slots, strict=True):
            at = np.searchsorted(self.slots, places)
            earliest[at] = np.minimum(earliest[at], one.timestamp)
        return earliest


def _all_slots(own: Sequence[Slots]) -> Slots:
    """The slots in which any symbol has a bar, rising."""
    if all(np.array_equal(own[0], other) for other in own[1:]):
        return own[0]
    first, last = min(int(places[0]) for places in own), max(int(places[-1]) for places in own)
    if last - first > SPARSE * sum(len(places) for places in own):
        return np.unique(np.concatenate(own))
    taken = np.zeros(last - first + 1, dtype=np.bool_)  # far quicker than to sort them
    for places in own:
        taken[places - first] = True
    return np.flatnonzero(taken) + first


def elapsed_us(candles: Sequence[Candles]) -> int:
    """Time from the first open to the end of the last bar, over all symbols, in microseconds."""
    first = min(int(own.timestamp[0].astype(np.int64)) for own in candles)
    last = max(int(own.timestamp[-1].astype(np.int64)) for own in candles)
    return last - first + BAR_SECONDS[candles[0].timeframe] * 1_000_000
