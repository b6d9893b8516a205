"""The table of all results: its rows, its heads that sort, its pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.reports.html_tables import tone
from backtest_pipeline.results.index_rows import listed
from backtest_pipeline.results.manifest_index import Row, TaskRows
from backtest_pipeline.results.task_filter import metric_column
from backtest_pipeline.web.pages.html_document import name_of, outside, wide
from backtest_pipeline.web.pages.svg_curves import Sparklines
from backtest_pipeline.web.pages.table_filters import LIVE_STATES, filter_form, title_of
from backtest_pipeline.web.pages.table_query import PAGE_ROWS, TableQuery
from backtest_pipeline.web.pages.wording import Wording

if TYPE_CHECKING:
    from backtest_pipeline.model.result import Metrics

METRICS_SHOWN = ("total_return", "cagr", "sharpe", "max_drawdown", "win_rate", "trades")
_COMPARED_KINDS = ("backtest", "sweep", "walk_forward")
_MOST_SYMBOLS = 4


def table_page(
    query: TableQuery,
    found: TaskRows,
    live: str,
    strategies: Sequence[str],
    users: Sequence[str],
    sparklines: Sparklines,
    words: Wording,
    prefix: str,
) -> str:
    """The page's body; `live` is the HTML of what runs."""
    notes = "".join(f'<p class="note warning">{outside(problem)}</p>' for problem in query.problems)
    if not found.complete:
        still = words("The results are still being read; this table is not complete yet.")
        so_far = f"{words('read so far:')} {found.read:,} / {found.to_read:,}"
        notes += f'<p class="note warning" role="status" data-reading>{still} {so_far}</p>'
    return (
        f"<h1>{words('Results')}</h1>{filter_form(query, strategies, users, words, prefix)}{notes}"
        f'<section><h2>{words("Running and waiting")}</h2><div id="live">{live}</div></section>'
        f"{_finished(query, found, sparklines, words, prefix)}"
    )


def metrics_of(row: Row) -> dict[str, float | None]:
    """A task's metrics by name."""
    return {name: row[metric_column(name)] for name in METRICS}


def name_cell(row: Row, words: Wording, prefix: str) -> str:
    """A task's name, its link, and beside it whether its numbers are to be believed."""
    mark = ""
    if row["passed"] == 0:
        why = words("Look-ahead was found: do not believe these numbers.")
        mark = f' <span class="warning" title="{why}">⚠ {words("a check failed")}</span>'
    pin = f' <span title="{words("pinned")}">📌</span>' if row["pinned"] else ""
    link = f"{outside(prefix)}/results/{outside(row['task_id'])}"
    return f'<a href="{link}">{name_of(row["strategy"])}</a>{mark}{pin}'


def _finished(query: TableQuery, found: TaskRows, sparklines: Sparklines, words: Wording, prefix: str) -> str:
    if query.wanted.state in LIVE_STATES:  # such tasks stand above
        return ""
    pages = _pages(query, found, words)
    if not found.rows:
        return f"<section><p>{words('No task fits these filters.')}</p>{pages}</section>"
    metrics = list(METRICS_SHOWN)
    if query.order.by in METRICS and query.order.by not in metrics:
        metrics.insert(0, query.order.by)
    columns = [
        f'<th scope="col">{words("choose")}</th>',
        *(_head(name, query, words) for name in ("strategy", "kind", "symbols")),
        f'<th scope="col">{words("parameters")}</th>',
        _head("state", query, words),
        f'<th scope="col">{words("equity")}</th>',
        *(_head(name, query, words, "number") for name in metrics),
        f'<th scope="col">{words("labels")}</th>',
        *(_head(name, query, words) for name in ("first_day", "last_day", "user", "submitted_at")),
    ]
    rows = "".join(_row(row, metrics, sparklines, words, prefix) for row in found.rows)
    table = f"<table><thead><tr>{''.join(columns)}</tr></thead><tbody>{rows}</tbody></table>"
    return (
        f'<section><form method="get" action="{outside(prefix)}/results/compare">'
        f'<p class="actions"><button>{words("Compare the ticked")}</button> {pages}</p>'
        f"{wide(table, words)}</form></section>"
    )


