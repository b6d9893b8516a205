"""How much of the equity a position may have for the volatility that is wanted."""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, compiled, types


@compiled(types.void(FloatsIn, types.int64, types.float64, types.float64, FloatsOut))
def write_volatility_fractions(
    close: Any, returns: int, periods_per_year: float, target_volatility: float, fractions: Any
) -> None:
    """Writes the fraction at each bar that has as many returns and whose returns vary.

    Args:
        close: shape (n,).
        returns: how many, that of the bar itself last, make the sample standard deviation.
        periods_per_year: by which it is annualised.
        target_volatility: a year.
        fractions: shape (n,), left as it is at the other bars.
    """
    for bar in range(returns, len(close)):
        total = 0.0
        for place in range(bar - returns + 1, bar + 1):
            total += close[place] / close[place - 1] - 1.0
        mean, squares = total / returns, 0.0
        for place in range(bar - returns + 1, bar + 1):
            distance = close[place] / close[place - 1] - 1.0 - mean
            squares += distance * distance
        volatility = np.sqrt(squares / (returns - 1)) * np.sqrt(periods_per_year)
        if volatility > 0.0:
            fractions[bar] = target_volatility / volatility
