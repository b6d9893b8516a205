"""Funding rates of a perpetual: what its longs pay to its shorts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.model.errors import CandlesInvalid

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

    Raises:
        CandlesInvalid: at construction: these are no such arrays, or their lengths differ, moments do not
            increase, or a rate is no number.
    """

    symbol: str
    timestamp: NDArray[np.datetime64]
    rate: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Refuse what would be paid at a wrong moment, or as a wrong amount, in silence."""
        if problem := _problem_of(self.timestamp, self.rate):
            raise CandlesInvalid(self.symbol, problem, source="its funding rates")

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


def _problem_of(timestamp: Any, rate: Any) -> str | None:
    for name, array, kinds in (("timestamp", timestamp, "M"), ("rate", rate, "fiu")):
        if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in kinds:
            dtype = "datetime64[us] in UTC" if kinds == "M" else "float64"
            return f"{name} should be an array of shape (n,), {dtype}; make it by np.asarray"
    if len(timestamp) != len(rate):
        return f"there are {len(timestamp)} moments and {len(rate)} rates"
    if not (timestamp[1:] > timestamp[:-1]).all():
        return "the moments should increase; sort them and leave out repeated ones"
    if not np.isfinite(rate).all():
        return "a rate is no finite number; leave out its moment"
    return None
