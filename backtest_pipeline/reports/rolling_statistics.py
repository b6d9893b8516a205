"""Return, volatility, Sharpe ratio and beta of the stretches of bars that end at each bar."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST_WINDOW_BARS = 20
FEWEST_WINDOWS = 4


def window_bars(periods_per_year: float, bars: int) -> int:
    """Bars of a stretch: half a year, a quarter of all bars where those are fewer, at least 20."""
    return max(min(round(periods_per_year / 2), bars // FEWEST_WINDOWS), FEWEST_WINDOW_BARS)


def bar_returns(equity: Floats, initial_cash: float) -> Floats:
    """Return of each bar, the first from the initial cash; 0 after all is lost. Shape (n,)."""
    before = np.append(initial_cash, equity[:-1])
    return np.asarray(np.divide(equity, before, out=np.ones(len(equity)), where=before > 0.0) - 1.0)


def rolling_return(equity: Floats, initial_cash: float, window: int) -> Floats:
    """Equity at each stretch's end over that before its first bar, minus one. Shape (n - window + 1,)."""
    before = np.append(initial_cash, equity)[: max(len(equity) - window + 1, 0)]
    after = equity[window - 1 :]
    return np.asarray(np.divide(after, before, out=np.ones(len(after)), where=before > 0.0) - 1.0)


def rolling_volatility(returns: Floats, window: int, periods_per_year: float) -> Floats:
    """Standard deviation of each stretch's returns, annualised, as the metric has it."""
    deviation = pd.Series(returns).rolling(window).std().to_numpy()[window - 1 :]
    return np.asarray(deviation * math.sqrt(periods_per_year))


def rolling_sharpe(returns: Floats, window: int, periods_per_year: float) -> Floats:
    """Sharpe ratio of each stretch of bars, as the metric `sharpe` has it; the risk-free rate is 0.

    Returns:
        Shape (n - window + 1,), of the stretch that ends at each bar from `window - 1` on; 0 where its
        returns are all the same; empty where n is under `window`.
    """
    if len(returns) < window:
        return np.empty(0)
    rolling = pd.Series(returns).rolling(window)
    mean, deviation = rolling.mean().to_numpy()[window - 1 :], rolling.std().to_numpy()[window - 1 :]
    scatters = _scatters(returns, window) & (deviation > 0.0)
    ratio = np.divide(mean, deviation, out=np.zeros(len(mean)), where=scatters)
    return np.asarray(ratio * math.sqrt(periods_per_year))


def rolling_beta(returns: Floats, held: Floats, window: int) -> Floats:
    """How far each stretch moved with buy and hold: covariance over variance, 0 where that stood still.

    Args:
        returns: shape (n,), the account's.
        held: shape (n,), those of buy and hold.
        window: bars of a stretch.
    """
    if len(returns) < window:
        return np.empty(0)
    own, other = pd.Series(returns), pd.Series(held)
    covariance = own.rolling(window).cov(other).to_numpy()[window - 1 :]
    variance = other.rolling(window).var().to_numpy()[window - 1 :]
    scatters = _scatters(held, window) & (variance > 0.0)
    return np.asarray(np.divide(covariance, variance, out=np.zeros(len(variance)), where=scatters))


def _scatters(returns: Floats, window: int) -> NDArray[np.bool_]:
    """Whether a stretch's returns differ; a sum that moves along never comes back to exactly 0."""
    changes = np.append(0, np.cumsum(np.diff(returns) != 0.0))
    return np.asarray(changes[window - 1 :] > changes[: len(changes) - window + 1])
