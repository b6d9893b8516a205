"""What a portfolio strategy is and what it answers: target weights of all symbols of one account."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from backtest_pipeline.model.strategy import AnyStrategy, StrategyParams

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backtest_pipeline.model.panel import Panel

Rebalance = Literal["bar", "daily", "weekly", "monthly"]


@dataclass(frozen=True, eq=False, slots=True)
class Weights:
    """A portfolio strategy's wishes, row by row. What stands at row t uses rows up to and including t only.

    Attributes:
        weights: shape (moments, symbols), share of the account's equity that a symbol should have; negative:
            short; NaN: leave alone.
        rebalance: when weights are acted upon: after every row, or at the first open of a new day, week or
            month, with the weights of the row before; always after the first row that has weights.
        drift_frac: no trade where a symbol's weight is less than this away from the one wanted.
    """

    weights: NDArray[np.float64]
    rebalance: Rebalance = "bar"
    drift_frac: float = 0.0


class RebalanceParams(StrategyParams):
    """Parameters for whoever leaves it to users how often a portfolio is put back in order."""

    rebalance: Rebalance = Field(
        "monthly", description="when weights are acted upon: after each bar, or as a new period begins"
    )
    drift_frac: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="no trade where a weight is less than this off; 0.02: two percent of equity",
    )


class PortfolioStrategy(AnyStrategy):
    """A trading idea about many symbols at once: parameters in, target weights out.

    It trades one account, so its requests need `account` `shared`.

    A strategy that needs chance takes it as a further argument, `weights(self, panel, params, rng)`: a NumPy
    generator made from the request's seed, the same at every call.
    """

    @abstractmethod
    def weights(self, panel: Panel, params: Any) -> Weights:
        """Compute the target weights.

        Args:
            panel: all symbols' candles, n moments and k symbols.
            params: an instance of the strategy's own `Params`.

        Returns:
            Weights of shape (n, k).
        """
