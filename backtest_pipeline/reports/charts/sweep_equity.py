"""The equity of a sweep's best trials over one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.reports.charts.downsample import kept_points
from backtest_pipeline.reports.charts.palette import LIGHT, SERIES
from backtest_pipeline.reports.charts.price_chart import MONEY
from backtest_pipeline.reports.charts.timeline import Timeline

if TYPE_CHECKING:
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from backtest_pipeline.model.timeframe import Timeframe

    Moments = NDArray[np.datetime64]
    Floats = NDArray[np.float64]

MOST_CURVES = 20
MOST_POINTS = 800


@dataclass(frozen=True, eq=False, slots=True)
class Curve:
    """One trial's account.

    Attributes:
        moment: shape (n,), its bars.
        equity: shape (n,), at their closes, without NaN.
    """

    moment: Moments
    equity: Floats


def equity_figure_of(curves: Mapping[str, Curve], timeframe: Timeframe) -> figure:
    """A figure of curves by their names, the first one on top; at least one."""
    first = min(curve.moment[0] for curve in curves.values())
    last = max(curve.moment[-1] for curve in curves.values())
    timeline = Timeline.of(first, last, timeframe)
    made = timeline.empty("equity", 360, MONEY)
    for place, (name, curve) in reversed(list(enumerate(curves.items()))):
        kept = kept_points(curve.equity, MOST_POINTS)
        line = timeline.add_line(
            made,
            curve.moment[kept],
            curve.equity[kept],
            colour=curve_colour(place),
            width=1.2 if place else 2.6,
            name=f"equity-{place}",
        )
        timeline.add_tips(made, line, {name: "@y{0,0.00}"})
    return made


def curve_colour(place: int) -> str:
    """The colour of a curve by its place; the first one is the page's own for an account."""
    return SERIES[(place - 1) % (len(SERIES) - 1) + 1] if place else LIGHT["equity"]


def curve_buttons(names: Mapping[str, str]) -> str:
    """Buttons that hide and show curves; by the curve's name what stands on its button, as HTML."""
    return "".join(
        f'<button data-line="{place}" aria-pressed="true"><svg width="18" height="4">'
        f'<rect width="18" height="4" rx="2" fill="{curve_colour(place)}"/></svg>{text}</button>'
        for place, text in enumerate(names.values())
    )
