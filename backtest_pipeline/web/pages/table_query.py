"""What the address of the table of results asks for: every filter is in it, so that it can be shared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from urllib.parse import parse_qsl, urlencode

from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.metric_condition import MetricCondition
from backtest_pipeline.results.task_filter import FACTS, Order, TaskFilter

PAGE_ROWS = 50
_MOST_ENTRIES, _LONGEST, _LAST_PAGE = 10, 500, 1_000_000
_TEXTS = ("state", "kind", "strategy", "user")
_DAYS = ("first_day", "last_day", "since", "until")


@dataclass(frozen=True, slots=True)
class TableQuery:
    """What a reader wants to see.

    Attributes:
        wanted: which tasks.
        order: sorted by what.
        page: from 1.
        problems: what of the address could not be used, in plain words.
        pairs: the address's own names and values, without the page.
    """

    wanted: TaskFilter
    order: Order
    page: int
    problems: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, query_string: bytes) -> TableQuery:
        """Reads what stands behind the question mark; what cannot be used is named and left out."""
        given = parse_qsl(query_string.decode("latin-1"), max_num_fields=None)[:100]
        pairs = [(name, value[:_LONGEST].strip()) for name, value in given if value.strip()]
        first = dict(reversed(pairs))
        problems: list[str] = []
        conditions: list[MetricCondition] = []
        for text in _all(pairs, "metric"):
            try:
                conditions.append(MetricCondition.parse(text))
            except ValueError as error:
                problems.append(str(error))
        days = {name: _day(first.get(name, ""), problems) for name in _DAYS}
        by = first.get("sort", Order().by)
        if by not in FACTS and by not in METRICS:
            problems.append(f"nothing is sorted by {by!r}")
            by = Order().by
        page = first.get("page", "1")
        return cls(
            wanted=TaskFilter(
                **{name: first.get(name, "") for name in _TEXTS},
                symbol=first.get("symbol", "").upper(),
                **days,
                labels=_all(pairs, "label"),
                params=_all(pairs, "param"),
                varied=_all(pairs, "varied"),
                conditions=tuple(conditions),
                pinned=first.get("pinned") == "1",
            ),
            order=Order(by, descending=first.get("direction", "down") != "up"),
            page=min(int(page), _LAST_PAGE) if page.isascii() and page.isdigit() and len(page) < 9 else 1,
            problems=tuple(problems),
            pairs=tuple((name, value) for name, value in pairs if name != "page"),
        )

    @property
    def offset(self) -> int:
        """Rows before this page."""
        return (max(self.page, 1) - 1) * PAGE_ROWS

    def address(self, **changes: str) -> str:
        """What stands behind the question mark of a table that differs so from this one."""
        kept = [(name, value) for name, value in self.pairs if name not in changes]
        return urlencode([*kept, *changes.items()])

    def first(self, name: str) -> str:
        """The value of a field of the form, empty where it is not given."""
        return next((value for other, value in self.pairs if other == name), "")


def _all(pairs: list[tuple[str, str]], name: str) -> tuple[str, ...]:
    return tuple(value for other, value in pairs if other == name)[:_MOST_ENTRIES]


def _day(text: str, problems: list[str]) -> str:
    if not text:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        problems.append(f"{text!r} is no day; write it as 2026-01-31")
        return ""
