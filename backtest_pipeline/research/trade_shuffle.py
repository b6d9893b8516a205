"""What the order of trades alone decides: the distribution of the maximum drawdown over other orders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_TRADES = 10
_CHUNK_VALUES = 1_000_000


@dataclass(frozen=True, slots=True)
class TradeShuffle:
    """Maximum drawdowns of the same trades in other orders, at the closes of trades, as fractions.

    Attributes:
        samples: how many orders were drawn.
        actual: of the order that was.
        median: of the orders.
        worst_twentieth: the drawdown that one order in twenty exceeds.
        milder_frac: share of orders whose drawdown is below the actual one.
    """

    samples: int
    actual: float
    median: float
    worst_twentieth: float
    milder_frac: float


def trade_shuffle(
    profits: NDArray[np.float64], initial_cash: float, samples: int, generator: np.random.Generator
) -> TradeShuffle | None:
    """Draw orders of the trades and measure each one's maximum drawdown.

    It says nothing of the return, which is the same in every order. Profits are amounts of money, so sizes
    are what they were; a loss beyond all there is counts as a drawdown above 1.

    Args:
        profits: shape (trades,), after costs, in the order in which trades were closed.
        initial_cash: what the account began with.
        samples: how many orders.
        generator: of the orders.

    Returns:
        The drawdowns; `None` below ten trades.
    """
    if len(profits) < FEWEST_TRADES:
        return None
    drawn = np.empty(samples)
    size = max(1, _CHUNK_VALUES // len(profits))
    for first in range(0, samples, size):
        count = min(size, samples - first)
        orders = generator.permuted(np.broadcast_to(profits, (count, len(profits))), axis=1)
        drawn[first : first + count] = _max_drawdowns(orders, initial_cash)
    [actual] = _max_drawdowns(profits[None, :], initial_cash)
    return TradeShuffle(
        samples=samples,
        actual=float(actual),
        median=float(np.median(drawn)),
        worst_twentieth=float(np.quantile(drawn, 0.95)),
        milder_frac=float((drawn < actual).mean()),
    )


def _max_drawdowns(profits: NDArray[np.float64], initial_cash: float) -> NDArray[np.float64]:
    equity = initial_cash + np.cumsum(profits, axis=1)
    peaks = np.maximum.accumulate(np.maximum(equity, initial_cash), axis=1)
    worst: NDArray[np.float64] = (1 - equity / peaks).max(axis=1).clip(min=0.0)
    return worst
