"""What varies in a sweep as axes of charts: values in their order, put into bins where there are many."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.model.ranges import FloatRange
from backtest_pipeline.model.space_values import Values, as_json, count_of, value_at
from backtest_pipeline.reports.html_tables import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Positions = NDArray[Any]
    Bins = NDArray[np.int64]

LONGEST_LABEL = 60


@dataclass(frozen=True, eq=False)
class SweepAxis:
    """One name of a space.

    A trial's *place* on it is the position of its value among the values as they were asked; of a range
    without steps the value itself. Its *position* is the same along the axis as it is drawn: a list of
    numbers is put in order.

    Attributes:
        key: `params.<name>` or a field's name.
        values: what it may be.
        count: how many values; `None` where a range has no end of them.
        order: place of the value at each position, where they differ.
    """

    key: str
    values: Values
    count: int | None
    order: NDArray[np.int64] | None

    @classmethod
    def of(cls, key: str, values: Values) -> SweepAxis:
        """The axis of a name and its values."""
        numbers = isinstance(values, tuple) and all(_is_number(one) for one in values)
        order = np.argsort(np.array(values, dtype=np.float64), kind="stable") if numbers else None
        return cls(key, values, count_of(values), order)

    @property
    def is_ordered(self) -> bool:
        """Whether values can be nearer to each other or farther: numbers can, texts and lists cannot."""
        return self.order is not None or not isinstance(self.values, tuple)

    def bins(self, most: int) -> int:
        """How many bins there are where at most `most` are wanted: one a value, or each of as many values."""
        if self.count is None:
            return most
        return -(-self.count // self._values_a_bin(most))

    def positions(self, places: Positions) -> Positions:
        """Where along the axis places are; of a range without steps as fractions from 0 to 1."""
        if self.count is None:
            return self._fractions(np.asarray(places, dtype=np.float64))
        if self.order is None:
            return places
        along = np.empty(len(self.order), dtype=np.int64)
        along[self.order] = np.arange(len(self.order))
        return along[places]

    def binned(self, places: Positions, bins: int) -> Bins:
        """The bin of each place, from 0: as many values in each, the last one perhaps fewer."""
        return np.minimum(self.in_bins(self.positions(places), bins).astype(np.int64), bins - 1)

    def in_bins(self, positions: Positions, bins: int) -> Positions:
        """How many bins lie before positions."""
        if self.count is None:
            return positions * bins
        return positions / self._values_a_bin(bins)

    def numbers(self, places: Positions) -> NDArray[np.float64]:
        """The values of a range at the places, exactly."""
        if isinstance(self.values, tuple) or self.count is None:
            return np.asarray(places, dtype=np.float64)
        distinct, position = np.unique(places, return_inverse=True)
        numbers = np.array([self.values.at(int(place)) for place in distinct], dtype=np.float64)
        return numbers[position]

    def value(self, place: float) -> Any:
        """The value at a place, as JSON has it."""
        return float(place) if self.count is None else as_json(value_at(self.values, int(place)))

    def labels(self, bins: int) -> list[str]:
        """What each bin holds, for people: a value, or the first and the last."""
        if self.count is None:
            edges = [self._at_fraction(place / bins) for place in range(bins + 1)]
            return [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]
        starts = [*range(0, self.count, self._values_a_bin(bins)), self.count]
        return [
            self.label(start) if stop - start == 1 else f"{self.label(start)} to {self.label(stop - 1)}"
            for start, stop in pairwise(starts)
        ]

    def label(self, position: int) -> str:
        """The value at a position, for people."""
        place = position if self.order is None else int(self.order[position])
        return value_text(as_json(value_at(self.values, place)))

    def _values_a_bin(self, bins: int) -> int:
        return -(-(self.count or 0) // bins)

    def _fractions(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        low, high = self._ends()
        if high <= low:
            return np.zeros(len(values))
        if self._is_log:
            return np.clip(np.log(values / low) / math.log(high / low), 0.0, 1.0)
        return np.clip((values - low) / (high - low), 0.0, 1.0)

    def _at_fraction(self, fraction: float) -> float:
        low, high = self._ends()
        return low * (high / low) ** fraction if self._is_log else low + (high - low) * fraction

    def _ends(self) -> tuple[float, float]:
        if isinstance(self.values, tuple):
            raise TypeError("a list has no ends")
        return float(self.values.low), float(self.values.high)

    @property
    def _is_log(self) -> bool:
        return isinstance(self.values, FloatRange) and self.values.log


def value_text(value: Any) -> str:
    """A value of a space for people, short: `none` for `None`, symbols joined as commands take them."""
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        text = "+".join(value)
    else:
        text = {"": '""', "[]": "[]"}.get(str(value), "none" if value is None else plain(value))
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def fitting_bins(axes: list[SweepAxis], most_bins: int, most_cells: int) -> list[int]:
    """How many bins each of several axes gets, so that all their combinations are no more than `most_cells`.

    Axes of few values keep them all; those with the most bins give way.
    """
    sizes = [axis.bins(most_bins) for axis in axes]
    while math.prod(sizes) > most_cells and max(sizes) > 1:
        widest = sizes.index(max(sizes))
        sizes[widest] = axes[widest].bins(sizes[widest] - 1)
    return sizes


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
