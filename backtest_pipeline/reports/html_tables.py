"""HTML tables and tiles; every text from outside is escaped here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from backtest_pipeline.model.metric_catalog import benchmark_name, facts_of, shown_with_unit
from backtest_pipeline.model.sentence import Sentence
from backtest_pipeline.reports.bilingual import mark_of_metric, said
from backtest_pipeline.reports.markup import escaped
from backtest_pipeline.reports.report_statistics import compounded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backtest_pipeline.model.result import Metrics

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
SIGNED = frozenset(
    {
        "total_return",
        "cagr",
        "alpha",
        "expectancy",
        "avg_trade_return",
        "best_trade_return",
        "worst_trade_return",
        "signal_avg_return",
        "sharpe",
        "sortino",
        "calmar",
        "sqn",
        "kelly",
    }
)
AGAINST_BENCHMARK = frozenset({"total_return", "cagr"})
STRENGTHS = 5


def tone(name: str, value: float | None, metrics: Metrics | None = None) -> str:
    """Class of a metric's colour: gain, loss, or none for metrics without a bad half.

    A return is judged by what buying and holding returned in the same time, other metrics by 0.

    Args:
        name: the metric's.
        value: what it is.
        metrics: all of the same account; without `buy_hold_return` the return too is judged by 0.
    """
    if value is None or name not in SIGNED:
        return ""
    held = (metrics or {}).get("buy_hold_return") if name in AGAINST_BENCHMARK else None
    if held is not None:
        # Over the same time, the yearly returns stand to one another as the whole ones do.
        whole = (metrics or {}).get("total_return")
        value = (value if whole is None else whole) - held
    if value == 0:
        return ""
    return "gain" if value > 0 else "loss"


def against_benchmark(metrics: Metrics, benchmark: str | None = None) -> str:
    """The total return beside the benchmark's, in words, as HTML."""
    whole, held = metrics.get("total_return"), metrics.get("buy_hold_return")
    texts = shown_with_unit("buy_hold_return", held), benchmark_name(benchmark)
    if whole is None or held is None:
        return said("{1} {0}", *texts, element="small")
    verdict = "level with" if whole == held else "ahead of" if whole > held else "behind"
    return said(f"{verdict} {{1}}, {{0}}", *texts, element="small")


def tiles(metrics: Metrics, names: Sequence[str], remarks: Mapping[str, str]) -> str:
    """The metrics that people look at first, large.

    Args:
        metrics: by name.
        names: which to show.
        remarks: an element under some of them.
    """
    cells = []
    for name in names:
        facts, value = facts_of(name), metrics.get(name)
        remark = remarks.get(name, "")
        cells.append(
            f'<div class="tile" title="{escaped(facts.meaning)}" data-said-title>{said(facts.title)}'
            f'<b class="{tone(name, value, metrics)}"{mark_of_metric(name, value)}'
            f' data-metric="{escaped(name)}">'
            f"{escaped(shown_with_unit(name, value))}</b>{remark}</div>"
        )
    return f'<div class="tiles">{"".join(cells)}</div>'


def metrics_table(metrics: Metrics, benchmark: str | None = None) -> str:
    """Every metric with its value and what it means, by family."""
    ordered = sorted(metrics, key=lambda name: _family_order(metrics, name))
    parts = []
    for family, names in groupby(ordered, key=lambda name: facts_of(name).family):
        rows = "".join(
            f'<tr><th scope="row">{said(facts_of(name, benchmark).title)}<code>{escaped(name)}</code></th>'
            f'<td class="number {tone(name, metrics[name], metrics)}"{mark_of_metric(name, metrics[name])}>'
            f"{escaped(shown_with_unit(name, metrics[name]))}</td>"
            f"{said(facts_of(name, benchmark).meaning, element='td')}</tr>"
            for name in names
        )
        parts.append(
            f'<tbody><tr><th colspan="3" class="family" data-said>{escaped(family)}</th></tr>{rows}</tbody>'
        )
    return f'<table class="metrics">{"".join(parts)}</table>'


def _family_order(metrics: Metrics, name: str) -> int:
    """Families in the order of their first metric."""
    family = facts_of(name).family
    return next(place for place, other in enumerate(metrics) if facts_of(other).family == family)


ACCOUNT = "account"
"""The row of all symbols together, in lower case as no symbol is."""


