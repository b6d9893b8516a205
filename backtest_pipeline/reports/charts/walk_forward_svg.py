"""Still charts of a walk-forward as SVG in the page's own colours: they need no script, and stay small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.metric_catalog import facts_of, shown
from backtest_pipeline.reports.charts.downsample import kept_points
from backtest_pipeline.reports.markup import escaped

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from backtest_pipeline.reports.walk_forward_folds import FoldRow

    Floats = NDArray[np.float64]

_WIDTH, _LEFT, _RIGHT = 900.0, 64.0, 14.0
MOST_FOLDS_SHOWN, MOST_NUMBERED, MOST_POINTS = 60, 30, 600


def timeline_svg(rows: Sequence[FoldRow]) -> str:
    """Trainings and tests of the folds on a line of time, a line a fold; tests by profit or loss."""
    by_fold: dict[int, list[FoldRow]] = {}
    for row in rows:
        by_fold.setdefault(row.fold, []).append(row)
    folds = list(by_fold.values())
    folds = folds[:: -(-len(folds) // MOST_FOLDS_SHOWN)]
    first = min(min(row.train_start, row.test_start).timestamp() for own in folds for row in own)
    last = max(max(row.train_end, row.test_end).timestamp() for own in folds for row in own)
    step = 14.0 if len(folds) <= MOST_NUMBERED else 9.0
    height = 30.0 + step * len(folds)

    def x(moment: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (moment - first) / (last - first or 1.0)

    drawn = ""
    for place, own in enumerate(folds):
        y, head = 6.0 + step * place, own[0]
        start, end = head.train_start.timestamp(), head.train_end.timestamp()
        drawn += _bar(x, start, end, y, step, "train", head.train_text)
        for row in own:
            start, end = row.test_start.timestamp(), row.test_end.timestamp()
            drawn += _bar(x, start, end, y, step, row.outcome, row.test_text)
        if len(folds) <= MOST_NUMBERED or place % 5 == 0:
            drawn += f'<text x="{_LEFT - 6}" y="{y + step - 4:.1f}" text-anchor="end">{head.fold}</text>'
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        moment = first + (last - first) * share
        day = str(np.datetime64(int(moment), "s"))[:10]
        drawn += f'<text x="{x(moment):.1f}" y="{height - 6:.0f}" text-anchor="{anchor}">{day}</text>'
    return _svg("Folds on a line of time", height, drawn)


def _bar(
    x: Callable[[float], float], start: float, end: float, y: float, step: float, kind: str, title: str
) -> str:
    return (
        f'<rect class="{kind}" x="{x(start):.1f}" y="{y:.1f}" width="{max(x(end) - x(start), 1.0):.1f}" '
        f'height="{step - 3:.1f}"><title>{escaped(title)}</title></rect>'
    )


def scatter_svg(rows: Sequence[FoldRow], objective: str) -> str:
    """The objective out of sample against in sample, a dot a test; on the line, nothing was lost."""
    points = [
        (row.in_sample, row.out_of_sample, row)
        for row in rows
        if row.in_sample is not None and row.out_of_sample is not None
    ]
    if not points:
        return ""
    height, top, bottom = 300.0, 12.0, 40.0
    values = [value for inside, outside, _ in points for value in (inside, outside)]
    low, high = min(0.0, *values), max(0.0, *values)
    margin = (high - low or 1.0) * 0.05
    low, high = low - margin, high + margin

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - low) / (high - low)

    def y(value: float) -> float:
        return height - bottom - (height - top - bottom) * (value - low) / (high - low)

    drawn = (
        f'<path class="axis" d="M{x(low):.1f} {y(0.0):.1f}H{x(high):.1f}"/>'
        f'<path class="axis" d="M{x(0.0):.1f} {y(low):.1f}V{y(high):.1f}"/>'
        f'<path class="through" d="M{x(low):.1f} {y(low):.1f}L{x(high):.1f} {y(high):.1f}"/>'
    )
    for inside, outside, row in points:
        drawn += (
            f'<circle class="{row.outcome}" cx="{x(inside):.1f}" cy="{y(outside):.1f}" r="5">'
            f"<title>{escaped(row.test_text)}</title></circle>"
        )
    title = facts_of(objective).title
    for value in (low, high):
        text = shown(objective, value)
        drawn += f'<text x="{x(value):.1f}" y="{height - 22:.0f}" text-anchor="middle">{text}</text>'
        drawn += f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{text}</text>'
    drawn += (
        f'<text class="name" x="{_WIDTH / 2}" y="{height - 5:.0f}" text-anchor="middle">'
        f"{escaped(title)}: in sample, and upwards out of sample</text>"
    )
    return _svg(f"{title} out of sample against in sample", height, drawn)


def paths_svg(curves: Sequence[Floats], initial_cash: float, chosen: int) -> str:
    """Equity of every path through a cross-validation, from 1; the one that is reported stands out."""
    height, top, bottom = 260.0, 12.0, 16.0
    grown = [np.concatenate([[initial_cash], curve]) / initial_cash for curve in curves]
    low, high = min(float(one.min()) for one in grown), max(float(one.max()) for one in grown)

    def line(values: Floats, kind: str) -> str:
        kept = kept_points(values, MOST_POINTS)
        xs = _LEFT + (_WIDTH - _LEFT - _RIGHT) * kept / max(len(values) - 1, 1)
        ys = height - bottom - (height - top - bottom) * (values[kept] - low) / (high - low or 1.0)
        points = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs.tolist(), ys.tolist(), strict=True))
        return f'<path class="{kind}" d="M{points}"/>'

    drawn = "".join(line(one, "path") for place, one in enumerate(grown) if place != chosen)
    drawn += line(grown[chosen], "best")
    for value in sorted({low, 1.0, high}):
        y = height - bottom - (height - top - bottom) * (value - low) / (high - low or 1.0)
        drawn += f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>'
    return _svg("Equity of every path, from 1", height, drawn)


def distribution_svg(values: Sequence[float | None]) -> str:
    """How the paths' Sharpe ratios are distributed, a dot each, the losing ones in the colour of losses."""
    there = sorted(value for value in values if value is not None)
    if not there:
        return ""
    height = 64.0
    low, high = min(0.0, there[0]), max(0.0, there[-1])

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - low) / (high - low or 1.0)

    drawn = f'<path class="axis" d="M{_LEFT} 30H{_WIDTH - _RIGHT}M{x(0.0):.1f} 8V44"/>'
    for value in there:
        kind = "win" if value > 0.0 else "lose"
        drawn += (
            f'<circle class="{kind}" cx="{x(value):.1f}" cy="30" r="6"><title>{value:.2f}</title></circle>'
        )
    for value in sorted({low, 0.0, high}):
        drawn += f'<text x="{x(value):.1f}" y="{height - 4:.0f}" text-anchor="middle">{value:.2f}</text>'
    return _svg("Sharpe ratios of the paths", height, drawn)


def _svg(label: str, height: float, content: str) -> str:
    return (
        f'<svg class="chart walk" viewBox="0 0 {_WIDTH:.0f} {height:.0f}" role="img" '
        f'aria-label="{escaped(label)}">{content}</svg>'
    )
