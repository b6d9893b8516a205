"""A walk-forward's report: one file with what a search was worth on candles that it had not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.metric_catalog import facts_of, shown
from backtest_pipeline.reports.benchmark_curve import benchmark_curve
from backtest_pipeline.reports.bilingual import said
from backtest_pipeline.reports.charts.account_figures import account_figures
from backtest_pipeline.reports.charts.palette import DARK, LIGHT
from backtest_pipeline.reports.charts.portfolio_figures import portfolio_figures
from backtest_pipeline.reports.charts.price_chart import embedded
from backtest_pipeline.reports.charts.timeline import Timeline
from backtest_pipeline.reports.charts.walk_forward_svg import (
    distribution_svg,
    paths_svg,
    scatter_svg,
    timeline_svg,
)
from backtest_pipeline.reports.details import details_of_manifest, verdict
from backtest_pipeline.reports.drawdown_list import deepest_drawdowns
from backtest_pipeline.reports.html_tables import tiles
from backtest_pipeline.reports.luck_section import luck_section, luck_verdict
from backtest_pipeline.reports.markup import escaped
from backtest_pipeline.reports.page import page
from backtest_pipeline.reports.portfolio_section import portfolio_section
from backtest_pipeline.reports.portfolio_statistics import portfolio_of, skipped_entries
from backtest_pipeline.reports.remarks_section import remarks_section
from backtest_pipeline.reports.report import HEADLINES
from backtest_pipeline.reports.return_sections import drawdowns_section
from backtest_pipeline.reports.sections import (
    equity_section,
    listed,
    metrics_section,
    tile_remarks,
)
from backtest_pipeline.reports.walk_forward_folds import SHOWN_METRICS, FoldRow, fold_rows

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.robustness import WalkForwardRecord
    from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
    from backtest_pipeline.model.walk_forward_result import WalkForwardResult

PARTS = ("sweep_report.css", "walk_forward.css")


def walk_forward_report_html(found: WalkForwardResult, candles: Mapping[str, Candles] | None = None) -> str:
    """Makes the report; the same result and candles yield the same text.

    Args:
        found: with or without a manifest.
        candles: those that were traded and the benchmark's, by symbol, as far as they are there: what the
            account is compared with.
    """
    result, request, robustness = found.out_of_sample, found.request, found.robustness
    backtest = result.request
    rows = list(fold_rows(found.folds, request))
    moment = result.equity["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    equity = result.equity["equity"].to_numpy(dtype=np.float64)
    held = benchmark_curve(backtest, candles or {}, moment)
    drawdowns = deepest_drawdowns(moment, equity, backtest.initial_cash)
    timeline = Timeline.of(moment[0], moment[-1], backtest.timeframe)
    figures = account_figures(result, moment, timeline, held, drawdowns)
    portfolio = portfolio_of(result, candles or {})
    if portfolio is not None:
        figures |= portfolio_figures(portfolio, timeline)
    walked = robustness.walk_forward if robustness else None
    body = "\n".join(
        [
            _header(found, rows),
            luck_verdict(robustness, backtest.symbols, result.checks),
            remarks_section(result.diagnostics),
            tiles(result.metrics, HEADLINES, tile_remarks(result)),
            _timeline_section(rows),
            _scatter_section(rows, request.sweep.objective),
            _paths_section(found, walked),
            _chosen_section(walked),
            equity_section(backtest.benchmark, with_benchmark=held is not None),
            portfolio_section(portfolio, skipped_entries(result), candles or {}),
            drawdowns_section(drawdowns, backtest.timeframe),
            luck_section(robustness, equity, backtest.initial_cash),
            _folds_section(rows, request),
            metrics_section(result),
            details_of_manifest(found.manifest) if found.manifest else "",
        ]
    )
    data = {
        "charts": embedded(figures),
        "palette": {"light": LIGHT, "dark": DARK},
        "log": ["equity"] if equity.min() > 0.0 else [],
    }
    title = f"Walk-forward of {backtest.strategy} on {listed(backtest.symbols, 3)}"
    return page(title, body, data, PARTS)


def _header(found: WalkForwardResult, rows: Sequence[FoldRow]) -> str:
    request, backtest, manifest = found.request, found.request.sweep.backtest, found.manifest
    labels = "".join(
        f'<li class="label">{escaped(name)}: {escaped(value)}</li>' for name, value in backtest.labels.items()
    )
    task = (
        f"<span><span data-said>task</span> <code>{escaped(manifest.task_id)}</code></span>"
        if manifest
        else ""
    )
    names = "".join(f"<li>{escaped(key)}</li>" for key in request.sweep.space)
    kind, sentence = verdict(found.out_of_sample.checks.get("look_ahead"))
    return (
        f"<header><h1><span data-said>Walk-forward of</span> {escaped(backtest.strategy)}</h1>"
        f'<p class="outcome">{escaped(_outcome(request, rows, len(found.trials)))}</p>'
        f"<ul>{names}{labels}</ul>"
        f"<p><b>{escaped(listed(backtest.symbols))}</b><span>{escaped(backtest.timeframe)}</span>{task}"
        f'<span class="badge {kind}" data-said>{escaped(sentence)}</span></p></header>'
    )


def _outcome(request: WalkForwardRequest, rows: Sequence[FoldRow], trials: int) -> str:
    """In a sentence how it was done."""
    folds = len({row.fold for row in rows})
    objective = facts_of(request.sweep.objective).title
    searched = f"{counted(trials, 'trial')} by {request.sweep.search}"
    if request.is_cross_validation:
        combined = counted(folds, "combination")
        how = f"{request.folds} folds, {request.test_folds} tested at a time, in {combined}"
    else:
        kind = "growing trainings from" if request.anchored else "trainings of"
        how = f"{counted(folds, 'fold')}: {kind} {_length(request.train)}, tests of {_length(request.test)}"
    purged = f", {counted(request.purge_bars, 'bar')} purged" if request.purge_bars else ""
    embargo = f", {counted(request.embargo_bars, 'bar')} of embargo" if request.embargo_bars else ""
    return f"{how}{purged}{embargo}. {searched}; each winner by {objective} traded what came after."


def _length(window: int | str | None) -> str:
    return counted(window, "bar") if isinstance(window, int) else str(window)


def _timeline_section(rows: Sequence[FoldRow]) -> str:
    return (
        "<section><h2 data-said>Folds on a line of time</h2>"
        '<p class="note" data-said>Grey: training. Coloured: the test after it, by profit or loss.</p>'
        f"<figure>{timeline_svg(rows)}</figure></section>"
    )


def _scatter_section(rows: Sequence[FoldRow], objective: str) -> str:
    drawing = scatter_svg(rows, objective)
    if not drawing:
        return ""
    return (
        "<section><h2 data-said>In sample against out of sample</h2>"
        '<p class="note" data-said>A dot a test. On the dashed line a winner kept all that it had shown in '
        f"its training; below zero it lost.</p><figure>{drawing}</figure></section>"
    )


def _paths_section(found: WalkForwardResult, walked: WalkForwardRecord | None) -> str:
    if found.paths is None or walked is None or walked.paths is None:
        return ""
    curves = [found.paths[name].to_numpy(np.float64) for name in found.paths.columns if name != "timestamp"]
    reported = found.equity["equity"].to_numpy(np.float64)
    chosen = next((at for at, curve in enumerate(curves) if np.array_equal(curve, reported)), 0)
    return (
        "<section><h2 data-said>Paths out of sample</h2>"
        '<p class="note" data-said>Each path trades all folds, each by the winner of a training that has not '
        "seen it. The one in colour is the median, which this report is about.</p>"
        f"<figure>{paths_svg(curves, found.out_of_sample.request.initial_cash, chosen)}</figure>"
        f"<figure>{distribution_svg(walked.paths.sharpe)}<figcaption data-said>Sharpe ratios of the paths"
        "</figcaption></figure></section>"
    )


def _chosen_section(walked: WalkForwardRecord | None) -> str:
    if walked is None or not walked.chosen:
        return ""
    rows = "".join(
        f'<tr><th scope="row"><code>{escaped(name)}</code></th><td>{escaped(own.usual)}</td>'
        f'<td class="number">{own.usual_frac:.0%}</td><td class="number">{own.distinct:,}</td></tr>'
        for name, own in walked.chosen.items()
    )
    heads = "".join(
        f"<th>{said(text)}</th>"
        for text in ("name", "chosen most often", "share of the folds", "different values chosen")
    )
    return (
        "<section><h2 data-said>How stable the choice was</h2>"
        '<p class="note" data-said>A search that has found something chooses alike from fold to fold.</p>'
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
        "</section>"
    )


def _folds_section(rows: Sequence[FoldRow], request: WalkForwardRequest) -> str:
    objective = request.sweep.objective
    keys = list(request.sweep.space)
    titles = [facts_of(name).title for name in SHOWN_METRICS]
    heads = "".join(
        f"<th>{text}</th>"
        for text in (
            said("fold"),
            said("test"),
            said("trial"),
            *(escaped(key) for key in keys),
            f"{said('in sample')} {escaped(facts_of(objective).title)}",
            f"{said('out of sample')} {escaped(facts_of(objective).title)}",
            *(said(title) for title in titles),
        )
    )
    lines = []
    for row in rows:
        cells = [
            str(row.fold),
            f"{row.test_start:%Y-%m-%d} to {row.test_end:%Y-%m-%d}",
            "-" if row.trial is None else str(row.trial),
            *(row.chosen.get(key, "-") for key in keys),
            shown(objective, row.in_sample),
            shown(objective, row.out_of_sample),
            *row.metrics.values(),
        ]
        lines.append("<tr>" + "".join(f"<td>{escaped(cell)}</td>" for cell in cells) + "</tr>")
    return (
        '<section><h2 data-said>Fold by fold</h2><div class="scrolling wide"><table class="folds">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div></section>"
    )
