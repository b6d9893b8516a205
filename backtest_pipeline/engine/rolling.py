"""Kernels over a moving window, in one pass whatever the window's length.

A running sum carries the rounding errors of its additions along, so that what a window yields depends on the
window alone: values that left it long ago leave no trace, and equal values have exactly that value as mean.
A NaN empties the window.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, compiled, types

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


@compiled(types.void(FloatsIn, types.int64, FloatsOut))
def rolling_mean(values: Any, window: int, mean: Any) -> None:
    """Writes the mean of the `window` values that end at each bar, NaN where there are fewer."""
    inverse = 1.0 / window
    total = error = 0.0
    count = 0
    for bar in range(len(values)):
        value = values[bar]
        if np.isnan(value):
            total = error = 0.0
            count = 0
        elif count < window:
            raised = total + value
            error += _rounded_off(total, value, raised)
            total = raised
            count += 1
        else:
            leaving = values[bar - window]
            change = value - leaving
            raised = total + change
            error += _rounded_off(value, -leaving, change) + _rounded_off(total, change, raised)
            total = raised
        if count < window:
            mean[bar] = np.nan
            continue
        quotient = total * inverse
        cut = quotient * SPLITTER
        upper = cut - (cut - quotient)
        remainder = ((total - upper * window) - (quotient - upper) * window) + error
        mean[bar] = quotient + remainder * inverse


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
            leaving = values[bar - window]
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
