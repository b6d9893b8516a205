"""Several sweeps side by side: what was asked, the best of each, how their objectives are spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.model.checks import any_failed, named_with_checks
from backtest_pipeline.model.metric_catalog import facts_of, shown
from backtest_pipeline.model.space_values import written_values
from backtest_pipeline.reports.bilingual import said
from backtest_pipeline.reports.charts.palette import DARK, LIGHT, SERIES
from backtest_pipeline.reports.charts.price_chart import embedded
from backtest_pipeline.reports.charts.sweep_svg import overlaid_svg
from backtest_pipeline.reports.charts.timeline import Timeline, add_level
from backtest_pipeline.reports.comparison import columns_table, differences_table, metrics_table, swatch
from backtest_pipeline.reports.markup import escaped
from backtest_pipeline.reports.page import page
from backtest_pipeline.reports.sweep_outcome import values_of

if TYPE_CHECKING:
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.reports.charts.sweep_equity import Curve
    from backtest_pipeline.reports.sweep_axes import SweepAxis
    from backtest_pipeline.reports.sweep_survey import Survey

    Floats = NDArray[np.float64]

LEVELS = 60
_NOT_VARIED = "not varied"


@dataclass(frozen=True, eq=False, slots=True)
class ComparedSweep:
    """One of the sweeps.

    Attributes:
        manifest: of the task.
        request: what was asked.
        axes: of what varies.
        survey: of its trials.
        curve: equity of its winner; `None` where none ranks.
    """

    manifest: Manifest
    request: SweepRequest
    axes: list[SweepAxis]
    survey: Survey
    curve: Curve | None

    @property
    def initial_cash(self) -> float:
        """With what the winner began; a sweep may vary it."""
        varied = [axis for axis in self.axes if axis.key == "initial_cash"]
        if varied and self.survey.winner is not None:
            return float(varied[0].value(self.survey.winner.places["initial_cash"][0]))
        return self.request.backtest.initial_cash


def sweep_comparison_html(sweeps: Mapping[str, ComparedSweep]) -> str:
    """Makes a page that compares sweeps; the same sweeps yield the same text.

    Args:
        sweeps: by the name under which each is shown, at least one.
    """
    requests = {name: _in_words(one.request) for name, one in sweeps.items()}
    metrics = {name: one.manifest.metrics for name, one in sweeps.items()}
    doubted = {name for name, one in sweeps.items() if any_failed(one.manifest.checks)}
    known = {name: of for name, of in metrics.items() if of}
    with_curve = {name: one for name, one in sweeps.items() if one.curve is not None}
    body = "\n".join(
        [
            f"<header>{said('{0} sweeps compared', len(sweeps), element='h1')}</header>",
            (
                "<section><h2 data-said>What differs in the requests</h2>"
                f"{differences_table(requests)}</section>"
            ),
            f"<section><h2 data-said>The best of each</h2>{_winners(sweeps)}</section>",
            _distributions(sweeps),
            _curves(sweeps, drawn=bool(with_curve)),
            f"<section><h2 data-said>Metrics of the winners</h2>{metrics_table(metrics, doubted)}</section>"
            if known
            else "",
        ]
    )
    figures = {"equity": _equity_figure(sweeps)} if with_curve else {}
    data = {"charts": embedded(figures), "palette": {"light": LIGHT, "dark": DARK}}
    return page(f"{len(sweeps)} sweeps compared", body, data, ("sweep_report.css",))


def _in_words(request: SweepRequest) -> dict[str, Any]:
    """The request's fields, what varies written as people say it."""
    fields = request.to_dict()
    return fields | {"space": {key: written_values(values) for key, values in fields["space"].items()}}


def _winners(sweeps: Mapping[str, ComparedSweep]) -> str:
    rows = {
        "trials": [f"{one.survey.trials:,}" for one in sweeps.values()],
        "that rank": [f"{one.survey.ranked:,}" for one in sweeps.values()],
        "by": [facts_of(one.request.objective).title for one in sweeps.values()],
        "best": [_best(one) for one in sweeps.values()],
        "median": [_shown(one, one.survey.median) for one in sweeps.values()],
        "trial": [
            str(int(one.survey.winner.trial[0])) if one.survey.winner else "-" for one in sweeps.values()
        ],
    }
    winners = [
        values_of(one.axes, one.survey.winner, 0) if one.survey.winner else {} for one in sweeps.values()
    ]
    ours = set(rows)
    for key in dict.fromkeys(key for values in winners for key in values):
        rows[key] = [values.get(key, _NOT_VARIED) for values in winners]
    lines = [
        f'<tr><th scope="row"{" data-said" if name in ours else ""}>{escaped(name)}</th>'
        + "".join(f"<td{' data-said' if text == _NOT_VARIED else ''}>{escaped(text)}</td>" for text in texts)
        + "</tr>"
        for name, texts in rows.items()
    ]
    return columns_table(list(sweeps), lines, "")


