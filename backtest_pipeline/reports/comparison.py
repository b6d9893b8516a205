"""Several results side by side: what differs, curves from the same start, metrics with the best marked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import DataRange1d

from backtest_pipeline.model.checks import any_failed
from backtest_pipeline.model.metric_catalog import common_benchmark, shown_with_unit
from backtest_pipeline.reports.bilingual import mark_of_metric, said
from backtest_pipeline.reports.charts.palette import DARK, LIGHT, SERIES
from backtest_pipeline.reports.charts.price_chart import embedded
from backtest_pipeline.reports.charts.timeline import Timeline, add_level
from backtest_pipeline.reports.compared_metrics import metric_rows
from backtest_pipeline.reports.html_tables import plain
from backtest_pipeline.reports.markup import escaped
from backtest_pipeline.reports.page import page

if TYPE_CHECKING:
    from bokeh.plotting import figure

    from backtest_pipeline.model.result import BacktestResult, Metrics

DAILY = ("1d", "1w")
MISSING_FIELD = object()


def comparison_html(results: Mapping[str, BacktestResult]) -> str:
    """Makes a page that compares results; the same results yield the same text.

    Args:
        results: by the name under which each is shown, at least one.
    """
    metrics = {name: one.metrics for name, one in results.items()}
    doubted = {name for name, one in results.items() if any_failed(one.checks)}
    benchmark = common_benchmark(one.request.benchmark for one in results.values())
    requests = {name: one.request.to_dict() for name, one in results.items()}
    body = "\n".join(
        [
            f"<header>{said('{0} backtests compared', len(results), element='h1')}</header>",
            (
                "<section><h2 data-said>What differs in the requests</h2>"
                f"{differences_table(requests)}</section>"
            ),
            _curves_section(results),
            f"<section><h2 data-said>Metrics</h2>{metrics_table(metrics, doubted, benchmark)}</section>",
        ]
    )
    data = {"charts": embedded(_figures(results)), "palette": {"light": LIGHT, "dark": DARK}}
    return page(f"{len(results)} backtests compared", body, data)


def request_differences(requests: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Values of the requests' fields that are not the same in all, by field and result.

    Fields within fields are ones of their own, as `params.fast`; one that a request lacks has no value.
    """
    fields = {name: _flat(one) for name, one in requests.items()}
    names = list(dict.fromkeys(field for of in fields.values() for field in of))
    rows = {field: {name: of.get(field, MISSING_FIELD) for name, of in fields.items()} for field in names}
    return {
        field: {name: value for name, value in row.items() if value is not MISSING_FIELD}
        for field, row in rows.items()
        if any(value != next(iter(row.values())) for value in row.values())
    }


def _flat(request: Mapping[str, object], within: str = "") -> dict[str, object]:
    """Every value by its path; ranges, which have a low end, are values."""
    flat: dict[str, object] = {}
    for field, value in request.items():
        path = f"{within}{field}"
        if isinstance(value, Mapping) and "low" not in value:
            flat |= _flat(value, f"{path}.")
        else:
            flat[path] = value
    return flat


def _figures(results: Mapping[str, BacktestResult]) -> dict[str, figure]:
    moments = [
        one.equity["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
        for one in results.values()
    ]
    intraday = [one.request.timeframe for one in results.values() if one.request.timeframe not in DAILY]
    timeframe = intraday[0] if intraday else "1d"
    timeline = Timeline.of(min(of[0] for of in moments), max(of[-1] for of in moments), timeframe)
    equity = timeline.empty("equity", 380, "0.00", with_times=False)
    drawdown = timeline.empty("drawdown", 160, "0.[00]%", y_range=DataRange1d(flipped=True, end=0))
    add_level(equity, 1.0)
    for place, (one, moment) in enumerate(zip(results.values(), moments, strict=True)):
        colour, tip = SERIES[place % len(SERIES)], f"number {place + 1}"
        rebased = one.equity["equity"].to_numpy(dtype=np.float64) / one.request.initial_cash
        line = timeline.add_line(equity, moment, rebased, colour=colour, name=f"equity-{place}")
        timeline.add_tips(equity, line, {tip: "@y{0.0000}"})
        depth = one.equity["drawdown_frac"].to_numpy(dtype=np.float64)
        line = timeline.add_line(drawdown, moment, depth, colour=colour, name=f"drawdown-{place}")
        timeline.add_tips(drawdown, line, {tip: "@y{0.00%}"})
    return {"equity": equity, "drawdown": drawdown}


def _curves_section(results: Mapping[str, BacktestResult]) -> str:
    buttons = "".join(
        f'<button data-line="{place}" aria-pressed="true">{swatch(place)}'
        f'<span title="{escaped(name)}">{place + 1}. {escaped(name)}</span></button>'
        for place, name in enumerate(results)
    )
    return (
        '<section><h2 data-said>Equity, from 1.0, and drawdown</h2><p class="note" data-said>'
        "Click a name to hide its curves; drag to move, Ctrl and wheel to zoom.</p>"
        f'<p class="lines">{buttons}</p>'
        '<div id="equity"></div><div id="drawdown"></div></section>'
    )


def metrics_table(
    metrics: Mapping[str, Metrics], doubted: Collection[str], benchmark: str | None = None
) -> str:
    """Every metric of each result, the best of those without a failed check marked."""
    rows = []
    for row in metric_rows(metrics, doubted, benchmark):
        cells = "".join(
            f'<td class="number {"best" if cell.is_best else ""} {cell.tone}"'
            f"{mark_of_metric(row.name, cell.value)}>"
            f"{escaped(shown_with_unit(row.name, cell.value))}</td>"
            for cell in row.cells
        )
        rows.append(
            f'<tr title="{escaped(row.facts.meaning)}" data-said-title>'
            f'<th scope="row" data-said>{escaped(row.facts.title)}</th>{cells}</tr>'
        )
    return columns_table(list(metrics), rows, "number")


def differences_table(requests: Mapping[str, Mapping[str, object]]) -> str:
    """What differs in the requests, a row a field."""
    differences = request_differences(requests)
    if not differences:
        return '<p class="note" data-said>Nothing: all ask for the same.</p>'
    rows = [
        f'<tr><th scope="row">{escaped(field)}</th>'
        + "".join(f"<td>{escaped(plain(values.get(name)))}</td>" for name in requests)
        + "</tr>"
        for field, values in differences.items()
    ]
    return columns_table(list(requests), rows, "")


def columns_table(names: list[str], rows: list[str], side: str) -> str:
    """A table with a column for each result, its colour in its head."""
    heads = "".join(
        f'<th scope="col" class="{side}" title="{escaped(name)}">{swatch(place)} {escaped(name)}</th>'
        for place, name in enumerate(names)
    )
    return (
        f'<div class="wide"><table class="columns"><thead><tr><th></th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def swatch(place: int) -> str:
    """The colour of a result by its place, as a short line."""
    colour = SERIES[place % len(SERIES)]
    return f'<svg width="18" height="4"><rect width="18" height="4" rx="2" fill="{colour}"/></svg>'
