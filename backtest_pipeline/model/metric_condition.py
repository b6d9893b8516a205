"""Conditions on metrics, as people write them: `trades >= 30`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.nearest_names import did_you_mean

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": ge,
    "<=": le,
    "==": eq,
    "!=": ne,
    ">": gt,
    "<": lt,
}
_WRITTEN = re.compile(r"\A\s*([A-Za-z_][A-Za-z0-9_]*)\s*(>=|<=|==|!=|>|<)\s*(\S+)\s*")


@dataclass(frozen=True, slots=True)
class MetricCondition:
    """A metric compared with a number. A metric that is none meets no condition.

    Attributes:
        metric: a name of the metric catalog.
        comparison: one of `COMPARISONS`.
        number: what the metric is compared with; a fraction where the metric is one.
    """

    metric: str
    comparison: str
    number: float

    @classmethod
    def parse(cls, text: str) -> MetricCondition:
        """Reads `metric comparison number`.

        Raises:
            ValueError: it is written otherwise, there is no such metric, or the number is none.
        """
        found = _WRITTEN.fullmatch(text)
        if found is None:
            raise ValueError(
                f"{text!r} is no condition; write metric, comparison and number, as in trades >= 30 "
                f"(comparisons: {' '.join(COMPARISONS)})"
            )
        metric, comparison, number = found.groups()
        if metric not in METRICS:
            raise ValueError(f"there is no metric {metric!r}{did_you_mean(metric, METRICS)}")
        return cls(metric, comparison, _number(number))

    def holds(self, values: Any) -> Any:
        """Whether it holds for a metric's value, or for each of an array of them; never for NaN."""
        return COMPARISONS[self.comparison](values, self.number) & (values == values)  # noqa: PLR0124  NaN differs from itself

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.number!r}".removesuffix(".0")


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is no number; percentages are written as fractions, 40 % as 0.4")
    return number
