"""Curves as inline SVG, which needs no script and no style of its own."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq

from backtest_pipeline.storage.layout import BEST, Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SPARK_POINTS, _SPARK_WIDTH, _SPARK_HEIGHT = 60, 110, 28
_MOST_KEPT = 5_000
_EQUITY = "equity.parquet"


class Sparklines:
    """Small curves of the equity, of a sweep that of its best trial, kept while the manifest is the same."""

    def __init__(self, layout: Layout) -> None:
        """Reads from the tasks' folders."""
        self._layout = layout
        self._kept: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._lock = Lock()

    def of(self, task_id: str, mtime_ns: int, title: str) -> str:
        """The curve as SVG, or nothing where there is none that can be read."""
        key = (task_id, mtime_ns)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        drawn = self._drawn(task_id, title)
        with self._lock:
            self._kept[key] = drawn
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return drawn

    def _drawn(self, task_id: str, title: str) -> str:
        folder = self._layout.task(task_id)
        try:
            path = next(path for path in (folder / _EQUITY, folder / BEST / _EQUITY) if path.exists())
            with path.open("rb") as file:
                column = pq.read_table(file, columns=["equity"], use_threads=False, pre_buffer=False)[
                    "equity"
                ]
        except (StopIteration, OSError, KeyError, ValueError):  # pyarrow's errors are such
            return ""
        values = thinned(column.to_numpy().astype(np.float64), _SPARK_POINTS)
        if len(values) < 2 or not np.isfinite(values).all():
            return ""
        line = polyline(
            np.linspace(0.0, 1.0, len(values)),
            values,
            low=float(values.min()),
            high=float(values.max()),
            width=_SPARK_WIDTH,
            height=_SPARK_HEIGHT,
        )
        return (
            f'<svg class="spark" viewBox="0 0 {_SPARK_WIDTH} {_SPARK_HEIGHT}" role="img" '
            f'aria-label="{title}">{line}</svg>'
        )


def thinned(values: Floats, points: int) -> Floats:
    """At most so many values, first and last among them."""
    if len(values) <= points:
        return values
    return values[np.linspace(0, len(values) - 1, points).round().astype(np.int64)]


def polyline(
    across: Floats, values: Floats, *, low: float, high: float, width: int, height: int, attributes: str = ""
) -> str:
    """A line from `across` (0 to 1) and values between `low` and `high`, in a box."""
    places: Sequence[str] = [
        f"{x * width:.1f},{_down(y, low, high, height):.1f}"
        for x, y in zip(across.tolist(), values.tolist(), strict=True)
    ]
    return f'<polyline {attributes} points="{" ".join(places)}"/>'


def level_lines(low: float, high: float, height: int) -> str:
    """Lines across at round values, each with its number, for an SVG of that height without a `viewBox`."""
    parts = []
    for value in round_levels(low, high):
        y = f"{100 * _down(value, low, high, height) / height:.2f}%"
        parts.append(
            f'<line x1="0" x2="100%" y1="{y}" y2="{y}"/><text x="2" y="{y}" dy="-3">{value:g}</text>'
        )
    return "".join(parts)


def round_levels(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two values, as many as fit into `most`."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * by for by in (1, 2, 5, 10, 20) if (high - low) / (power * by) < most)
    return [round(place * step, 12) for place in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _down(value: float, low: float, high: float, height: int) -> float:
    """How far below the top a value is, two units kept free on either side."""
    return (1.0 - (value - low) / ((high - low) or 1.0)) * (height - 4) + 2
