"""Whether two answers of a strategy are the same over a span of bars, array by array."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.model.signal_checks import LEVELS, CheckedSignals

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLAGS = ("entry", "exit", "short_entry", "short_exit")
ARRAYS = tuple(field.name for field in fields(CheckedSignals) if field.name != "levels")

# Sums over windows of another length may differ in the last digits of a confidence.
FLOAT_TOLERANCE = 1e-9


def first_change(
    left: CheckedSignals, right: CheckedSignals, bars: int, *, left_start: int = 0, right_start: int = 0
) -> tuple[str, int] | None:
    """The first array of signals that differs, and its first bar that does, counted from the starts.

    Flags are the same or not. Other numbers differ by more than a billionth, relative to those above 1.

    Args:
        left: an answer.
        right: another one.
        bars: how many bars to compare.
        left_start: the first of them in `left`.
        right_start: the first of them in `right`.
    """
    names: tuple[str, ...] = ARRAYS
    read: Callable[[CheckedSignals, str], NDArray[Any]] = getattr
    if left.levels or right.levels:
        names, read = (*ARRAYS, *LEVELS), _array
    for name in names:
        one = read(left, name)[left_start : left_start + bars]
        other = read(right, name)[right_start : right_start + bars]
        if one.tobytes() == other.tobytes():  # far quicker than to compare element by element
            continue
        changed = _changed(one, other)
        if changed.any():
            return name, int(np.argmax(changed))
    return None


def _array(signals: CheckedSignals, name: str) -> NDArray[Any]:
    """One of the arrays; NaN at every bar where it is a level that was not given."""
    if name not in LEVELS:
        array: NDArray[Any] = getattr(signals, name)
        return array
    return signals.levels.get(name, np.full(len(signals.entry), np.nan))


def marked_bars(signals: CheckedSignals, start: int, stop: int) -> int:
    """How many of the bars have a flag."""
    span = slice(start, stop)
    marked = signals.entry[span] | signals.exit[span] | signals.short_entry[span] | signals.short_exit[span]
    return int(np.count_nonzero(marked))


def _changed(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    changed: NDArray[np.bool_]
    if one.dtype == np.bool_:
        changed = one != other
    else:
        changed = ~np.isclose(one, other, rtol=FLOAT_TOLERANCE, atol=FLOAT_TOLERANCE, equal_nan=True)
    return changed
