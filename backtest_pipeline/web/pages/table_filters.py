"""The form above the table of results: every filter, and by what the table is sorted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from backtest_pipeline.model.manifest import FinalState
from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.task_kind import TaskKind
from backtest_pipeline.results.task_filter import FACTS
from backtest_pipeline.web.pages.html_document import outside
from backtest_pipeline.web.pages.table_query import TableQuery
from backtest_pipeline.web.pages.wording import Wording

_NO_FILTERS = ("sort", "direction")
LIVE_STATES = ("queued", "running")
_TITLES = {
    "submitted_at": "submitted",
    "finished_at": "finished",
    "duration_ms": "duration",
    "first_day": "bars from",
    "last_day": "bars to",
    "best_objective": "best by the objective",
}


def title_of(column: str, words: Wording) -> str:
    """What a column of the table is called."""
    if column in METRICS:
        return words.of_metric(METRICS[column].title)
    return words(_TITLES.get(column, column))


def filter_form(
    query: TableQuery, strategies: Sequence[str], users: Sequence[str], words: Wording, prefix: str
) -> str:
    """The form's HTML, folded, with how many filters are active.

    Without users, as where nobody has to say who they are, they are not asked for.

    Args:
        query: what is asked for now.
        strategies: those that tasks have.
        users: those who have submitted tasks.
        words: the reader's language.
        prefix: the path prefix of the server.
    """
    states = (*LIVE_STATES, *get_args(FinalState))
    fields = [
        _choice("strategy", words("strategy"), _named(strategies, query.wanted.strategy), query, words),
        _text("symbol", words("symbol"), query),
        _choice("state", words("state"), [(one, words(one)) for one in states], query, words),
        _choice("kind", words("kind"), [(one, words(one)) for one in get_args(TaskKind)], query, words),
        *(
            [_choice("user", words("user"), _named(users, query.wanted.user), query, words)]
            if users or query.wanted.user
            else []
        ),
        _text("first_day", words("bars from"), query, "date"),
        _text("last_day", words("bars to"), query, "date"),
        _text("since", words("submitted from"), query, "date"),
        _text("until", words("submitted to"), query, "date"),
        _text("label", words("label (name=value)"), query),
        _text("param", words("parameter (name=value)"), query),
        _text("varied", words("varied by a sweep (name)"), query),
        _text("metric", words("metric (sharpe > 1)"), query),
        _sorting(query, words),
        _tick("pinned", words("only pinned"), query),
    ]
    action = f"{outside(prefix)}/results"
    active = sum(name not in _NO_FILTERS for name, _ in query.pairs)
    count = f" · {words('{0} active').format(active)}" if active else ""
    return (
        f'<section><details class="filtering"><summary>{words("Filters")}{count}</summary>'
        f'<form class="filters" method="get" action="{action}">{"".join(fields)}'
        f'<button>{words("Show")}</button> <a class="button" href="{action}">{words("Clear")}</a>'
        "</form></details></section>"
    )


def _sorting(query: TableQuery, words: Wording) -> str:
    columns = [(one, title_of(one, words)) for one in (*FACTS, *METRICS)]
    directions = [("down", words("largest first")), ("up", words("smallest first"))]
    now = "down" if query.order.descending else "up"
    return (
        f'<label>{words("sort by")}<select name="sort">{_options(columns, query.order.by)}</select></label>'
        f'<label>{words("order")}<select name="direction">{_options(directions, now)}</select></label>'
    )


def _text(name: str, title: str, query: TableQuery, kind: str = "text") -> str:
    """A field for each value that the address has of this name, so that sending the form keeps them all."""
    values = [value for other, value in query.pairs if other == name] or [""]
    inputs = "".join(f'<input type="{kind}" name="{name}" value="{outside(value)}">' for value in values)
    return f"<label>{title}{inputs}</label>"


def _tick(name: str, title: str, query: TableQuery) -> str:
    checked = " checked" if query.first(name) == "1" else ""
    return f'<label class="tick"><input type="checkbox" name="{name}" value="1"{checked}> {title}</label>'


def _named(known: Iterable[str], wanted: str) -> list[tuple[str, str]]:
    """Names as choices; the one that is asked for is among them though no task has it."""
    return [(one, one) for one in sorted({*known, *([wanted] if wanted else [])})]


def _choice(
    name: str, title: str, choices: Sequence[tuple[str, str]], query: TableQuery, words: Wording
) -> str:
    options = _options([("", words("any")), *choices], query.first(name))
    return f'<label>{title}<select name="{name}">{options}</select></label>'


def _options(choices: Sequence[tuple[str, str]], chosen: str) -> str:
    return "".join(
        f'<option value="{outside(value)}"{" selected" if value == chosen else ""}>{outside(text)}</option>'
        for value, text in choices
    )
