"""Passes over an account's bars (returns, moments, drawdowns, exposure) and the figures made of them.

Sums are taken over blocks, each folded in halves, in an order that no processor changes: rounding errors do
not grow with the number of bars, and the additions run in parallel all the same. Blocks are sliced, as Numba
looks twice at an index that may be negative. All of it stands in one file: Numba renews a cached kernel when
the kernel's own file changes, and only then.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, IntsIn, compiled, types

CURVE_FIGURES = (
    "total_return",
    "cagr",
    "annual_volatility",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "max_drawdown_days",
    "avg_drawdown",
    "exposure",
    "final_equity",
    "peak_equity",
    "buy_hold_return",
    "alpha",
    "beta",
    "skew",
    "kurtosis",
    "periods_per_year",
)
"""Names of what `curve_figures` writes, in its order."""

DAY_US = 86_400_000_000
YEAR_US = 365.25 * DAY_US
SHORTEST_FOR_ANNUAL_US = 30 * DAY_US
EXPONENTS = np.array([1.5, 2.0])
"""Of the variance under the third and the fourth moment; not constants of the kernel, as a compiler makes a
multiplication of a constant square, whose last digit can be another one than the power's."""

# A spread this small against the mean is rounding, not risk: the returns are all the same.
ROUNDING = 1e-14

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


@compiled(types.UniTuple(types.float64, 2)(FloatsIn, types.float64, FloatsOut))
def bar_returns(values: Any, before: float, returns: Any) -> tuple[float, float]:
    """Writes each bar's return, the first against `before`; 0 once the account is empty.

    Returns:
        Means of the returns and of the squares of the negative ones.
    """
    returns[0] = values[0] / before - 1.0
    total = returns[0]
    total_downside = min(returns[0], 0.0) ** 2
    parts, parts_downside = np.zeros(BLOCK), np.zeros(BLOCK)
    for start in range(1, len(values), BLOCK):
        size = min(BLOCK, len(values) - start)
        now, earlier = values[start : start + size], values[start - 1 : start - 1 + size]
        own = returns[start : start + size]
        for place in range(size):
            change = now[place] / earlier[place] - 1.0
            change = change if earlier[place] > 0.0 else 0.0
            below = min(change, 0.0)
            own[place] = change
            parts[place] = change
            parts_downside[place] = below * below
        parts[size:] = 0.0
        parts_downside[size:] = 0.0
        total += _folded(parts)
        total_downside += _folded(parts_downside)
    count = len(values)
    return total / count, total_downside / count


@compiled(types.float64(FloatsIn, types.float64))
def squared_distances(changes: Any, mean: float) -> float:
    """Sum of the squares of the changes' distances from their mean."""
    spread: float = (changes[0] - mean) ** 2
    spreads = np.zeros(BLOCK)
    for start in range(1, len(changes), BLOCK):
        size = min(BLOCK, len(changes) - start)
        own = changes[start : start + size]
        for place in range(size):
            deviation = own[place] - mean
            spreads[place] = deviation * deviation
        spreads[size:] = 0.0
        spread += _folded(spreads)
    return spread


@compiled(types.UniTuple(types.float64, 4)(FloatsIn, types.float64, FloatsIn, types.float64))
def central_sums(
    returns: Any, mean: float, changes: Any, mean_change: float
) -> tuple[float, float, float, float]:
    """Sums over the bars of what the moments are made of.

    Returns:
        The returns' second, third and fourth central powers, and the products of their deviations with those
        of the benchmark's changes.
    """
    first = returns[0] - mean
    second, third, fourth = first**2, first**2 * first, first**2 * first**2
    cross = first * (changes[0] - mean_change)
    seconds, thirds, fourths, crosses = np.zeros(BLOCK), np.zeros(BLOCK), np.zeros(BLOCK), np.zeros(BLOCK)
    for start in range(1, len(returns), BLOCK):
        size = min(BLOCK, len(returns) - start)
        own, others = returns[start : start + size], changes[start : start + size]
        for place in range(size):
            deviation = own[place] - mean
            square = deviation * deviation
            seconds[place] = square
            thirds[place] = square * deviation
            fourths[place] = square * square
            crosses[place] = deviation * (others[place] - mean_change)
        for sums in (seconds, thirds, fourths, crosses):
            sums[size:] = 0.0
        second += _folded(seconds)
        third += _folded(thirds)
        fourth += _folded(fourths)
        cross += _folded(crosses)
    return second, third, fourth, cross


@compiled(
    types.Tuple((types.float64, types.float64, types.int64, types.int64, types.float64))(
        IntsIn, FloatsIn, types.float64
    )
)
def falls(moments: Any, equity: Any, initial_cash: float) -> tuple[float, float, int, int, float]:
    """How far the equity lies below its running peak, which starts at the initial cash.

    An episode lasts from a peak to its recovery, and is deepest at its lowest value.

    Returns:
        The deepest drawdown, the sum of every episode's deepest, the number of episodes, the longest time
        from a peak to its recovery (or to the last bar), in microseconds, and the highest peak.
    """
    peak, peak_bar = initial_cash, 0
    deepest = sum_of_deepest = 0.0
    lowest = peak
    episodes = longest = 0
    for bar in range(len(equity)):
        value = equity[bar]
        if value < peak:
            lowest = min(lowest, value)
            continue
        if lowest < peak:
            episode = 1.0 - lowest / peak
            if episode > 0.0:
                longest = max(longest, moments[bar] - moments[peak_bar])
                deepest = max(deepest, episode)
                sum_of_deepest += episode
                episodes += 1
        peak, peak_bar = value, bar
        lowest = peak
    episode = 1.0 - lowest / peak
    if episode > 0.0:
        longest = max(longest, moments[-1] - moments[peak_bar])
        deepest = max(deepest, episode)
        sum_of_deepest += episode
        episodes += 1
    return deepest, sum_of_deepest, episodes, longest, peak


