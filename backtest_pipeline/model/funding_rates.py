"""A perpetual's funding rates in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class FundingRates:
    """What longs pay to shorts, as fractions of a position's value, oldest first.

    Attributes:
        symbol: whose.
        timestamp: shape (n,), `datetime64[us]`, UTC, strictly increasing.
        rate: shape (n,), float64.
    """

    symbol: str
    timestamp: NDArray[np.datetime64]
    rate: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.timestamp)
