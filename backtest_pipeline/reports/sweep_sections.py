"""The parts of a sweep's report as HTML: what stands where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.model.metric_catalog import facts_of, shown
from backtest_pipeline.reports.bilingual import said
from backtest_pipeline.reports.charts.sweep_svg import distribution_svg, objective_by_name_svg, parallel_svg
from backtest_pipeline.reports.details import verdict
from backtest_pipeline.reports.markup import escaped
from backtest_pipeline.reports.sections import listed
from backtest_pipeline.reports.sweep_outcome import outcome

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.reports.sweep_axes import SweepAxis
    from backtest_pipeline.reports.sweep_neighbourhood import Neighbourhood
    from backtest_pipeline.reports.sweep_summary import SweepSummary
    from backtest_pipeline.reports.sweep_trials import TrialBatch

MOST_NAME_CHARTS, MOST_COLUMNS = 12, 10


def sweep_header(
    request: SweepRequest, manifest: Manifest, summary: SweepSummary, counts: Mapping[str, int]
) -> str:
    """What was searched, and what came of it; a winner that looks ahead is named before anything else."""
    backtest = request.backtest
    names = "".join(f"<li>{escaped(axis.key)} {_range(axis)}</li>" for axis in summary.axes)
    labels = "".join(
        f'<li class="label">{escaped(name)}: {escaped(value)}</li>' for name, value in backtest.labels.items()
    )
    fixed = [] if "symbols" in request.space else [f"<b>{escaped(listed(backtest.symbols))}</b>"]
    fixed += [] if "timeframe" in request.space else [f"<span>{escaped(backtest.timeframe)}</span>"]
    kind, sentence = verdict(manifest.checks.get("look_ahead"))
    warning = ""
    if kind == "loss":
        warning = (
            '<section class="remarks alarm"><h2 data-said>The winner looks ahead</h2>'
            "<p data-said>Its signals know bars that had not closed yet, so its numbers, and likely those of "
            "all trials, cannot be had in trading. See look_ahead in the fine print.</p></section>"
        )
    badge = (
        f'<span class="badge {kind}" data-said>{escaped(sentence)}</span>' if summary.survey.winner else ""
    )
    return (
        f"{warning}<header><h1><span data-said>Sweep of</span> {escaped(backtest.strategy)}</h1>"
        '<p class="outcome" id="outcome">'
        f"{' '.join(said(one.template, *one.values) for one in outcome(summary, request, counts))}</p>"
        f"<ul>{names}{labels}</ul>"
        f"<p>{''.join(fixed)}"
        f"<span><span data-said>task</span> <code>{escaped(manifest.task_id)}</code></span>"
        f"{badge}</p></header>"
    )


def _range(axis: SweepAxis) -> str:
    if axis.count is None:
        return said("{0} to {1}", *_ends(axis), element="b")
    if axis.count <= 4:
        return f"<b>{escaped(', '.join(axis.label(position) for position in range(axis.count)))}</b>"
    return said("{0} to {1}, {2} values", *_ends(axis), f"{axis.count:,}", element="b")


HEATMAP = (
    '<section><h2 data-said>Heatmap of two names</h2><div class="choices" id="heat-choices"></div>'
    '<div class="wide"><table class="cells" id="heat"></table></div>'
    '<p class="legend" id="heat-legend"></p><p class="note" id="heat-note" aria-live="polite"></p>'
    '<div id="cell" tabindex="-1" aria-live="polite"></div></section>'
)
"""Where the page's script draws, and where it says what is in a cell."""


def spread_section(summary: SweepSummary, objective: str) -> str:
    """How the objective is distributed, and what surrounds the winner."""
    survey = summary.survey
    if not survey.scored:
        why = said("No trial has a {0}, so there is nothing to draw.", facts_of(objective).title)
        return f'<section><h2 data-said>Distribution of the objective</h2><p class="note">{why}</p></section>'
    winner = None if survey.winner is None else float(survey.winner.objective[0])
    below, above = survey.beyond
    has = "{0} trial has a {1}." if survey.scored == 1 else "{0} trials have a {1}."
    scored = said(has, f"{survey.scored:,}", facts_of(objective).title)
    out = "{0} that lie far out count in the outermost bars."
    far = said(out, f"{below + above:,}") if below + above else ""
    around = ""
    if summary.neighbourhood is not None:
        known = _around(summary.neighbourhood, objective)
        around = f"<section><h2 data-said>The winner's neighbourhood</h2>{known}</section>"
    return (
        f'<div class="two"><section><h2 data-said>Distribution of the objective</h2><p class="note">'
        f"{scored} {far}</p>"
        f"{distribution_svg(survey, objective, winner)}</section>{around}</div>"
    )