def _best(one: ComparedSweep) -> str:
    if one.survey.winner is None:
        return "-"
    return named_with_checks(_shown(one, float(one.survey.winner.objective[0])), one.manifest.checks)


def _shown(one: ComparedSweep, value: float) -> str:
    return shown(one.request.objective, None if np.isnan(value) else value)


def _distributions(sweeps: Mapping[str, ComparedSweep]) -> str:
    """The objectives over one another, where they are the same metric; each sweep counts as a whole."""
    objectives = {one.request.objective for one in sweeps.values()}
    if len(objectives) > 1:
        why = "They rank by different metrics, so their distributions cannot be laid over one another."
        head = "<section><h2 data-said>Distribution of the objective</h2>"
        return f'{head}<p class="note" data-said>{why}</p></section>'
    [objective] = objectives
    scored = {place: one.survey for place, one in enumerate(sweeps.values()) if one.survey.scored}
    if not scored:
        why = said("No trial has a {0}.", facts_of(objective).title)
        return f'<section><h2 data-said>Distribution of the objective</h2><p class="note">{why}</p></section>'
    low = min(float(survey.edges[0]) for survey in scored.values())
    high = max(float(survey.edges[-1]) for survey in scored.values())
    edges = np.linspace(low, high, LEVELS + 1)
    lines = {
        place: (SERIES[place % len(SERIES)], respread(survey, edges), _winner_of(survey))
        for place, survey in scored.items()
    }
    legend = "".join(
        f"<span>{swatch(place)} {escaped(name)}</span>"
        for place, name in enumerate(sweeps)
        if place in scored
    )
    return (
        f"<section>{said('Distribution of the {0}', facts_of(objective).title, element='h2')}"
        '<p class="note" data-said>'
        "Share of the trials that have one, each sweep by itself; the upright lines are the winners.</p>"
        f'<p class="lines">{legend}</p>{overlaid_svg(lines, edges, objective)}</section>'
    )


def respread(survey: Survey, edges: Floats) -> Floats:
    """A survey's counts as shares between other edges, each level's trials spread evenly over it.

    Args:
        survey: with at least one objective.
        edges: they reach as far as the survey's own.
    """
    below = np.concatenate([[0.0], np.cumsum(survey.counts)]) / survey.scored
    return np.diff(np.interp(edges, survey.edges, below))


def _winner_of(survey: Survey) -> float | None:
    return None if survey.winner is None else float(survey.winner.objective[0])


def _curves(sweeps: Mapping[str, ComparedSweep], *, drawn: bool) -> str:
    if not drawn:
        none = '<p class="note" data-said>None has a winner.</p>'
        return f"<section><h2 data-said>Equity of the winners</h2>{none}</section>"
    buttons = "".join(
        f'<button data-line="{place}" aria-pressed="true">{swatch(place)}'
        f"{place + 1}. {escaped(name)}</button>"
        for place, (name, one) in enumerate(sweeps.items())
        if one.curve is not None
    )
    return (
        '<section><h2 data-said>Equity of the winners, from 1.0</h2><p class="note" data-said>'
        "Click a name to hide its curve; drag to move, Ctrl and wheel to zoom.</p>"
        f'<p class="lines">{buttons}</p>'
        '<div id="equity"></div></section>'
    )


def _equity_figure(sweeps: Mapping[str, ComparedSweep]) -> figure:
    curves = {place: one.curve for place, one in enumerate(sweeps.values()) if one.curve is not None}
    timeframes = [one.request.backtest.timeframe for one in sweeps.values()]
    first = min(curve.moment[0] for curve in curves.values())
    last = max(curve.moment[-1] for curve in curves.values())
    timeline = Timeline.of(first, last, next((one for one in timeframes if one not in {"1d", "1w"}), "1d"))
    made = timeline.empty("equity", 360, "0.00")
    add_level(made, 1.0)
    cash = [one.initial_cash for one in sweeps.values()]
    for place, curve in curves.items():
        line = timeline.add_line(
            made,
            curve.moment,
            curve.equity / cash[place],
            colour=SERIES[place % len(SERIES)],
            name=f"equity-{place}",
        )
        timeline.add_tips(made, line, {f"number {place + 1}": "@y{0.0000}"})
    return made
