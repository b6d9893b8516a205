"""The best trials of a sweep as a table, each ready to be run as a backtest of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.model.metric_catalog import facts_of, shown
from backtest_pipeline.reports.html_tables import tone
from backtest_pipeline.reports.markup import escaped
from backtest_pipeline.reports.sweep_axes import value_text
from backtest_pipeline.reports.sweep_summary import MAIN_METRICS, MOST_TOP

if TYPE_CHECKING:
    from backtest_pipeline.reports.sweep_summary import SweepSummary
    from backtest_pipeline.reports.sweep_trials import TrialBatch


def best_section(
    summary: SweepSummary,
    task_id: str,
    path_of: Callable[[Mapping[str, Any]], str],
    benchmark: str | None = None,
) -> str:
    """A table of the best trials; each can be run as a backtest of its own.

    Args:
        summary: of the sweep.
        task_id: of the sweep.
        path_of: address of the launchpad, filled in with a trial of these values.
        benchmark: the request's, after which metrics against it are explained.
    """
    batch = summary.listed
    rows = np.flatnonzero((batch.rank > 0) & (batch.rank <= MOST_TOP))
    rows = rows[np.argsort(batch.rank[rows], kind="stable")]
    if not len(rows):
        none = '<p class="note" data-said>No trial ranks.</p>'
        return f"<section><h2 data-said>The best trials</h2>{none}</section>"
    metrics = list(
        dict.fromkeys([summary.metrics[0], *(one for one in MAIN_METRICS if one in summary.metrics)])
    )
    heads = [facts_of(name, benchmark) for name in metrics]
    body = "".join(
        f'<tr data-trial="{batch.trial[row]}"><td class="number" data-value="{batch.rank[row]}">'
        f'{batch.rank[row]}</td><th scope="row"><button class="pick">{batch.trial[row]}</button></th>'
        f"{_value_cells(summary, row)}{_metric_cells(batch, row, metrics)}"
        f"<td>{_run_it(task_id, int(batch.trial[row]), path_of(_plain_values(summary, row)))}</td></tr>"
        for row in rows.tolist()
    )
    head_cells = "".join(
        f'<th scope="col" class="{side}" title="{escaped(title)}" data-said-title>'
        f"<button{' data-said' if ours else ''}>{escaped(text)}</button></th>"
        for text, side, title, ours in [
            ("rank", "number", "", True),
            ("trial", "", "press to see all of it", True),
            *((axis.key, "number" if axis.is_ordered else "", "", False) for axis in summary.axes),
            *((facts.title, "number", facts.meaning, True) for facts in heads),
        ]
    )
    return (
        f'<section><h2 data-said>The best trials</h2><p class="note" data-said>'
        "A heading sorts; a number opens all "
        "that is known of the trial; the last column runs it as a backtest of its own.</p>"
        '<div class="wide scrolling" tabindex="0">'
        f'<table class="sortable best-trials" id="best-trials"><thead><tr>{head_cells}'
        f'<th scope="col" data-said>run it</th></tr></thead><tbody>{body}</tbody></table></div></section>'
    )


def _plain_values(summary: SweepSummary, row: int) -> dict[str, Any]:
    return {axis.key: axis.value(summary.listed.places[axis.key][row]) for axis in summary.axes}


def _value_cells(summary: SweepSummary, row: int) -> str:
    cells = []
    for axis in summary.axes:
        value = axis.value(summary.listed.places[axis.key][row])
        sort = f' data-value="{value:.10g}"' if axis.is_ordered else ""
        side = "number" if axis.is_ordered else ""
        cells.append(f'<td class="{side}"{sort}>{escaped(value_text(value))}</td>')
    return "".join(cells)


def _metric_cells(batch: TrialBatch, row: int, metrics: Sequence[str]) -> str:
    cells = []
    for name in metrics:
        number = float(batch.metrics[name][row])
        value = None if np.isnan(number) else number
        sort = "" if value is None else f' data-value="{value:.6g}"'
        cells.append(f'<td class="number {tone(name, value)}"{sort}>{escaped(shown(name, value))}</td>')
    return "".join(cells)


def _run_it(task_id: str, trial: int, path: str) -> str:
    command = f"backtest run --from {task_id} --trial {trial}"
    # The report stands at /tasks/<id>/report.html, perhaps below a prefix.
    link = f'<a class="launch" href="../..{escaped(path)}" data-said>launchpad</a>'
    return f"{link} <code>{escaped(command)}</code>"