@compiled(types.void(FloatsIn, types.float64, FloatsOut))
def write_drawdowns(equity: Any, initial_cash: float, drawdown_frac: Any) -> None:
    """Writes how far each bar's equity lies below its running peak, which starts at the initial cash."""
    peak = initial_cash
    for bar in range(len(equity)):
        value = equity[bar]
        peak = max(peak, value)
        drawdown_frac[bar] = 0.0 if value >= peak else 1.0 - value / peak


@compiled(types.void(FloatsIn, FloatsOut))
def write_exposures(equity: Any, gross: Any) -> None:
    """Turns gross position values into shares of the equity, 0 without either."""
    for bar in range(len(gross)):
        value = gross[bar]
        frac = value / equity[bar]
        gross[bar] = frac if value > 0.0 and equity[bar] > 0.0 else 0.0


@compiled(types.int64(FloatsIn))
def bars_with_position(gross: Any) -> int:
    """The number of bars with a position."""
    exposed = 0
    for bar in range(len(gross)):
        exposed += gross[bar] > 0.0
    return exposed


@compiled()
def _power(base: float, exponent: float) -> float:
    """`base ** exponent - 1`, or NaN where that is no number."""
    power: float = base**exponent - 1.0 if base >= 0.0 else np.nan
    return power


@compiled(
    types.void(
        IntsIn,
        FloatsIn,
        types.float64,
        types.int64,
        types.int64,
        types.float64,
        FloatsIn,
        types.float64,
        types.float64,
        types.float64,
        FloatsIn,
        FloatsOut,
        FloatsOut,
    )
)
def curve_figures(
    moments: Any,
    equity: Any,
    initial_cash: float,
    exposed_bars: int,
    elapsed_us: int,
    periods_per_year: float,
    changes: Any,
    mean_change: float,
    spread: float,
    benchmark_growth: float,
    exponents: Any,
    returns: Any,
    found: Any,
) -> None:
    """Writes every figure that needs the account's bars alone; `curve_metrics` tells what each of them is.

    Args:
        moments: shape (n,), between which time is measured, microseconds since 1970.
        equity: shape (n,), at the close.
        initial_cash: equity before the first bar.
        exposed_bars: bars with a position.
        elapsed_us: from the first bar's open to the last bar's end.
        periods_per_year: bars a year.
        changes: shape (n,), the benchmark's returns.
        mean_change: their mean.
        spread: sum of their squared distances from it.
        benchmark_growth: the benchmark's last value over its first.
        exponents: `EXPONENTS`.
        returns: shape (n,), written.
        found: shape (figures,), written in the order of `CURVE_FIGURES`; no number where there is none.
    """
    count = len(equity)
    growth = equity[-1] / initial_cash
    years = elapsed_us / YEAR_US
    root = np.sqrt(periods_per_year)

    mean, downside = bar_returns(equity, initial_cash, returns)
    second, third, fourth, cross = central_sums(returns, mean, changes, mean_change)
    deviation = np.sqrt(second / (count - 1)) if count > 1 else np.nan
    scatters = deviation > ROUNDING * max(1.0, abs(mean))
    variance = second / count
    beta = np.nan
    if spread > count * (ROUNDING * max(1.0, abs(mean_change))) ** 2:
        beta = cross / spread
    deepest, sum_of_deepest, episodes, longest_us, peak = falls(moments, equity, initial_cash)
    cagr = _power(growth, 1.0 / years)
    tells_years = elapsed_us >= SHORTEST_FOR_ANNUAL_US

    found[:] = np.nan
    found[0] = growth - 1.0
    if tells_years:
        found[1] = cagr
        found[2] = deviation * root
        found[3] = mean / deviation * root if scatters else np.nan
        found[4] = mean / np.sqrt(downside) * root if downside > 0.0 else np.nan
        found[5] = cagr / deepest if deepest != 0.0 else np.nan
        found[13] = _power(1.0 + mean - beta * mean_change, periods_per_year)
    found[6] = deepest
    found[7] = longest_us / DAY_US
    found[8] = sum_of_deepest / episodes if episodes > 0 else 0.0
    found[9] = exposed_bars / count
    found[10] = equity[-1]
    found[11] = peak
    found[12] = benchmark_growth - 1.0
    found[14] = beta
    if scatters:
        found[15] = third / count / variance ** exponents[0]
        found[16] = fourth / count / variance ** exponents[1] - 3.0
    found[17] = periods_per_year
    for place in range(len(found)):
        if not np.isfinite(found[place]):
            found[place] = np.nan
