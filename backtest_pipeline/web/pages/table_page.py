"""The table of all results: filters, sorting, pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backtest_pipeline.model.metric_catalog import facts_of, shown
from backtest_pipeline.reports.html_tables import tone
from backtest_pipeline.results.index_rows import listed
from backtest_pipeline.results.manifest_index import Row, TaskRows
from backtest_pipeline.results.task_filter import metric_column
from backtest_pipeline.web.pages.html_document import name_of, outside
from backtest_pipeline.web.pages.svg_curves import Sparklines
from backtest_pipeline.web.pages.table_query import PAGE_ROWS, TableQuery
from backtest_pipeline.web.pages.wording import Wording

METRICS_SHOWN = ("total_return", "cagr", "sharpe", "max_drawdown", "win_rate", "trades")
_STATES, _KINDS = ("completed", "failed", "cancelled"), ("backtest", "sweep")
_MOST_SYMBOLS = 4


def table_page(
    query: TableQuery,
    found: TaskRows,
    live: str,
    strategies: Sequence[str],
    sparklines: Sparklines,
    words: Wording,
    prefix: str,
) -> str:
    """The page's body; `live` is the HTML of what runs."""
    notes = "".join(f'<p class="note warning">{outside(problem)}</p>' for problem in query.problems)
    if not found.complete:
        still = words("The results are still being read; this table is not complete yet.")
        notes += f'<p class="note">{still}</p>'
    return (
        f"<h1>{words('Results')}</h1>{_form(query, strategies, words, prefix)}{notes}"
        f'<section><h2>{words("Running and waiting")}</h2><div id="live">{live}</div></section>'
        f"{_table(query, found, sparklines, words, prefix)}"
    )


def name_cell(row: Row, words: Wording, prefix: str) -> str:
    """A task's name, its link, and beside it whether its numbers are to be believed."""
    mark = ""
    if row["passed"] == 0:
        why = words("Look-ahead was found: do not believe these numbers.")
        mark = f' <span class="warning" title="{why}">⚠ {words("a check failed")}</span>'
    pin = f' <span title="{words("pinned")}">📌</span>' if row["pinned"] else ""
    link = f"{outside(prefix)}/results/{outside(row['task_id'])}"
    return f'<a href="{link}">{name_of(row["strategy"])}</a>{mark}{pin}'


def _form(query: TableQuery, strategies: Sequence[str], words: Wording, prefix: str) -> str:
    known = sorted({*strategies, *([query.wanted.strategy] if query.wanted.strategy else [])})
    fields = [
        _choice("strategy", words("strategy"), known, known, query, words),
        _text("symbol", words("symbol"), query),
        _choice("state", words("state"), _STATES, [words(one) for one in _STATES], query, words),
        _choice("kind", words("kind"), _KINDS, [words(one) for one in _KINDS], query, words),
        _text("since", words("from"), query, "date"),
        _text("until", words("to"), query, "date"),
        _text("label", words("label (name=value)"), query),
        _text("param", words("parameter (name=value)"), query),
        _text("metric", words("metric (sharpe > 1)"), query),
        _tick("pinned", words("only pinned"), query),
    ]
    fields += [
        f'<input type="hidden" name="{name}" value="{outside(query.first(name))}">'
        for name in ("sort", "direction")
        if query.first(name)
    ]
    action = f"{outside(prefix)}/results"
    return (
        f'<section><form class="filters" method="get" action="{action}">{"".join(fields)}'
        f'<button>{words("Show")}</button> <a class="button" href="{action}">{words("Clear")}</a>'
        "</form></section>"
    )


def _text(name: str, title: str, query: TableQuery, kind: str = "text") -> str:
    value = outside(query.first(name))
    return f'<label>{title}<input type="{kind}" name="{name}" value="{value}"></label>'


def _tick(name: str, title: str, query: TableQuery) -> str:
    checked = " checked" if query.first(name) == "1" else ""
    return f'<label class="tick"><input type="checkbox" name="{name}" value="1"{checked}> {title}</label>'


def _choice(
    name: str, title: str, values: Sequence[str], shown_as: Sequence[str], query: TableQuery, words: Wording
) -> str:
    options = "".join(
        f'<option value="{outside(value)}"{" selected" if value == query.first(name) else ""}>'
        f"{outside(text)}</option>"
        for value, text in zip(values, shown_as, strict=True)
    )
    options = f'<option value="">{words("any")}</option>{options}'
    return f'<label>{title}<select name="{name}">{options}</select></label>'