def _around(around: Neighbourhood, objective: str) -> str:
    sentence = {
        "plateau": "A plateau: settings around the winner are about as good; it hangs on no single value.",
        "slope": "A slope: settings around the winner are good, but clearly worse than it.",
        "spike": "A spike: settings around the winner are no better than most, which speaks of luck.",
        "unknown": "Nothing is known of settings right around the winner.",
        "behind": "The winner is no better than the median of all trials, so it has no lead to keep.",
    }[around.shape]
    kept = "-" if around.kept is None else f"{around.kept:.0%}"
    tone_of = {"plateau": "gain", "spike": "loss"}.get(around.shape, "")
    rows = [
        ("the winner", shown(objective, around.winner)),
        ("mean of its neighbours", _or_none(objective, around.mean)),
        ("the worst of them", _or_none(objective, around.worst)),
        ("median of all trials", _or_none(objective, around.median)),
        ("of its lead, neighbours keep", kept),
    ]
    if around.others:
        rows.append(("around it without a value", f"{around.others:,}"))
    body = "".join(
        f'<tr><th scope="row" data-said>{escaped(name)}</th><td class="number">{escaped(value)}</td></tr>'
        for name, value in rows
    )
    return (
        f'<p class="{tone_of}" id="neighbourhood" data-said>{sentence}</p><table class="pairs">{body}</table>'
        '<p class="note" data-said>Neighbours are at most one step away in each name that has an order, '
        "and equal in all others; where the search draws, within a twentieth of the range.</p>"
    )


def _or_none(objective: str, value: float) -> str:
    return shown(objective, None if np.isnan(value) else value)


def names_section(summary: SweepSummary, objective: str) -> str:
    """The objective against each name, those first that move it most."""
    if not summary.survey.scored:
        return ""
    order = sorted(range(len(summary.axes)), key=lambda name: -summary.survey.effects[name])
    charts = []
    for name in order[:MOST_NAME_CHARTS]:
        axis, winner = summary.axes[name], summary.survey.winner
        dots = []
        if winner is not None:
            at = float(axis.positions(winner.places[axis.key])[0])
            dots = [(at, float(winner.objective[0]))]
        chart = objective_by_name_svg(
            axis, summary.by_name[name], summary.survey.edges, objective, summary.profiles[name], dots
        )
        charts.append(
            f"<figure><figcaption><b>{escaped(axis.key)}</b> "
            f"{said('explains {0} of the variance', f'{summary.survey.effects[name]:.0%}')}</figcaption>"
            f"{chart}</figure>"
        )
    more = len(order) - len(charts)
    left_out = said("The {0} that move it least are left out.", more) if more else ""
    return (
        f"<section>{said('{0} against each name', facts_of(objective).title, element='h2')}"
        '<p class="legend"><i class="line equity"></i><span data-said>best that ranks</span>'
        '<i class="line benchmark"></i><span data-said>mean</span>'
        '<i class="line through"></i><span data-said>through the winner, all else as it has it</span>'
        '<i class="mark winner">●</i><span data-said>winner</span>'
        f'</p><p class="note">{said("Shades say how many trials there are.")} {left_out}</p>'
        f'<div class="charts">{"".join(charts)}</div></section>'
    )


def parallel_section(summary: SweepSummary, objective: str) -> str:
    """Trials of all ranks as lines through their values."""
    batch = summary.listed
    rows = np.flatnonzero(np.isin(batch.rank, summary.sampled) & (batch.rank > 0))
    if not len(rows):
        return ""
    rows = rows[np.argsort(-batch.rank[rows], kind="stable")]
    axes = [summary.axes[name] for name in summary.crossed][: MOST_COLUMNS - 1]
    shares = [_shares(axis, batch.take(rows)) for axis in axes]
    ends = [_ends(axis) for axis in axes]
    scores = batch.objective[rows]
    low, high = float(scores.min()), float(scores.max())
    up = (scores - low) / (high - low) if high > low else np.full(len(rows), 0.5)
    columns = [(axis.key, *of) for axis, of in zip(axes, ends, strict=True)]
    columns.append((facts_of(objective).title, shown(objective, low), shown(objective, high)))
    lines = {
        int(batch.trial[row]): [*(float(share[at]) for share in shares), float(up[at])]
        for at, row in enumerate(rows.tolist())
    }
    chart = parallel_svg(columns, lines, int(batch.trial[rows[-1]]))
    return (
        "<section><h2 data-said>Parallel coordinates</h2>"
        f"{_of_all_ranks(len(rows))}"
        '<label class="choice"><span data-said>the best</span> <output id="parallel-share">100'
        "</output> <span data-said>% of them</span> "
        '<input type="range" id="parallel-range" min="1" max="100" value="100"></label>'
        f'<div class="wide" id="parallel">{chart}</div></section>'
    )


def _of_all_ranks(trials: int) -> str:
    how = "the better, the stronger the line. Click a line to see its trial."
    noun = "trial" if trials == 1 else "trials"
    return f'<p class="note">{said(f"{{0}} ranked {noun}, evenly of all ranks; {how}", f"{trials:,}")}</p>'


def _shares(axis: SweepAxis, batch: TrialBatch) -> np.ndarray[Any, np.dtype[np.float64]]:
    along = np.asarray(axis.positions(batch.places[axis.key]), dtype=np.float64)
    if axis.count is None:
        return along
    return along / (axis.count - 1) if axis.count > 1 else np.full(len(along), 0.5)


def _ends(axis: SweepAxis) -> tuple[str, str]:
    if axis.count is None:
        low, _, high = axis.labels(1)[0].partition(" to ")
        return low, high
    return axis.label(0), axis.label(axis.count - 1)
