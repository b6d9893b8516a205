"""Metrics of several results, a row each: in which order, whose is the best, how it is coloured."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backtest_pipeline.model.metric_catalog import MetricFacts, facts_of, shown_with_unit
from backtest_pipeline.reports.html_tables import tone

if TYPE_CHECKING:
    from backtest_pipeline.model.result import Metrics


@dataclass(frozen=True, slots=True)
class MetricCell:
    """A metric of one result.

    Attributes:
        value: what it is; `None` where it is not defined.
        is_best: whether no other result is better.
        tone: class of its colour, as `tone` has it.
    """

    value: float | None
    is_best: bool
    tone: str


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric of all results.

    Attributes:
        name: the metric's.
        facts: what is known of it.
        cells: a result each, in the order of the results.
    """

    name: str
    facts: MetricFacts
    cells: list[MetricCell]


def metric_rows(
    metrics: Mapping[str, Metrics], doubted: Collection[str], benchmark: str | None = None
) -> list[MetricRow]:
    """Every metric that any result has; those that read the same in all come last.

    Args:
        metrics: by result.
        doubted: results with a check that failed, none of which is the best.
        benchmark: after which metrics against it are called.
    """
    names = list(dict.fromkeys(name for of in metrics.values() for name in of))
    by_name = {name: {of: one.get(name) for of, one in metrics.items()} for name in names}
    names.sort(key=lambda name: len({shown_with_unit(name, value) for value in by_name[name].values()}) == 1)
    rows = []
    for name in names:
        winners = best(name, by_name[name], doubted)
        cells = [
            MetricCell(value, of in winners, tone(name, value, metrics[of]))
            for of, value in by_name[name].items()
        ]
        rows.append(MetricRow(name, facts_of(name, benchmark), cells))
    return rows


def best(name: str, values: Mapping[str, float | None], doubted: Collection[str] = ()) -> set[str]:
    """Whose value of a metric is the best: all that share it, none where all are equal or none is better.

    Args:
        name: the metric.
        values: by result.
        doubted: results with a check that failed, none of which is the best.
    """
    better = facts_of(name).better
    known = {of: value for of, value in values.items() if value is not None and of not in doubted}
    if better == "neither" or len(set(known.values())) < 2:
        return set()
    top = max(known.values()) if better == "more" else min(known.values())
    return {of for of, value in known.items() if value == top}