def _table(query: TableQuery, found: TaskRows, sparklines: Sparklines, words: Wording, prefix: str) -> str:
    pages = _pages(query, found, words)
    if not found.rows:
        return f"<section><p>{words('No task fits these filters.')}</p>{pages}</section>"
    heads = "".join(
        [
            f'<th scope="col">{words("choose")}</th>',
            _head("strategy", words("strategy"), query),
            _head("symbols", words("symbols"), query),
            _head("state", words("state"), query),
            f'<th scope="col">{words("equity")}</th>',
            *(_head(name, words.of_metric(facts_of(name).title), query, "number") for name in METRICS_SHOWN),
            f'<th scope="col">{words("parameters")}</th><th scope="col">{words("labels")}</th>',
            _head("kind", words("kind"), query),
            _head("submitted_at", words("submitted"), query),
        ]
    )
    rows = "".join(_row(row, sparklines, words, prefix) for row in found.rows)
    return (
        f'<section><form method="get" action="{outside(prefix)}/results/compare">'
        f'<p class="actions"><button>{words("Compare the ticked")}</button> {pages}</p>'
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        f"</form></section>"
    )


def _head(column: str, title: str, query: TableQuery, side: str = "") -> str:
    sorted_by = query.order.by == column
    direction = "up" if sorted_by and query.order.descending else "down"
    arrow = ("▼" if query.order.descending else "▲") if sorted_by else ""
    sort = ("descending" if query.order.descending else "ascending") if sorted_by else "none"
    address = outside(query.address(sort=column, direction=direction))
    link = f'<a href="?{address}">{outside(title)}</a>'
    return f'<th scope="col" class="{side}" aria-sort="{sort}">{link} {arrow}</th>'


def _row(row: Row, sparklines: Sparklines, words: Wording, prefix: str) -> str:
    symbols = listed(row["symbols"])
    more = f" +{len(symbols) - _MOST_SYMBOLS}" if len(symbols) > _MOST_SYMBOLS else ""
    can_compare = row["kind"] == "backtest" and row["state"] == "completed"
    tick = (
        f'<input type="checkbox" name="task" value="{outside(row["task_id"])}" '
        f'aria-label="{words("choose")} {outside(row["strategy"])}">'
        if can_compare
        else ""
    )
    spark = sparklines.of(row["task_id"], row["mtime_ns"], "equity") if row["state"] == "completed" else ""
    error = f'<br><small class="loss">{name_of(row["error"][:120])}</small>' if row["error"] else ""
    return (
        f'<tr data-task="{outside(row["task_id"])}"><td>{tick}</td>'
        f'<th scope="row">{name_cell(row, words, prefix)}</th>'
        f'<td class="long">{name_of(", ".join(symbols[:_MOST_SYMBOLS]))}{more} '
        f"{outside(row['timeframe'])}</td>"
        f'<td class="long {outside(row["state"])}">{words(row["state"])}{error}</td><td>{spark}</td>'
        + "".join(_metric(name, row[metric_column(name)]) for name in METRICS_SHOWN)
        + f'<td class="long">{name_of(", ".join(listed(row["params"])))}</td>'
        f'<td class="long">{name_of(", ".join(listed(row["labels"])))}</td>'
        f"<td>{words(row['kind'])}</td><td>{outside(row['submitted_at'][:16].replace('T', ' '))}</td></tr>"
    )


def _metric(name: str, value: Any) -> str:
    return f'<td class="number {tone(name, value)}">{outside(shown(name, value))}</td>'


def _pages(query: TableQuery, found: TaskRows, words: Wording) -> str:
    last = max(1, -(-found.total // PAGE_ROWS))
    parts = []
    if query.page > 1:
        address = outside(query.address(page=str(min(query.page - 1, last))))
        parts.append(f'<a class="button" rel="prev" href="?{address}">{words("previous page")}</a>')
    parts.append(f"<span>{found.total:,} {words('tasks')} · {query.page:,} / {last:,}</span>")
    if query.page < last:
        address = outside(query.address(page=str(query.page + 1)))
        parts.append(f'<a class="button" rel="next" href="?{address}">{words("next page")}</a>')
    return " ".join(parts)
