"""Passes over an account's bars: returns, their moments, drawdowns and exposure.

Sums are taken over blocks, each folded in halves, in an order that no processor changes: rounding errors do
not grow with the number of bars, and the additions run in parallel all the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, IntsIn, compiled, types

BLOCK = 512


@compiled()
def _folded(parts: Any) -> float:
    """Sum of a block of parts, which it uses up."""
    half = BLOCK // 2
    while half > 0:
        for place in range(half):
            parts[place] += parts[place + half]
        half //= 2
    total: float = parts[0]
    return total


@compiled(types.UniTuple(types.float64, 3)(FloatsIn, types.float64, FloatsIn, types.float64, FloatsOut))
def bar_returns(
    values: Any, before: float, benchmark: Any, benchmark_before: float, returns: Any
) -> tuple[float, float, float]:
    """Writes each bar's return, the first against `before`; 0 once the account is empty.

    Returns:
        Means of the returns, of the benchmark's returns, and of the squares of the negative returns.
    """
    returns[0] = values[0] / before - 1.0
    total = returns[0]
    total_benchmark = benchmark[0] / benchmark_before - 1.0
    total_downside = min(returns[0], 0.0) ** 2
    parts, parts_benchmark, parts_downside = np.zeros(BLOCK), np.zeros(BLOCK), np.zeros(BLOCK)
    for start in range(1, len(values), BLOCK):
        size = min(BLOCK, len(values) - start)
        for place in range(size):
            bar = start + place
            change = values[bar] / values[bar - 1] - 1.0
            change = change if values[bar - 1] > 0.0 else 0.0
            below = min(change, 0.0)
            returns[bar] = change
            parts[place] = change
            parts_benchmark[place] = benchmark[bar] / benchmark[bar - 1] - 1.0
            parts_downside[place] = below * below
        for sums in (parts, parts_benchmark, parts_downside):
            sums[size:] = 0.0
        total += _folded(parts)
        total_benchmark += _folded(parts_benchmark)
        total_downside += _folded(parts_downside)
    count = len(values)
    return total / count, total_benchmark / count, total_downside / count


@compiled(types.UniTuple(types.float64, 5)(FloatsIn, types.float64, FloatsIn, types.float64, types.float64))
def central_sums(
    returns: Any, mean: float, benchmark: Any, benchmark_before: float, mean_benchmark: float
) -> tuple[float, float, float, float, float]:
    """Sums over the bars of what the moments are made of.

    Returns:
        The returns' second, third and fourth central powers, the products of their deviations with the
        benchmark's, and the squares of the latter.
    """
    first = returns[0] - mean
    first_benchmark = benchmark[0] / benchmark_before - 1.0 - mean_benchmark
    second, third, fourth = first**2, first**2 * first, first**2 * first**2
    cross, spread = first * first_benchmark, first_benchmark**2
    seconds, thirds, fourths = np.zeros(BLOCK), np.zeros(BLOCK), np.zeros(BLOCK)
    crosses, spreads = np.zeros(BLOCK), np.zeros(BLOCK)
    for start in range(1, len(returns), BLOCK):
        size = min(BLOCK, len(returns) - start)
        for place in range(size):
            bar = start + place
            deviation = returns[bar] - mean
            deviation_benchmark = benchmark[bar] / benchmark[bar - 1] - 1.0 - mean_benchmark
            square = deviation * deviation
            seconds[place] = square
            thirds[place] = square * deviation
            fourths[place] = square * square
            crosses[place] = deviation * deviation_benchmark
            spreads[place] = deviation_benchmark * deviation_benchmark
        for sums in (seconds, thirds, fourths, crosses, spreads):
            sums[size:] = 0.0
        second += _folded(seconds)
        third += _folded(thirds)
        fourth += _folded(fourths)
        cross += _folded(crosses)
        spread += _folded(spreads)
    return second, third, fourth, cross, spread


@compiled(
    types.Tuple((types.float64, types.float64, types.int64, types.int64, types.float64))(
        IntsIn, FloatsIn, types.float64, FloatsOut
    )
)
def drawdowns(
    moments: Any, equity: Any, initial_cash: float, drawdown_frac: Any
) -> tuple[float, float, int, int, float]:
    """Writes how far each bar's equity lies below its running peak, which starts at the initial cash.

    Returns:
        The deepest drawdown, the sum of every episode's deepest, the number of episodes, the longest time
        from a peak to its recovery (or to the last bar), in microseconds, and the highest peak.
    """
    peak, peak_moment = initial_cash, moments[0]
    deepest = sum_of_deepest = episode = 0.0
    episodes = longest = 0
    for bar in range(len(equity)):
        value = equity[bar]
        if value >= peak:
            if episode > 0.0:
                longest = max(longest, moments[bar] - peak_moment)
                sum_of_deepest += episode
                episodes += 1
                episode = 0.0
            peak, peak_moment = value, moments[bar]
            drawdown_frac[bar] = 0.0
        else:
            below = 1.0 - value / peak
            drawdown_frac[bar] = below
            episode = max(episode, below)
            deepest = max(deepest, below)
    if episode > 0.0:
        longest = max(longest, moments[-1] - peak_moment)
        sum_of_deepest += episode
        episodes += 1
    return deepest, sum_of_deepest, episodes, longest, peak


@compiled(types.int64(FloatsOut, FloatsIn))
def exposures(gross: Any, equity: Any) -> int:
    """Turns gross position values into shares of the equity, 0 without either.

    Returns:
        The number of bars with a position.
    """
    exposed = 0
    for bar in range(len(gross)):
        value = gross[bar]
        frac = value / equity[bar]
        gross[bar] = frac if value > 0.0 and equity[bar] > 0.0 else 0.0
        exposed += value > 0.0
    return exposed


@compiled(types.int64(FloatsIn, types.float64, FloatsOut))
def keep_up_to(values: Any, limit: float, kept: Any) -> int:
    """Copies the values that do not exceed the limit to the front of `kept`, while it has room.

    Returns:
        How many values there are; where that is the length of `kept` or more, not all of them are in it.
    """
    count, last = 0, len(kept) - 1
    for value in values:
        kept[min(count, last)] = value  # written whether it counts or not, which is cheaper than to guess
        count += value <= limit
    return count
