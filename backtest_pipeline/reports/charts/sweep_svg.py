"""Still charts of a sweep as SVG in the page's own colours: they need no script, and stay small."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.metric_catalog import facts_of, shown
from backtest_pipeline.reports.bilingual import mark, said
from backtest_pipeline.reports.markup import escaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.reports.sweep_axes import SweepAxis
    from backtest_pipeline.reports.sweep_grids import ObjectiveByName
    from backtest_pipeline.reports.sweep_survey import Survey

    Floats = NDArray[np.float64]
    Points = Sequence[tuple[float, float]]
    Scale = Callable[[float], float]

STRENGTHS = 5
QUANTILES = 5
LONGEST_TICK = 14


def distribution_svg(survey: Survey, objective: str, winner: float | None) -> str:
    """How many trials have which objective, the median and the winner marked."""
    width, height, left, right, top, bottom = 480.0, 220.0, 44.0, 14.0, 34.0, 28.0
    edges, counts = survey.edges, survey.counts
    most = max(int(counts.max()), 1)

    def x(value: float) -> float:
        return left + (width - left - right) * _share(value, edges)

    def y(count: float) -> float:
        return height - bottom - (height - top - bottom) * count / most

    bars = "".join(
        f'<rect class="bar" x="{x(low):.1f}" y="{y(count):.1f}" width="{max(x(high) - x(low) - 1, 0.5):.1f}" '
        f'height="{height - bottom - y(count):.1f}">{_counted_title(objective, low, high, count)}</rect>'
        for low, high, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
        if count
    )
    marks = ""
    if survey.scored:
        marks += _mark(x(survey.median), height - bottom, "median", shown(objective, survey.median), 24.0)
    if winner is not None:
        marks += _mark(x(winner), height - bottom, "winner", shown(objective, winner), 11.0)
    ticks = "".join(
        f'<text x="{x(value):.1f}" y="{height - 9:.0f}" text-anchor="middle">{shown(objective, value)}</text>'
        for value in np.linspace(edges[0], edges[-1], 5)[1:-1].tolist()
    )
    axis = f'<path class="axis" d="M{left} {height - bottom}H{width - right}"/>'
    scale = f'<text x="{left - 6}" y="{top + 4}" text-anchor="end">{_compact(most)}</text>'
    of_all = (
        "Distribution of the {0} of {1} trial"
        if survey.scored == 1
        else "Distribution of the {0} of {1} trials"
    )
    label = said(of_all, facts_of(objective).title, f"{survey.scored:,}", element="title")
    return _svg(width, height, label, axis + bars + marks + ticks + scale)


def overlaid_svg(lines: Mapping[int, tuple[str, Floats, float | None]], edges: Floats, objective: str) -> str:
    """Shares of several sweeps' trials between the same edges, over one another.

    Args:
        lines: by place, a colour, the shares, and where the winner is, if there is one.
        edges: of the levels.
        objective: name of the metric.
    """
    width, height, left, right, top, bottom = 900.0, 240.0, 46.0, 14.0, 12.0, 28.0
    most = max(float(shares.max()) for _, shares, _ in lines.values())

    def x(value: float) -> float:
        return left + (width - left - right) * _share(value, edges)

    def y(share: float) -> float:
        return height - bottom - (height - top - bottom) * share / most

    drawn = []
    for colour, shares, winner in lines.values():
        steps = [
            point
            for low, high, share in zip(edges[:-1], edges[1:], shares.tolist(), strict=True)
            for point in ((x(low), y(share)), (x(high), y(share)))
        ]
        drawn.append(f'<path d="{_path(steps)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        if winner is not None:
            drawn.append(
                f'<path class="goal" d="M{x(winner):.1f} {top}V{height - bottom}" stroke="{colour}" '
                f'stroke-width="2">{said("winner {0}", shown(objective, winner), element="title")}</path>'
            )
    ticks = "".join(
        f'<text x="{x(value):.1f}" y="{height - 9:.0f}" text-anchor="middle">{shown(objective, value)}</text>'
        for value in np.linspace(edges[0], edges[-1], 7)[1:-1].tolist()
    )
    axis = f'<path class="axis" d="M{left} {height - bottom}H{width - right}"/>'
    scale = f'<text x="{left - 6}" y="{top + 6}" text-anchor="end">{most:.1%}</text>'
    label = said("Distributions of the {0}", facts_of(objective).title, element="title")
    return _svg(width, height, label, axis + "".join(drawn) + ticks + scale)


def objective_by_name_svg(
    axis: SweepAxis, own: ObjectiveByName, edges: Floats, objective: str, profile: Points, winner: Points
) -> str:
    """The objective along one name: its spread as shades, its mean and best as lines, the winner as a dot.

    Args:
        axis: the name.
        own: the objective along it.
        edges: of the objective's levels.
        objective: name of the metric.
        profile: position and objective of the trials that differ from the winner in this name alone.
        winner: the same of the winner, one point or none.
    """
    width, height, left, right, top, bottom = 360.0, 220.0, 50.0, 12.0, 10.0, 40.0
    bins = len(own.best)

    def x(place: float) -> float:
        return left + (width - left - right) * place / bins

    def y(value: float) -> float:
        return height - bottom - (height - top - bottom) * _share(value, edges)

    shades = _shades(own.spread, x, y, edges)
    lines = _line("best", own.best, x, y) + _line("mean", own.mean, x, y)
    if len(profile) > 1:
        steps = [(x(_along(axis, at, bins)), y(value)) for at, value in profile]
        lines += f'<path class="through" d="{_path(steps)}"/>'
    dots = "".join(
        f'<circle class="winner" cx="{x(_along(axis, at, bins)):.1f}" cy="{y(value):.1f}" r="5">'
        f"{said('winner {0}', shown(objective, value), element='title')}</circle>"
        for at, value in winner
    )
    ticks = "".join(
        f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{shown(objective, value)}</text>'
        for value in np.linspace(edges[0], edges[-1], 4).tolist()
    )
    frame = f'<path class="axis" d="M{left} {top}V{height - bottom}H{width - right}"/>'
    label = said("{0} against {1}", facts_of(objective).title, axis.key, element="title")
    return _svg(
        width, height, label, frame + shades + lines + dots + ticks + _ticks(axis.labels(bins), x, height)
    )


def parallel_svg(
    columns: Sequence[tuple[str, str, str]], trials: Mapping[int, Sequence[float]], best: int
) -> str:
    """A line for each of some trials, through its value of each name and its objective.

    Args:
        columns: for each its name, and what stands at its lower and at its upper end; the last one is the
            objective's, whose name is the metric's.
        trials: by number, the worst first: where along each column the trial is, from 0 to 1.
        best: number of the winner.
    """
    width, height, left, right, top, bottom = 1_150.0, 340.0, 70.0, 70.0, 36.0, 30.0
    column = (width - left - right) / (len(columns) - 1)

    def y(share: float) -> float:
        return height - bottom - (height - top - bottom) * share

    lines = []
    count = len(trials)
    for place, (trial, shares) in enumerate(trials.items()):
        tone = "winner" if trial == best else f"q{QUANTILES - (place * QUANTILES) // count}"
        points = [(left + column * at, y(share)) for at, share in enumerate(shares)]
        lines.append(f'<path class="{tone}" data-trial="{trial}" d="{_path(points)}"/>')
    rules = "".join(
        f'<path class="axis" d="M{left + column * at} {top}V{height - bottom}"/>'
        f'<text x="{left + column * at}" y="{top - 18}" text-anchor="middle" class="name">'
        f"{said(name, element='tspan') if at == len(columns) - 1 else _short(name, 20)}</text>"
        f'<text x="{left + column * at}" y="{top - 5}" text-anchor="middle">{_short(high, 20)}</text>'
        f'<text x="{left + column * at}" y="{height - 14}" text-anchor="middle">{_short(low, 20)}</text>'
        for at, (name, low, high) in enumerate(columns)
    )
    label = said("Parallel coordinates of trials", element="title")
    return _svg(width, height, label, "".join(lines) + rules)


def _svg(width: float, height: float, label: str, content: str) -> str:
    """A chart whose accessible name is its first child, the element `label`."""
    return f'<svg class="chart" viewBox="0 0 {width:.0f} {height:.0f}" role="img">{label}{content}</svg>'


def _counted_title(objective: str, low: float, high: float, count: int) -> str:
    template = "{0} to {1}: {2} trial" if count == 1 else "{0} to {1}: {2} trials"
    return said(template, shown(objective, low), shown(objective, high), f"{count:,}", element="title")


def _share(value: float, edges: Floats) -> float:
    """Where a value is between the first edge (0) and the last (1)."""
    low, high = float(edges[0]), float(edges[-1])
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _along(axis: SweepAxis, position: float, bins: int) -> float:
    """Where a position is, in bins: a value that has a bin of its own is in its middle."""
    middle = 0.0 if axis.count is None else 0.5
    return float(axis.in_bins(np.array([position + middle]), bins)[0])


def _shades(spread: NDArray[np.int64], x: Scale, y: Scale, edges: Floats) -> str:
    """Rectangles by strength, one path each; two levels are drawn as one."""
    pairs = spread.reshape(len(spread), -1, 2).sum(axis=2)
    most = math.sqrt(max(int(pairs.max()), 1))
    strength = np.ceil(STRENGTHS * np.sqrt(pairs) / most).astype(np.int64)
    paths = []
    for wanted in range(1, STRENGTHS + 1):
        cells = [
            f"M{x(place):.1f} {y(edges[2 * level + 2]):.1f}H{x(place + 1):.1f}"
            f"V{y(edges[2 * level]):.1f}H{x(place):.1f}z"
            for place, level in np.argwhere(strength == wanted).tolist()
        ]
        if cells:
            paths.append(f'<path class="near{wanted}" d="{"".join(cells)}"/>')
    return "".join(paths)


def _line(kind: str, values: Floats, x: Scale, y: Scale) -> str:
    """A line through the middles of the bins that have a value, and dots where there is but one."""
    points = [(x(at + 0.5), y(value)) for at, value in enumerate(values.tolist()) if not math.isnan(value)]
    if len(points) == 1:
        return f'<circle class="{kind}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="3"/>'
    return f'<path class="{kind}" d="{_path(points)}"/>' if points else ""


def _path(points: Points) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _ticks(labels: Sequence[str], x: Scale, height: float) -> str:
    """Labels below the bins: all of a few, else the first, the middle one and the last."""
    count = len(labels)
    chosen = list(range(count)) if count <= 5 else [0, count // 2, count - 1]
    most = LONGEST_TICK if len(chosen) <= 3 else 8
    return "".join(
        f'<text x="{x(at + 0.5):.1f}" y="{height - 22:.0f}" text-anchor="{_anchor(at, count)}">'
        f"{_short(labels[at], most)}</text>"
        for at in chosen
    )


def _anchor(at: int, count: int) -> str:
    if count <= 5:
        return "middle"
    return "start" if at == 0 else "end" if at == count - 1 else "middle"


def _mark(x: float, bottom: float, kind: str, text: str, y: float) -> str:
    side = "end" if x > 240.0 else "start"
    beside = x - 5 if side == "end" else x + 5
    return (
        f'<path class="{kind}" d="M{x:.1f} {y - 9}V{bottom}"/>'
        f'<text class="{kind}" x="{beside:.1f}" y="{y}" text-anchor="{side}"{mark(f"{kind} {{0}}", text)}>'
        f"{kind} {escaped(text)}</text>"
    )


def _short(text: str, most: int) -> str:
    if len(text) <= most:
        return escaped(text)
    return f"{escaped(text[: most - 1])}…<title>{escaped(text)}</title>"


def _compact(count: int) -> str:
    return f"{count:,}" if count < 10_000 else f"{count / 1_000:,.0f}k"
