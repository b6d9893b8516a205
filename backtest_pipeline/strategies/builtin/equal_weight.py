"""Equal parts of all symbols."""

from __future__ import annotations

import numpy as np

from backtest_pipeline.engine.indicators import carried
from backtest_pipeline.model.panel import Panel
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy, RebalanceParams, Weights


class EqualWeight(PortfolioStrategy):
    """Holds equal parts of all symbols, and puts them back in order from time to time.

    A symbol counts from its first bar on. One that has stopped trading cannot be sold, and keeps its part.
    """

    name = "equal_weight"

    class Params(RebalanceParams):
        """How often."""

    def weights(self, panel: Panel, params: Params) -> Weights:
        """See the class."""
        listed = ~np.isnan(carried(panel.close))
        parts = listed / np.maximum(listed.sum(axis=1, keepdims=True), 1)
        return Weights(parts, params.rebalance, params.drift_frac)
