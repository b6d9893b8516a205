"""Sweeps on made-up markets whose truth is known: how often the deflated Sharpe ratio is right about them.

`--sweeps 200` on random walks, in which no setting can have an edge, and as many on walks that trend, in
which following the trend has one. Prints the share of sweeps whose winner has a deflated Sharpe ratio above
0.95: of the first at most 8 %, of the second at least 80 %, else the script fails.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from backtest_pipeline import BacktestRequest, Candles, IntRange, SweepRequest, run_sweep

BARS = 1_500
MOST_FALSE, LEAST_FOUND = 0.08, 0.80
BELIEVED = 0.95
_VOLATILITY, _TREND_BARS, _DRIFT = 0.01, 60, 0.0035

Returns = NDArray[np.float64]


def random_walk(generator: np.random.Generator) -> Returns:
    """Returns that nothing foretells."""
    returns: Returns = generator.normal(0.0, _VOLATILITY, BARS)
    return returns


def trending_walk(generator: np.random.Generator) -> Returns:
    """The same with a drift up or down, which changes its direction every now and then."""
    turns = generator.random(BARS) < 1 / _TREND_BARS
    direction = generator.choice([-1.0, 1.0]) * np.where(np.cumsum(turns) % 2, -1.0, 1.0)
    returns: Returns = random_walk(generator) + _DRIFT * direction
    return returns


def candles_of(returns: Returns) -> Candles:
    """Daily candles that open where the one before has closed."""
    close = 100 * np.exp(np.cumsum(returns))
    opened = np.concatenate([[100.0], close[:-1]])
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("2015-01-01", periods=len(close), tz="UTC"),
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": 1_000.0,
        }
    )
    return Candles.from_frame(frame, symbol="WALK", timeframe="1d")


def deflated(candles: Candles) -> float:
    """The deflated Sharpe ratio of the best of 60 crossings of averages; 0 where none has one."""
    backtest = BacktestRequest(strategy="sma_cross", symbols=["WALK"], direction="both", fee_bps=0)
    space = {"params.fast": IntRange(2, 11), "params.slow": IntRange(15, 65, step=10)}
    found = run_sweep(candles, SweepRequest(backtest=backtest, space=space)).overfitting
    return (found.deflated_sharpe or 0.0) if found else 0.0


def share_believed(market: Callable[[np.random.Generator], Returns], sweeps: int, seed: int) -> float:
    """Which share of sweeps on such markets has a winner that is believed."""
    generator = np.random.default_rng(seed)
    values = [deflated(candles_of(market(generator))) for _ in range(sweeps)]
    return float(np.mean(np.array(values) > BELIEVED))


def main() -> None:
    """Prints both shares and fails where one is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    false = share_believed(random_walk, options.sweeps, options.seed)
    print(f"random walks: {false:.1%} of {options.sweeps} winners believed, at most {MOST_FALSE:.0%} may be")  # noqa: T201  a script speaks
    found = share_believed(trending_walk, options.sweeps, options.seed)
    print(f"trending walks: {found:.1%} of {options.sweeps} winners believed, {LEAST_FOUND:.0%} have to be")  # noqa: T201  as above
    if false > MOST_FALSE or found < LEAST_FOUND:
        sys.exit("the deflated Sharpe ratio is out of its bounds")


if __name__ == "__main__":
    main()
