"""A search space by places: which value a key has at which place, and what a trial looks like in columns.

A trial is known by the places of its values. Nothing here is ever made for all trials at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from backtest_pipeline.model.ranges import FloatRange, IntRange
from backtest_pipeline.model.space_values import Values, as_json, count_of, value_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Places = NDArray[Any]


@dataclass(frozen=True)
class Axis:
    """One key of a space.

    Attributes:
        key: `params.<name>` or a field's name.
        values: what it may be.
        count: how many values there are; none where a range has no end of them. Then the place of a value is
            the value itself.
    """

    key: str
    values: Values
    count: int | None

    def value(self, place: Any) -> Any:
        """The value at a place."""
        return float(place) if self.count is None else value_at(self.values, int(place))

    def values_at(self, places: Places) -> list[Any]:
        """The values at the places."""
        if self.count is None:
            return [float(place) for place in places]
        if isinstance(self.values, IntRange):
            numbers: list[Any] = (self.values.low + places * self.values.step).tolist()
            return numbers
        if isinstance(self.values, FloatRange):
            floats: list[Any] = self.column(places).to_pylist()
            return floats
        return [self.values[place] for place in places.tolist()]

    def column(self, places: Places) -> pa.Array:
        """The values at the places as a column of a table, of a type that depends on the values alone."""
        if self.count is None:
            return pa.array(places, pa.float64())
        if isinstance(self.values, IntRange):
            return pa.array(self.values.low + places * self.values.step, pa.int64())
        if isinstance(self.values, FloatRange):
            distinct, position = np.unique(places, return_inverse=True)
            numbers = np.array([self.values.at(int(place)) for place in distinct], dtype=np.float64)
            return pa.array(numbers[position], pa.float64())
        return self._listed.take(pa.array(places))

    @property
    def column_type(self) -> pa.DataType:
        """The type of the columns that `column` makes."""
        return self.column(np.zeros(0, dtype=np.float64 if self.count is None else np.int64)).type

    def places(self, column: pa.ChunkedArray) -> Places:
        """The places of the values in a column that `column` made."""
        if self.count is None:
            return np.asarray(column)
        if isinstance(self.values, IntRange):
            whole: Places = (column.to_numpy() - self.values.low) // self.values.step
            return whole
        if isinstance(self.values, FloatRange):
            step = self.values.step or 1.0
            rounded: Places = np.rint((column.to_numpy() - self.values.low) / step).astype(np.int64)
            return rounded
        by_value = {value: place for place, value in reversed(list(enumerate(self._listed.to_pylist())))}
        return np.array([by_value[value] for value in column.to_pylist()], dtype=np.int64)

    @cached_property
    def _listed(self) -> pa.Array:
        """The values of a list: numbers, truth values or texts, or where they are mixed, the JSON of each.

        So are numbers of which two are equal and not the same, as 1 and 1.0: a row tells which one it had.
        """
        plain = [as_json(value) for value in self.values] if isinstance(self.values, tuple) else []
        kinds = {type(value) for value in plain if value is not None}
        for types, column_type in _COLUMN_TYPES:
            if kinds <= types and len(set(plain)) == len(plain):
                return pa.array(plain, column_type)
        return pa.array([json.dumps(value, sort_keys=True) for value in plain], pa.string())


_COLUMN_TYPES: Sequence[tuple[set[type], pa.DataType]] = (
    ({bool}, pa.bool_()),
    ({int}, pa.int64()),
    ({int, float}, pa.float64()),
    ({str}, pa.string()),
)


@dataclass(frozen=True, eq=False, slots=True)
class Points:
    """The places of some trials that follow each other.

    Attributes:
        first: number of the first of them.
        places: by key, an array as long as there are trials: int64 places, or float64 values where a range
            has no end of them.
    """

    first: int
    places: Mapping[str, Places]

    def __len__(self) -> int:
        return len(next(iter(self.places.values())))

    def slice(self, start: int, stop: int) -> Points:
        """The trials from `start` to `stop` (excluded), counted from the first of these."""
        return Points(self.first + start, {key: own[start:stop] for key, own in self.places.items()})


@dataclass(frozen=True)
class Space:
    """What varies in a sweep.

    Attributes:
        axes: by key, in the keys' own order.
    """

    axes: Mapping[str, Axis]

    @classmethod
    def of(cls, space: Mapping[str, Values]) -> Space:
        """The space of a request."""
        return cls({key: Axis(key, space[key], count_of(space[key])) for key in sorted(space)})

    def values(self, points: Points, row: int) -> dict[str, Any]:
        """The values of one of the trials, by key."""
        return {key: axis.value(points.places[key][row]) for key, axis in self.axes.items()}

    def columns(self, points: Points) -> dict[str, pa.Array]:
        """A column of values for each key."""
        return {key: axis.column(points.places[key]) for key, axis in self.axes.items()}

    def points_of(self, trials: pa.Table) -> Points:
        """The points of the rows of a table of trials, whose numbers follow each other."""
        places = {key: axis.places(trials.column(key)) for key, axis in self.axes.items()}
        return Points(trials.column("trial")[0].as_py(), places)
