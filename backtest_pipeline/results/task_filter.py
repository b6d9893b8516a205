"""Which finished tasks a table shows, and in which order, as one SQL query over the index of manifests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.metric_condition import MetricCondition
from backtest_pipeline.model.space_values import PARAM

SEPARATOR = "\x1f"
"""Stands around every entry of a list that is kept as text, so that a whole entry can be searched for."""

FACTS = (
    "state",
    "strategy",
    "symbols",
    "kind",
    "timeframe",
    "user",
    "first_day",
    "last_day",
    "trials",
    "best_objective",
    "submitted_at",
    "finished_at",
    "duration_ms",
    "pinned",
)
"""Columns, beside the metrics, by which a table can be sorted."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks to show; empty texts: any.

    Attributes:
        state: `completed`, `failed` or `cancelled`.
        kind: `backtest`, `sweep` or `walk_forward`.
        strategy: the strategy's name.
        symbol: a symbol among the task's.
        user: who submitted it.
        first_day: nothing before that day was backtested, `2026-01-31`.
        last_day: nothing after that day was.
        since: submitted on that day or later, `2026-01-31`, in UTC.
        until: submitted on that day or earlier.
        labels: entries `name=value` that the task has.
        params: entries `name=value` that the task has, values as JSON writes them, texts without quotes.
        varied: names that the task varies, which only sweeps do; parameters without `params.`.
        conditions: what metrics must be.
        pinned: only what is kept past its time.
    """

    state: str = ""
    kind: str = ""
    strategy: str = ""
    symbol: str = ""
    user: str = ""
    first_day: str = ""
    last_day: str = ""
    since: str = ""
    until: str = ""
    labels: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    varied: tuple[str, ...] = ()
    conditions: tuple[MetricCondition, ...] = ()
    pinned: bool = False

    def where(self) -> tuple[str, list[Any]]:
        """The condition and its values."""
        single = [
            (f"{column} {comparison} ?", wanted)
            for column, comparison, wanted in (
                ("state", "=", self.state),
                ("kind", "=", self.kind),
                ("strategy", "=", self.strategy),
                ("user", "=", self.user),
                ("first_day", ">=", self.first_day),
                ("last_day", "<=", self.last_day),
                ("submitted_at", ">=", self.since),
                ("substr(submitted_at, 1, 10)", "<=", self.until),
                ("pinned", "=", int(self.pinned)),
            )
            if wanted
        ]
        within = [
            (f"instr({column}, ?) > 0", f"{SEPARATOR}{entry}{SEPARATOR}")
            for column, entries in (
                ("symbols", (self.symbol,) if self.symbol else ()),
                ("labels", self.labels),
                ("params", self.params),
                ("varied", tuple(name.removeprefix(PARAM) for name in self.varied)),
            )
            for entry in entries
        ]
        bounds = [  # a metric that is none is NULL and meets none of them
            (f"{metric_column(one.metric)} {one.comparison} ?", one.number) for one in self.conditions
        ]
        wanted: list[tuple[str, Any]] = [*single, *within, *bounds]
        return " AND ".join(["problem IS NULL", *(text for text, _ in wanted)]), [one for _, one in wanted]


@dataclass(frozen=True, slots=True)
class Order:
    """By what a table is sorted: one of `FACTS` or a metric. What is unknown comes last, either way."""

    by: str = "submitted_at"
    descending: bool = True

    def clause(self) -> str:
        """The SQL behind `ORDER BY`; ties are in the order of the tasks' ids."""
        direction = "DESC" if self.descending else "ASC"
        column = self.by if self.by in FACTS else metric_column(self.by)
        return f"{column} {direction} NULLS LAST, task_id ASC"


def metric_column(name: str) -> str:
    """The column of a metric.

    Raises:
        KeyError: there is no such metric; no other text ever becomes part of a query.
    """
    if name not in METRICS:
        raise KeyError(name)
    return f"m_{name}"
