"""Where one line crosses another."""

from __future__ import annotations

from typing import Any

from backtest_pipeline.engine.compiled import FlagsOut, FloatsIn, compiled, types


@compiled(types.void(FloatsIn, FloatsIn, FlagsOut))
def crossed(left: Any, right: Any, flags: Any) -> None:
    """Writes whether `left` is above `right` and was not at the bar before, which NaN never is."""
    flags[:1] = False
    for bar in range(1, len(left)):
        flags[bar] = (left[bar] > right[bar]) & (left[bar - 1] <= right[bar - 1])


@compiled(types.void(FloatsIn, FloatsIn, FlagsOut, FlagsOut))
def crossed_both(left: Any, right: Any, above: Any, below: Any) -> None:
    """Writes where `left` crosses above `right`, and where below, as `crossed` does."""
    above[:1] = False
    below[:1] = False
    earlier_left, earlier_right = left[:-1], right[:-1]
    later_left, later_right = left[1:], right[1:]
    later_above, later_below = above[1:], below[1:]
    for place in range(len(later_left)):
        later_above[place] = (later_left[place] > later_right[place]) & (
            earlier_left[place] <= earlier_right[place]
        )
        later_below[place] = (later_right[place] > later_left[place]) & (
            earlier_right[place] <= earlier_left[place]
        )
