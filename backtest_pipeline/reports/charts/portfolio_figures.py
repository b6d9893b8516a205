"""A shared account over time: weights, gross and net exposure, positions, turnover, contributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import (
    CategoricalTickFormatter,
    ColumnDataSource,
    DataRange1d,
    FactorRange,
    HoverTool,
    NumeralTickFormatter,
    SaveTool,
)
from bokeh.plotting import figure

from backtest_pipeline.reports.charts.palette import LIGHT, SERIES
from backtest_pipeline.reports.charts.theme import themed
from backtest_pipeline.reports.charts.timeline import add_level, in_any_theme, milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from backtest_pipeline.reports.charts.timeline import Timeline
    from backtest_pipeline.reports.portfolio_statistics import Contribution, Portfolio

    Floats = NDArray[np.float64]

MOST_WEIGHTS = len(SERIES)
"""Symbols whose weights have a colour of their own; the others are drawn as one."""
REST = "others"
MOST_POINTS = 1_600
MOST_BARS = 20


def weight_colours(portfolio: Portfolio) -> dict[str, str]:
    """The colour of each symbol that has one of its own, and of the rest where there is any."""
    named = portfolio.by_weight[:MOST_WEIGHTS]
    colours = dict(zip(named, SERIES, strict=False))
    return colours | ({REST: LIGHT["benchmark"]} if len(portfolio.by_weight) > len(named) else {})


def portfolio_figures(portfolio: Portfolio, timeline: Timeline) -> dict[str, figure]:
    """The figures by the id of the element that each one fills."""
    return {
        "weights": _weights_figure(portfolio, timeline),
        "gross-net": _exposure_figure(portfolio, timeline),
        "open-positions": _positions_figure(portfolio, timeline),
        "turnover": _turnover_figure(portfolio, timeline),
        "contributions": _contributions_figure(portfolio.contributions),
    }


def layers_of(portfolio: Portfolio, *, short: bool) -> dict[str, Floats]:
    """The sizes of weights that are drawn, of longs or shorts: of the largest symbols, and of the rest."""
    sizes = portfolio.shorts if short else portfolio.longs
    layers = {symbol: sizes[symbol] for symbol in portfolio.by_weight[:MOST_WEIGHTS]}
    rest = [sizes[symbol] for symbol in portfolio.by_weight[MOST_WEIGHTS:]]
    return layers | ({REST: np.sum(rest, axis=0)} if rest else {})


def _weights_figure(portfolio: Portfolio, timeline: Timeline) -> figure:
    made = timeline.empty("weights", 300, "0.[00]%", with_times=False, y_range=DataRange1d())
    colours = weight_colours(portfolio)
    x = milliseconds(portfolio.moment[[*portfolio.starts, -1]])
    nets: dict[str, Floats] = {}
    for sign in (1.0, -1.0):
        level = np.zeros(len(x))
        for name, sizes in layers_of(portfolio, short=sign < 0.0).items():
            size = np.append(sizes, sizes[-1])  # each stretch reaches to the next one's start
            nets[name] = nets.get(name, 0.0) + sign * size
            if size.any():
                source = ColumnDataSource({"x": x, "low": sign * level, "high": sign * (level + size)})
                made.varea_step(
                    x="x",
                    y1="low",
                    y2="high",
                    step_mode="after",
                    source=source,
                    fill_color=colours[name],
                    fill_alpha=0.75,
                )
            level = level + size
    add_level(made, 0.0)
    columns = {"x": x, "y": np.sum([*nets.values()] or [np.zeros(len(x))], axis=0)}
    columns |= {f"w{place}": weights for place, weights in enumerate(nets.values())}
    unseen = made.line(x="x", y="y", source=ColumnDataSource(columns), line_color=None)
    tips = {name: f"@w{place}{{0.0%}}" for place, name in enumerate(nets)}
    timeline.add_tips(made, unseen, tips, mode="vline", colour=colours)
    return made


def _exposure_figure(portfolio: Portfolio, timeline: Timeline) -> figure:
    made = timeline.empty("gross-net", 130, "0.[00]%", with_times=False)
    drawn = {"gross": (portfolio.gross, LIGHT["benchmark"]), "net": (portfolio.net, LIGHT["equity"])}
    for title, (values, colour) in drawn.items():
        line = timeline.add_line(made, portfolio.moment, values, colour=colour, width=1.4, most=MOST_POINTS)
        timeline.add_tips(made, line, {title: "@y{0.0%}"}, mode="vline")
    add_level(made, 0.0)
    return made


def _positions_figure(portfolio: Portfolio, timeline: Timeline) -> figure:
    made = timeline.empty("open-positions", 110, "0", with_times=False, y_range=DataRange1d(start=0))
    line = timeline.add_line(
        made,
        portfolio.moment,
        portfolio.positions.astype(np.float64),
        colour=LIGHT["equity"],
        width=1.2,
        filled=True,
        most=MOST_POINTS,
    )
    timeline.add_tips(made, line, {"open positions": "@y{0}"}, mode="vline")
    return made


def _turnover_figure(portfolio: Portfolio, timeline: Timeline) -> figure:
    made = timeline.empty("turnover", 130, "0.[0]%", y_range=DataRange1d(start=0))
    months, turnover = portfolio.turnover_by_month
    left = milliseconds(months.astype("datetime64[us]"))
    right = milliseconds((months + 1).astype("datetime64[us]"))
    width = right - left
    source = ColumnDataSource(
        {"x": left, "left": left + 0.1 * width, "right": right - 0.1 * width, "y": turnover}
    )
    bars = made.quad(
        left="left",
        right="right",
        bottom=0,
        top="y",
        fill_color=LIGHT["equity"],
        line_color=None,
        source=source,
    )
    name = f'<b style="color:{in_any_theme(LIGHT["equity"])}">turnover</b>'
    tips = f'<div class="tip">@x{{%Y-%m}}<div>{name}&nbsp; @y{{0.0%}}</div></div>'
    made.add_tools(HoverTool(renderers=[bars], tooltips=tips, formatters={"@x": "datetime"}, visible=False))
    return made


def shown_contributions(contributions: Sequence[Contribution]) -> Mapping[str, float]:
    """Contributions that are drawn, by name: the largest profits and losses, and the sum of the others."""
    most = sorted(contributions, key=lambda one: -abs(one.pnl))[:MOST_BARS]
    shown = {one.symbol: one.frac for one in contributions if one in most}
    others = [one.frac for one in contributions if one not in most]
    return shown | ({REST: float(sum(others))} if others else {})


def _contributions_figure(contributions: Sequence[Contribution]) -> figure:
    shown = shown_contributions(contributions)
    names, values = list(shown), np.array([*shown.values()])
    made = figure(
        name="contributions",
        height=60 + 22 * len(names),
        y_range=FactorRange(factors=names[::-1]),
        tools=[SaveTool()],
    )
    colours = [LIGHT["gain"] if value >= 0.0 else LIGHT["loss"] for value in values]
    source = ColumnDataSource({"name": names, "x": values, "colour": colours})
    bars = made.hbar(
        y="name", right="x", left=0, height=0.7, fill_color="colour", line_color=None, source=source
    )
    tips = '<div class="tip"><b style="color:@colour">@name</b>&nbsp; @x{0.00%}</div>'
    made.add_tools(HoverTool(renderers=[bars], tooltips=tips, visible=False))
    themed(made, "0")
    made.yaxis.formatter = CategoricalTickFormatter()
    made.xaxis.formatter = NumeralTickFormatter(format="0.[00]%")
    return made
