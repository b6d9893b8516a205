"""Kernels of averages that remember everything with fading weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, compiled, types


@compiled(types.void(FloatsIn, types.int64, types.float64, FloatsOut))
def smooth(values: Any, window: int, weight: float, smoothed: Any) -> None:
    """Writes an average that moves by `weight` of its distance towards each new value.

    It starts as the mean of the first `window` values that are numbers and is NaN before.
    """
    average = total = 0.0
    count = 0
    for bar in range(len(values)):
        value = values[bar]
        if np.isnan(value) and count == 0:
            smoothed[bar] = np.nan
            continue
        count += 1
        if count <= window:
            total += value
            average = total / window
        else:
            average += weight * (value - average)
        smoothed[bar] = average if count >= window else np.nan


@compiled(types.void(FloatsIn, FloatsOut, FloatsOut))
def split_changes(values: Any, gain: Any, loss: Any) -> None:
    """Writes each bar's rise and fall against the bar before, both as positive numbers; NaN at the first."""
    for bar in range(len(values)):
        change = values[bar] - values[bar - 1] if bar > 0 else np.nan
        gain[bar] = max(change, 0.0) if bar > 0 else np.nan
        loss[bar] = max(-change, 0.0) if bar > 0 else np.nan


@compiled(types.void(FloatsIn, FloatsIn, FloatsIn, FloatsOut))
def true_range(high: Any, low: Any, close: Any, spread: Any) -> None:
    """Writes each bar's range, widened to the close before; NaN at the first bar."""
    for bar in range(len(close)):
        if bar == 0:
            spread[bar] = np.nan
        else:
            spread[bar] = max(high[bar], close[bar - 1]) - min(low[bar], close[bar - 1])
