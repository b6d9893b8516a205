"""A sweep as one picture: the best objective over the two names that move it most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.metric_catalog import facts_of, shown
from backtest_pipeline.reports.charts.palette import LIGHT
from backtest_pipeline.reports.charts.picture import font, png_of, writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from backtest_pipeline.reports.sweep_grids import TrialGrid
    from backtest_pipeline.reports.sweep_summary import SweepSummary

    Floats = NDArray[np.float64]

WIDTH_INCHES, HEIGHT_INCHES, PIXELS_PER_INCH = 8.0, 4.5, 120
# Left, bottom, width and height, as fractions of the picture.
CELLS, COLOURS = (0.15, 0.15, 0.72, 0.71), (0.895, 0.15, 0.02, 0.71)
EDGE, HEAD = 0.016, 0.935
TEXT_PT, HEAD_PT = 8.0, 9.5
MOST_TICKS, LONGEST_TICK, LONGEST_HEAD, LETTERS_ACROSS = 10, 16, 110, 90


def sweep_png(summary: SweepSummary, strategy: str, objective: str) -> bytes:
    """Draws the sweep, 960 by 540 pixels, opaque and light; the same summary yields the same bytes.

    Where one name varies alone, the best and the mean objective are drawn as lines along it.

    Args:
        summary: of the sweep.
        strategy: its name.
        objective: the metric that ranks.
    """
    return png_of(sweep_figure(summary, strategy, objective))


def sweep_figure(summary: SweepSummary, strategy: str, objective: str) -> Figure:
    """The figure of `sweep_png`; all goes through objects, never through pyplot."""
    figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=PIXELS_PER_INCH, facecolor=LIGHT["panel"])
    axes = figure.add_axes(CELLS)
    if summary.pairs:
        _draw_cells(figure, axes, summary, objective)
    else:
        _draw_line(axes, summary, objective)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set_fontproperties(font(TEXT_PT))
        for text in axis.get_ticklabels():
            text.set_fontproperties(font(TEXT_PT))
    axes.tick_params(length=0, pad=5, labelcolor=LIGHT["muted"])
    for side in axes.spines.values():
        side.set_visible(False)
    figure.text(
        EDGE,
        HEAD,
        writable(_head(summary, strategy, objective)),
        color=LIGHT["ink"],
        fontproperties=font(HEAD_PT),
        parse_math=False,
    )
    return figure


def _head(summary: SweepSummary, strategy: str, objective: str) -> str:
    title = facts_of(objective).title
    winner = summary.survey.winner
    if winner is None:
        text = f"{strategy}: {counted(summary.survey.trials, 'trial')}, none ranks by {title}"
    else:
        best = shown(objective, float(winner.objective[0]))
        trial = f"trial {int(winner.trial[0])}"
        text = f"{strategy}: best {title} {best} of {counted(summary.survey.trials, 'trial')}, {trial}"
    return text if len(text) <= LONGEST_HEAD else f"{text[: LONGEST_HEAD - 1]}…"


def best_of_cells(summary: SweepSummary, grid: TrialGrid, objective: str) -> Floats:
    """The objective of the best ranked trial of each cell, NaN for none; shape (first name, second name)."""
    rows = np.searchsorted(summary.listed.trial, grid.best)
    rows = np.minimum(rows, len(summary.listed) - 1)
    ranks = (summary.listed.trial[rows] == grid.best) & (summary.listed.rank[rows] > 0)
    values = np.where(ranks, summary.listed.metrics[objective][rows], np.nan)
    return np.asarray(values.reshape(grid.sizes))


def _draw_cells(figure: Figure, axes: Axes, summary: SweepSummary, objective: str) -> None:
    grid = summary.pairs[0]
    values = best_of_cells(summary, grid, objective)
    across, down = (summary.axes[name] for name in grid.names)
    known = values[~np.isnan(values)]
    low, high = (float(one) for one in np.quantile(known, (0.02, 0.98))) if len(known) else (0.0, 1.0)
    better = facts_of(objective).better
    drawn = axes.imshow(
        np.ma.masked_invalid(values.T),
        aspect="auto",
        cmap="viridis" if better == "more" else "viridis_r",
        vmin=low,
        vmax=high if high > low else low + 1e-9,
        interpolation="nearest",
    )
    axes.set_facecolor(LIGHT["rule"])
    _label(axes, "x", across.key, across.labels(grid.sizes[0]))
    _label(axes, "y", down.key, down.labels(grid.sizes[1]))
    winner = summary.survey.winner
    if winner is not None:
        place = [int(axis.binned(winner.places[axis.key], size)[0]) for axis, size in
                 zip((across, down), grid.sizes, strict=True)]  # fmt: skip
        style: dict[str, Any] = {"color": "white", "markeredgecolor": "black", "markersize": 13}
        axes.plot(place[0], place[1], "*", **style)
    bar = figure.add_axes(COLOURS)
    figure.colorbar(drawn, cax=bar, format=FuncFormatter(lambda value, _: shown(objective, value)))
    bar.tick_params(length=0, labelcolor=LIGHT["muted"])
    bar.yaxis.get_offset_text().set_visible(False)
    for text in bar.get_yticklabels():
        text.set_fontproperties(font(TEXT_PT))
    for side in bar.spines.values():
        side.set_visible(False)


def _draw_line(axes: Axes, summary: SweepSummary, objective: str) -> None:
    [axis], [own] = summary.axes, summary.by_name
    bins = np.arange(len(own.best))
    marker = "o" if len(bins) < 30 else ""
    axes.plot(bins, own.mean, color=LIGHT["benchmark"], marker=marker, markersize=3.5, label="mean")
    axes.plot(bins, own.best, color=LIGHT["equity"], marker=marker, markersize=3.5, label="best that ranks")
    axes.set_facecolor(LIGHT["panel"])
    axes.grid(visible=True, color=LIGHT["rule"], linewidth=0.6)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(objective, value)))
    axes.legend(prop=font(TEXT_PT), frameon=False, loc="best")
    _label(axes, "x", axis.key, axis.labels(len(bins)))


def _label(axes: Axes, side: str, name: str, labels: Sequence[str]) -> None:
    """Names an axis and writes up to ten of its bins."""
    longest = max(len(label) for label in labels)
    room = MOST_TICKS if side == "y" else max(min(MOST_TICKS, LETTERS_ACROSS // longest), 2)
    every = -(-len(labels) // room)
    places = list(range(0, len(labels), every))
    texts = [_plain_text(labels[place], LONGEST_TICK) for place in places]
    title = _plain_text(name, 40)
    if side == "x":
        axes.set_xticks(places, texts, parse_math=False)
        axes.set_xlabel(title, color=LIGHT["ink"], parse_math=False)
    else:
        axes.set_yticks(places, texts, parse_math=False)
        axes.set_ylabel(title, color=LIGHT["ink"], parse_math=False)


def _plain_text(text: str, most: int) -> str:
    return writable(text if len(text) <= most else f"{text[: most - 1]}…")
