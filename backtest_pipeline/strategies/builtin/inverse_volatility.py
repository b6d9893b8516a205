"""Parts in inverse proportion to volatility."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from backtest_pipeline.engine.indicators import before, by_symbol, deviation
from backtest_pipeline.model.panel import Panel
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy, RebalanceParams, Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

STILL = 1e-9
"""Deviation of returns up to which a price is taken to stand still, which says nothing of its risk."""


class InverseVolatility(PortfolioStrategy):
    """Holds all symbols, the calmer ones more: each in inverse proportion to its volatility.

    Volatility is the standard deviation of the symbol's last `window` returns from close to close. A symbol
    that has fewer, or whose price stands still, is not held.
    """

    name = "inverse_volatility"

    class Params(RebalanceParams):
        """Window, and how often."""

        window: int = Field(60, ge=2, le=10_000, description="returns whose deviation is taken, in bars")

    def warmup_bars(self, params: Params) -> int:
        """The window of returns; the bar itself has the last close."""
        return params.window

    def weights(self, panel: Panel, params: Params) -> Weights:
        """See the class."""
        volatility = by_symbol(_volatility, panel.close, window=params.window)
        parts = np.zeros_like(volatility)
        np.divide(1.0, volatility, out=parts, where=volatility > STILL)
        total = parts.sum(axis=1, keepdims=True)
        weights = np.full_like(parts, np.nan)
        np.divide(parts, total, out=weights, where=total > 0)
        return Weights(weights, params.rebalance, params.drift_frac)


def _volatility(close: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    return deviation(close / before(close) - 1.0, window)
