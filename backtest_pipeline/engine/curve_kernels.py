"""Passes over an account's bars: returns, their moments, drawdowns and exposure."""

from __future__ import annotations

from typing import Any

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, IntsIn, compiled, types

# Sums are taken block by block, so that rounding errors do not grow with the number of bars.
BLOCK = 1_024

Four = types.UniTuple(types.float64, 4)


@compiled(types.void(FloatsIn, types.float64, FloatsOut))
def bar_returns(values: Any, before: float, returns: Any) -> None:
    """Writes each bar's return, the first against `before`; 0 once the account is empty."""
    returns[0] = values[0] / before - 1.0
    for bar in range(1, len(values)):
        previous = values[bar - 1]
        change = values[bar] / previous - 1.0
        returns[bar] = change if previous > 0.0 else 0.0


@compiled(Four(FloatsIn, FloatsIn))
def means(returns: Any, benchmark: Any) -> tuple[float, float, float, float]:
    """Means of the returns, of the benchmark's, of squared negative returns, and the lowest return."""
    total = total_benchmark = total_downside = 0.0
    lowest = returns[0]
    for start in range(0, len(returns), BLOCK):
        part = part_benchmark = part_downside = 0.0
        for bar in range(start, min(start + BLOCK, len(returns))):
            value = returns[bar]
            part += value
            part_benchmark += benchmark[bar]
            below = min(value, 0.0)
            part_downside += below * below
            lowest = min(lowest, value)
        total += part
        total_benchmark += part_benchmark
        total_downside += part_downside
    count = len(returns)
    return total / count, total_benchmark / count, total_downside / count, lowest


@compiled(types.UniTuple(types.float64, 5)(FloatsIn, FloatsIn, types.float64, types.float64))
def central_sums(
    returns: Any, benchmark: Any, mean: float, mean_benchmark: float
) -> tuple[float, float, float, float, float]:
    """Sums over the bars of what the moments are made of.

    Returns:
        The returns' second, third and fourth central powers, the products of their deviations with the
        benchmark's, and the squares of the latter.
    """
    second = third = fourth = cross = spread = 0.0
    for start in range(0, len(returns), BLOCK):
        second_part = third_part = fourth_part = cross_part = spread_part = 0.0
        for bar in range(start, min(start + BLOCK, len(returns))):
            deviation = returns[bar] - mean
            deviation_benchmark = benchmark[bar] - mean_benchmark
            square = deviation * deviation
            second_part += square
            third_part += square * deviation
            fourth_part += square * square
            cross_part += deviation * deviation_benchmark
            spread_part += deviation_benchmark * deviation_benchmark
        second += second_part
        third += third_part
        fourth += fourth_part
        cross += cross_part
        spread += spread_part
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


@compiled(types.int64(FloatsIn, FloatsIn, FloatsOut))
def exposures(gross: Any, equity: Any, exposure_frac: Any) -> int:
    """Writes gross position value over equity, 0 without either; returns the bars with a position."""
    exposed = 0
    for bar in range(len(gross)):
        value = gross[bar]
        frac = value / equity[bar]
        exposure_frac[bar] = frac if value > 0.0 and equity[bar] > 0.0 else 0.0
        exposed += value > 0.0
    return exposed


@compiled(types.int64(FloatsIn, types.float64, FloatsOut))
def keep_up_to(values: Any, limit: float, kept: Any) -> int:
    """Copies the values that do not exceed the limit to the front of `kept`, while it has room.

    Returns:
        How many values there are, `kept` being full or not.
    """
    count = 0
    for value in values:
        if value <= limit:
            if count < len(kept):
                kept[count] = value
            count += 1
    return count
