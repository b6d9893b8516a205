"""How many bars an indicator remembers: what a strategy asks for to be warm at its first bar."""

from __future__ import annotations

import math

FADED = 1e-3
"""Of an average that never forgets wholly: the weight of its start that is counted as forgotten."""


def ema_memory(window: int) -> int:
    """Bars before a bar that its exponential moving average depends on.

    The average starts as the mean of a whole window, whose weight then falls below a thousandth.
    """
    return _memory(window, 2.0 / (window + 1.0))


def wilder_memory(window: int) -> int:
    """The same of Wilder's smoothing, as in the relative strength index, which needs one change more."""
    return _memory(window, 1.0 / window) + 1


def _memory(window: int, weight: float) -> int:
    fading = math.ceil(math.log(FADED) / math.log1p(-weight)) if weight < 1.0 else 0
    return window - 1 + fading
