"""The steps of an account: in which of them each symbol's bars open and end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles

    Ints = NDArray[np.int64]
    Steps = NDArray[np.int32]


@dataclass(frozen=True, eq=False, slots=True)
class AccountSteps:
    """When bars open and end, as `docs/execution-model.md` says.

    Attributes:
        moment_us: shape (steps,), microseconds since 1970.
        opens: of each symbol, the steps in which its bars open.
        ends: of each symbol, the steps at whose end its bars have ended.
    """

    moment_us: Ints
    opens: Sequence[Steps]
    ends: Sequence[Steps]

    @classmethod
    def of(cls, candles: Sequence[Candles]) -> AccountSteps:
        """The steps of some symbols' candles, none empty, all of one timeframe."""
        opens = [own.timestamp.view(np.int64) for own in candles]
        length_us = BAR_SECONDS[candles[0].timeframe] * 1_000_000
        if all(np.array_equal(opens[0], own) for own in opens[1:]):
            step = np.arange(len(opens[0]), dtype=np.int32)
            return cls(opens[0], [step] * len(opens), [step] * len(opens))
        return _on_one_grid(opens, length_us) or _of_moments(opens, length_us)


def _on_one_grid(opens: Sequence[Ints], length_us: int) -> AccountSteps | None:
    """The steps of bars that all lie on one grid of their length, where no bar opens inside another."""
    first = min(int(own[0]) for own in opens)
    slots = [own - first for own in opens]
    if any((own % length_us).any() for own in slots):
        return None
    slots = [own // length_us for own in slots]
    is_open = np.zeros(max(int(own[-1]) for own in slots) + 1, dtype=np.bool_)
    for own in slots:
        is_open[own] = True
    steps_of = np.cumsum(is_open, dtype=np.int32) - np.int32(1)
    steps = [steps_of[own] for own in slots]
    return AccountSteps(first + np.flatnonzero(is_open) * length_us, steps, steps)


def bar_ends_us(opens: Ints, length_us: int) -> Ints:
    """When bars end: a bar's length after they open, or when the next one does; shape (n,), as the opens."""
    ends = opens + length_us
    ends[:-1] = np.minimum(ends[:-1], opens[1:])
    return ends


def _of_moments(opens: Sequence[Ints], length_us: int) -> AccountSteps:
    ends = [bar_ends_us(own, length_us) for own in opens]
    moments = np.unique(np.concatenate([*opens, *ends]))
    opened = [np.searchsorted(moments, own) for own in opens]
    ended = [np.searchsorted(moments, own) - 1 for own in ends]
    used = np.unique(np.concatenate([*opened, *ended]))
    return AccountSteps(
        moments[used],
        [np.searchsorted(used, own).astype(np.int32) for own in opened],
        [np.searchsorted(used, own).astype(np.int32) for own in ended],
    )
