"""A sweep's report: one file with what a search has found, without a server and without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.reports.bilingual import said
from backtest_pipeline.reports.charts.palette import DARK, LIGHT
from backtest_pipeline.reports.charts.price_chart import embedded
from backtest_pipeline.reports.charts.sweep_equity import curve_buttons, equity_figure_of
from backtest_pipeline.reports.details import details_of_manifest
from backtest_pipeline.reports.html_tables import against_benchmark, tiles
from backtest_pipeline.reports.luck_section import luck_section, luck_verdict
from backtest_pipeline.reports.page import page
from backtest_pipeline.reports.remarks_section import remarks_section
from backtest_pipeline.reports.sections import listed
from backtest_pipeline.reports.sweep_best_table import best_section
from backtest_pipeline.reports.sweep_page_data import sweep_data
from backtest_pipeline.reports.sweep_sections import (
    HEATMAP,
    names_section,
    parallel_section,
    spread_section,
    sweep_header,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.reports.charts.sweep_equity import Curve
    from backtest_pipeline.reports.sweep_summary import SweepSummary

PARTS = ("sweep_report.css", "sweep_listed.js", "sweep_report.js")
HEADLINES = (
    "sharpe",
    "total_return",
    "cagr",
    "max_drawdown",
    "win_rate",
    "profit_factor",
    "trades",
    "final_equity",
)


@dataclass(frozen=True, eq=False, slots=True)
class SweepFindings:
    """What a sweep's report is made of.

    Attributes:
        manifest: of the task.
        request: what was asked.
        summary: of all trials.
        curves: the equity of the best trials by number, by rank; empty where none ranks.
        config: the run config of the backtest of which something is varied.
        path_of: address of the launchpad, filled in with the trial of these values.
    """

    manifest: Manifest
    request: SweepRequest
    summary: SweepSummary
    curves: Mapping[int, Curve]
    config: Mapping[str, Any]
    path_of: Callable[[Mapping[str, Any]], str]


def sweep_report_html(found: SweepFindings) -> str:
    """Makes the report; the same findings yield the same text."""
    manifest, request, summary = found.manifest, found.request, found.summary
    names = {
        f"trial {trial}": said("{0}. trial {1}", rank, trial) for rank, trial in enumerate(found.curves, 1)
    }
    curves = dict(zip(names, found.curves.values(), strict=True))
    figures = {"equity": equity_figure_of(curves, request.backtest.timeframe)} if curves else {}
    body = "\n".join(
        [
            sweep_header(request, manifest, summary, manifest.summary.trials or {}),
            luck_verdict(manifest.robustness, request.backtest.symbols, manifest.checks),
            _winner_tiles(manifest) if summary.survey.winner is not None else "",
            remarks_section(manifest.diagnostics),
            HEATMAP,
            luck_section(manifest.robustness, _best_equity(found), request.backtest.initial_cash),
            spread_section(summary, request.objective),
            best_section(summary, manifest.task_id, found.path_of, manifest.benchmark),
            names_section(summary, request.objective),
            parallel_section(summary, request.objective),
            _equity_section(names) if curves else "",
            details_of_manifest(manifest),
        ]
    )
    data = {
        "charts": embedded(figures),
        "palette": {"light": LIGHT, "dark": DARK},
        "sweep": sweep_data(summary, request, manifest.task_id, found.config),
    }
    title = f"Sweep of {request.backtest.strategy} on {listed(request.backtest.symbols, 3)}"
    return page(title, body, data, PARTS)


def _best_equity(found: SweepFindings) -> NDArray[np.float64]:
    """The winner's equity, where its initial cash is the sweep's own; else nothing."""
    if not found.curves or "initial_cash" in found.request.space:
        return np.empty(0)
    return next(iter(found.curves.values())).equity


def _winner_tiles(manifest: Manifest) -> str:
    return tiles(
        manifest.metrics,
        [name for name in HEADLINES if name in manifest.metrics],
        {
            "sharpe": said("of the winner", element="small"),
            "total_return": against_benchmark(manifest.metrics, manifest.benchmark),
        },
    )


def _equity_section(names: Mapping[str, str]) -> str:
    return (
        '<section><h2 data-said>Equity of the best</h2><p class="note" data-said>'
        "Click a trial to hide its curve; drag to move, Ctrl and wheel to zoom.</p>"
        f'<p class="lines">{curve_buttons(names)}</p>'
        '<div id="equity"></div></section>'
    )
