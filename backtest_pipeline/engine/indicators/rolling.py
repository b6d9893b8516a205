"""Kernels over a moving window, in one pass whatever the window's length.

A running sum carries the rounding errors of its additions along, so that what a window yields depends on the
window alone: values that left it long ago leave no trace, and equal values have exactly that value as mean.
This holds while the largest value that ever entered is no more than 1e13 times the window's own.
A NaN empties the window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, compiled, types

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BLOCK = 256
SPLITTER = 134_217_729.0  # 2**27 + 1 cuts a float in two halves whose products are exact (Veltkamp)


@compiled()
def _rounded_off(left: float, right: float, total: float) -> float:
    """What `total = left + right` lost to rounding (Knuth, TAOCP 4.2.2, theorem B)."""
    back = total - left
    return (left - (total - back)) + (right - back)


@compiled()
def _product(left: float, right: float) -> tuple[float, float]:
    """A product and what rounding took from it (Dekker 1971)."""
    product = left * right
    cut = left * SPLITTER
    left_upper = cut - (cut - left)
    left_lower = left - left_upper
    cut = right * SPLITTER
    right_upper = cut - (cut - right)
    right_lower = right - right_upper
    rest = left_lower * right_lower - (
        ((product - left_upper * right_upper) - left_lower * right_upper) - left_upper * right_lower
    )
    return product, rest


@compiled()
def _rounded_mean(total: float, error: float, window: int) -> float:
    """`(total + error) / window`, rounded once."""
    inverse = 1.0 / window
    quotient = total * inverse
    cut = quotient * SPLITTER
    upper = cut - (cut - quotient)
    remainder = ((total - upper * window) - (quotient - upper) * window) + error
    return quotient + remainder * inverse


@compiled(types.float64(FloatsIn, types.int64, FloatsOut))
def _mean_without_gaps(values: Any, window: int, mean: Any) -> float:
    """Writes the rolling mean of values none of which is NaN.

    Only the sums themselves depend on the bar before; what comes before and after them is done for a block
    of bars at a time, which the compiler does several bars at once.

    Returns:
        The last window's sum, NaN where one of the values is.
    """
    total = error = 0.0
    for bar in range(min(window, len(values))):
        raised = total + values[bar]
        error += _rounded_off(total, values[bar], raised)
        total = raised
        mean[bar] = np.nan
    if len(values) < window:
        return total
    mean[window - 1] = _rounded_mean(total, error, window)
    change, lost = np.empty(BLOCK), np.empty(BLOCK)
    totals, errors = np.empty(BLOCK), np.empty(BLOCK)
    for start in range(window, len(values), BLOCK):
        entering, leaving = values[start : start + BLOCK], values[start - window :]
        means = mean[start : start + BLOCK]
        for place in range(len(entering)):
            change[place] = entering[place] - leaving[place]
            lost[place] = _rounded_off(entering[place], -leaving[place], change[place])
        for place in range(len(entering)):
            raised = total + change[place]
            error += lost[place] + _rounded_off(total, change[place], raised)
            total = raised
            totals[place], errors[place] = total, error
        for place in range(len(entering)):
            means[place] = _rounded_mean(totals[place], errors[place], window)
    return total


def rolling_mean(values: Floats, window: int, mean: Floats) -> None:
    """Writes the mean of the `window` values that end at each bar, NaN where there are fewer."""
    if not np.isnan(_mean_without_gaps(values, window, mean)):
        return
    start = 0
    for gap in [*np.flatnonzero(np.isnan(values)), len(values)]:
        _mean_without_gaps(values[start:gap], window, mean[start:gap])
        mean[gap : gap + 1] = np.nan
        start = gap + 1


@compiled(types.void(FloatsIn, FloatsIn, types.int64, FloatsOut))
def rolling_deviation(values: Any, mean: Any, window: int, deviation: Any) -> None:
    """Writes the population's standard deviation of each window, NaN where there are too few values.

    The sum of squared distances from the mean is taken as `sum(x**2) - 2 * mean * sum(x) + window * mean**2`
    with twice the usual digits, of which the subtraction may eat half. Equal values have exactly 0.
    """
    total = error = squares = squares_error = 0.0
    count = equal = 0
    for bar in range(len(values)):
        value = values[bar]
        deviation[bar] = np.nan
        if np.isnan(value):
            total = error = squares = squares_error = 0.0
            count = equal = 0
            continue
        equal = equal + 1 if count > 0 and value == values[bar - 1] else 1
        if count == window:
            leaving = values[np.uintp(bar - window)]  # Numba looks twice at what may be negative
            lowered = total - leaving
            error += _rounded_off(total, -leaving, lowered)
            total = lowered
            square, rest = _product(leaving, leaving)
            lowered = squares - square
            squares_error += _rounded_off(squares, -square, lowered) - rest
            squares = lowered
        else:
            count += 1
        raised = total + value
        error += _rounded_off(total, value, raised)
        total = raised
        square, rest = _product(value, value)
        raised = squares + square
        squares_error += _rounded_off(squares, square, raised) + rest
        squares = raised
        if count < window:
            continue
        if equal >= window:
            deviation[bar] = 0.0
            continue
        cross, cross_rest = _product(mean[bar], total)
        level, level_rest = _product(mean[bar], mean[bar])
        scaled, scaled_rest = _product(level, float(window))
        rest = squares_error - 2.0 * (cross_rest + mean[bar] * error) + scaled_rest + level_rest * window
        deviation[bar] = np.sqrt(max((squares - cross) + (scaled - cross) + rest, 0.0) / window)


@compiled(types.void(FloatsIn, types.int64, FloatsOut))
def rolling_highest(values: Any, window: int, highest: Any) -> None:
    """Writes the highest of the `window` values that end at each bar, NaN where there are fewer.

    A queue keeps the bars that may still become the highest, in falling order of their values.
    """
    queue = np.empty(len(values), dtype=np.int64)
    first = last = count = 0
    for bar in range(len(values)):
        value = values[bar]
        if np.isnan(value):
            first = last = count = 0
            highest[bar] = np.nan
            continue
        while last > first and values[queue[last - 1]] <= value:
            last -= 1
        queue[last] = bar
        last += 1
        if queue[first] <= bar - window:
            first += 1
        count += 1
        highest[bar] = values[queue[first]] if count >= window else np.nan
