"""Funding rates of a perpetual: what its longs pay to its shorts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, slots=True)
class FundingRates:
    """The funding rates of one symbol.

    Attributes:
        symbol: whose.
        timestamp: shape (n,), `datetime64[us]`, UTC, increasing: when each is paid.
        rate: shape (n,), float64: fraction of the position's value that longs pay to shorts; below 0, shorts
            pay.
    """

    symbol: str
    timestamp: NDArray[np.datetime64]
    rate: NDArray[np.float64]

    def __len__(self) -> int:
        """How many rates there are."""
        return len(self.rate)

    def between(self, first: np.datetime64, end: np.datetime64) -> FundingRates:
        """Those that are paid at `first` or later, and before `end`."""
        start, stop = np.searchsorted(self.timestamp, [first, end], side="left")
        return FundingRates(self.symbol, self.timestamp[start:stop], self.rate[start:stop])

    def fingerprint(self) -> str:
        """SHA-256 over moments (microseconds since 1970, int64) and rates (float64), little-endian."""
        digest = hashlib.sha256()
        digest.update(np.ascontiguousarray(self.timestamp.astype("datetime64[us]").astype("<i8")).data)
        digest.update(np.ascontiguousarray(self.rate.astype("<f8")).data)
        return digest.hexdigest()