def metrics_by(rows: Mapping[str, Metrics], heading: str, benchmark: str | None = None) -> str:
    """A sortable table with a row for each symbol and a column for each metric."""
    names = list(dict.fromkeys(name for metrics in rows.values() for name in metrics))
    heads = "".join(
        f'<th scope="col" class="number" title="{escaped(facts.meaning)}" data-said-title>'
        f"<button data-said>{escaped(facts.title)}</button></th>"
        for facts in (facts_of(name, benchmark) for name in names)
    )
    body = "".join(
        f'<tr><th scope="row"{" data-said" if row == ACCOUNT else ""}>{escaped(row)}</th>'
        f"{''.join(_cell(name, of) for name in names)}</tr>"
        for row, of in rows.items()
    )
    return (
        f'<div class="wide"><table class="sortable"><thead><tr>'
        f'<th scope="col"><button data-said>{escaped(heading)}'
        f"</button></th>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(name: str, metrics: Metrics) -> str:
    value = metrics.get(name)
    sort = "" if value is None else f' data-value="{value:.6g}"'
    attributes = f'class="number {tone(name, value, metrics)}"{sort}{mark_of_metric(name, value)}'
    return f"<td {attributes}>{escaped(shown_with_unit(name, value))}</td>"


def months_table(returns: Mapping[int, Mapping[int, float]]) -> str:
    """A heatmap: a row for each year, a column for each month and one for the year."""
    scale = _scale([value for months in returns.values() for value in months.values()])
    heads = "".join(f'<th scope="col" data-said>{month}</th>' for month in (*MONTHS, "Year"))
    rows = []
    for year, months in sorted(returns.items()):
        cells = "".join(
            _heat(months.get(month), scale, label=name) for month, name in enumerate(MONTHS, start=1)
        )
        total = _heat(compounded(list(months.values())), 3 * scale, "total", "Year")
        rows.append(f'<tr><th scope="row">{year}</th>{cells}{total}</tr>')
    return (
        f'<div class="wide"><table class="heat months"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _heat(value: float | None, scale: float, extra: str = "", label: str = "") -> str:
    if value is None:
        return "<td></td>"
    strength = min(math.ceil(STRENGTHS * abs(value) / scale), STRENGTHS) if scale > 0.0 else 0
    kind = f"{'gain' if value > 0 else 'loss'}{strength}" if strength else ""
    return f'<td class="{kind} {extra}" data-label="{label}">{100 * value:z.1f}</td>'


def _scale(values: Sequence[float]) -> float:
    """A size that most values stay under, so that one extreme month does not pale all others."""
    sizes = sorted(abs(value) for value in values)
    return sizes[int(0.9 * (len(sizes) - 1))] if sizes else 0.0


def correlation_table(symbols: Sequence[str], values: NDArray[np.float64]) -> str:
    """A heatmap of the symbols' correlations."""
    heads = "".join(f'<th scope="col">{escaped(symbol)}</th>' for symbol in symbols)
    rows = []
    for symbol, row in zip(symbols, values.tolist(), strict=True):
        cells = "".join(map(_correlated, row))
        rows.append(f'<tr><th scope="row">{escaped(symbol)}</th>{cells}</tr>')
    return (
        f'<div class="wide"><table class="heat"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _correlated(value: float) -> str:
    if math.isnan(value):
        return "<td>-</td>"
    kind = "near" if value > 0 else "far"
    return f'<td class="{kind}{round(STRENGTHS * abs(value))}">{value:z.2f}</td>'


def pairs_table(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and values, whatever the values are; nothing stands out as a dash."""
    rows = "".join(
        f'<tr><th scope="row">{escaped(name)}</th><td>{escaped(plain(value))}</td></tr>'
        for name, value in pairs
    )
    return f'<table class="pairs">{rows}</table>'


def rows_table(heads: Sequence[str], rows: Iterable[Sequence[object]], kind: str = "plain") -> str:
    """A plain table, or one of another class of the page's style; sentences are said in two languages."""
    head = "".join(f'<th scope="col" data-said>{escaped(name)}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(map(_plain_cell, row))}</tr>" for row in rows)
    return (
        f'<div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _plain_cell(cell: object) -> str:
    if isinstance(cell, Sentence):
        return said(cell.template, *cell.values, element="td")
    return f"<td>{escaped(plain(cell))}</td>"


def plain(value: object) -> str:
    """A value of a request, of parameters or of a check, for people."""
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e15 and float(f"{value:g}") == value else repr(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, default=str)