def _head(column: str, query: TableQuery, words: Wording, side: str = "") -> str:
    sorted_by = query.order.by == column
    direction = "up" if sorted_by and query.order.descending else "down"
    arrow = ("▼" if query.order.descending else "▲") if sorted_by else ""
    sort = ("descending" if query.order.descending else "ascending") if sorted_by else "none"
    address = outside(query.address(sort=column, direction=direction))
    link = f'<a href="?{address}">{outside(title_of(column, words))}</a>'
    return f'<th scope="col" class="{side}" aria-sort="{sort}">{link} {arrow}</th>'


def _row(row: Row, metrics: Sequence[str], sparklines: Sparklines, words: Wording, prefix: str) -> str:
    symbols = listed(row["symbols"])
    more = f" +{len(symbols) - _MOST_SYMBOLS}" if len(symbols) > _MOST_SYMBOLS else ""
    can_compare = row["kind"] in _COMPARED_KINDS and row["state"] == "completed"
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
        f"<td>{words(row['kind'])}{_search(row, words)}</td>"
        f'<td class="long">{name_of(", ".join(symbols[:_MOST_SYMBOLS]))}{more} '
        f"{outside(row['timeframe'])}</td>"
        f'<td class="long">{_asked(row)}</td>'
        f'<td class="long {outside(row["state"])}">{words(row["state"])}{error}</td><td>{spark}</td>'
        + "".join(_metric(name, metrics_of(row), words) for name in metrics)
        + f'<td class="long">{name_of(", ".join(listed(row["labels"])))}</td>'
        f"<td>{outside(row['first_day'] or '-')}</td><td>{outside(row['last_day'] or '-')}</td>"
        f"<td>{name_of(row['user'])}</td>"
        f"<td>{outside(row['submitted_at'][:16].replace('T', ' '))}</td></tr>"
    )


def _asked(row: Row) -> str:
    """What a sweep varies, a name a line, and the parameters, which it leaves as they are."""
    lines = [*listed(row["space"]), ", ".join(listed(row["params"]))]
    return "<br>".join(name_of(line) for line in lines if line)


def _metric(name: str, metrics: Metrics, words: Wording) -> str:
    value = metrics[name]
    return f'<td class="number {tone(name, value, metrics)}">{outside(words.value(name, value))}</td>'


def _search(row: Row, words: Wording) -> str:
    """How many trials a sweep had, what the best reached, and whether that passed its checks."""
    if row["trials"] is None:
        return ""
    lines = [words.counted(row["trials"], "trial")]
    if not row["ranked"]:
        lines.append(words("no trial ranks"))
    elif row["objective"] in METRICS:
        best = words.value(row["objective"], row["best_objective"])
        lines.append(f"{title_of(row['objective'], words)} {best}")
        lines += {0: [f"⚠ {words('a check failed')}"], 1: [words("passed its checks")]}.get(row["passed"], [])
    return "".join(f"<br><small>{outside(line)}</small>" for line in lines)


def _pages(query: TableQuery, found: TaskRows, words: Wording) -> str:
    last = max(1, -(-found.total // PAGE_ROWS))
    parts = []
    if query.page > 1:
        address = outside(query.address(page=str(min(query.page - 1, last))))
        parts.append(f'<a class="button" rel="prev" href="?{address}">{words("previous page")}</a>')
    parts.append(f"<span>{words.counted(found.total, 'task')} · {query.page:,} / {last:,}</span>")
    if query.page < last:
        address = outside(query.address(page=str(query.page + 1)))
        parts.append(f'<a class="button" rel="next" href="?{address}">{words("next page")}</a>')
    return " ".join(parts)
