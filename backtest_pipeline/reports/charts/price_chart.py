"""The other Bokeh figures: candles with trades, bars; and how figures go into a page."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.document import Document
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, NumeralTickFormatter, SaveTool
from bokeh.plotting import figure

from backtest_pipeline.reports.charts.palette import LIGHT
from backtest_pipeline.reports.charts.theme import themed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.reports.charts.timeline import Timeline

    Floats = NDArray[np.float64]

MONEY, PRICE = "0,0.[00]", "0,0.[0000]"
# Of the strategy's own lines: none that could be taken for a gain, a loss or an entry.
LINE_COLOURS = ("#d9601a", "#7a6cf0", "#168aa0", "#a67c00", "#b653c9", "#7b8494")
_MODEL_ID = re.compile(r"p\d+")


def price_figures(timeline: Timeline, lines: int = 0, panes: Sequence[int] = ()) -> dict[str, figure]:
    """Candles with trades, volume, and the strategy's panes; the page's script fills their sources.

    Args:
        timeline: that of the account.
        lines: how many lines the strategy draws over the prices.
        panes: how many lines there are in each of its panes.

    Returns:
        By the id of the element that each one fills: `price`, `pane-0` and so on, `volume`.
    """
    price = timeline.empty("price", 360, MONEY, with_times=False)
    volume = timeline.empty("volume", 110, "0.[0]a", y_range=DataRange1d(start=0))
    _add_candles(price, volume)
    _add_lines(price, -1, lines)
    _add_trade_marks(timeline, price)
    below = {
        f"pane-{pane}": timeline.empty(f"pane-{pane}", 130, PRICE, with_times=False)
        for pane in range(len(panes))
    }
    for pane, (made, count) in enumerate(zip(below.values(), panes, strict=True)):
        _add_lines(made, pane, count)
    return {"price": price, **below, "volume": volume}


def _add_lines(made: figure, pane: int, count: int) -> None:
    for place in range(count):
        source = _filled_later(f"line-{pane}-{place}", "x", "y")
        made.line(x="x", y="y", source=source, line_color=LINE_COLOURS[place], line_width=1.6)


def _add_candles(price: figure, volume: figure) -> None:
    names = ("x", "o", "h", "l", "c", "v", "w", "left", "right", "colour")
    candles = _filled_later("candles", *names)
    price.segment(x0="x", x1="x", y0="l", y1="h", line_color="colour", source=candles)
    # Bodies have no outline, which Bokeh would draw at the frame's edge; a line at the close shows flat ones.
    price.vbar(x="x", width="w", top="o", bottom="c", fill_color="colour", line_color=None, source=candles)
    price.segment(x0="left", x1="right", y0="c", y1="c", line_color="colour", source=candles)
    volume.vbar(
        x="x",
        width="w",
        top="v",
        bottom=0,
        fill_color="colour",
        fill_alpha=0.7,
        line_color=None,
        source=candles,
    )


def _add_trade_marks(timeline: Timeline, price: figure) -> None:
    held = _filled_later("held", "x0", "y0", "x1", "y1", "colour")
    price.segment(
        x0="x0",
        y0="y0",
        x1="x1",
        y1="y1",
        line_color="colour",
        line_width=1.5,
        line_dash="dashed",
        source=held,
    )
    names = ("x", "y", "moment", "marker", "colour", "edge", "width", "alpha", "what", "size")
    drawn = price.scatter(
        x="x",
        y="y",
        marker="marker",
        size="size",
        fill_color="colour",
        fill_alpha="alpha",
        line_color="edge",
        line_width="width",
        source=_filled_later("marks", *names),
    )
    tips = {"@what": f"@y{{{PRICE}}}"}
    timeline.add_tips(price, drawn, tips, colour="@colour", moment="@moment")


def _filled_later(name: str, *columns: str) -> ColumnDataSource:
    return ColumnDataSource({column: [] for column in columns}, name=name)


def histogram_figure(
    counts: NDArray[np.int64], edges: Floats, what: str, extremes: tuple[float, float]
) -> figure:
    """Bars of trades or bars by return, losses and gains in their colours.

    Args:
        counts: shape (k,).
        edges: shape (k + 1,).
        what: is counted, for tips.
        extremes: lowest and highest return; an outermost bar that reaches no farther than them is hatched.
    """
    made = figure(height=260, tools=[SaveTool()], y_range=DataRange1d(start=0))
    colours = [LIGHT["loss"] if left < -1e-12 else LIGHT["gain"] for left in edges[:-1]]
    labels = [f"{left:z.1%} to {right:z.1%}" for left, right in itertools.pairwise(edges.tolist())]
    hatched = [" "] * len(labels)
    slack = 1e-9 * (edges[-1] - edges[0])
    if extremes[0] < edges[0] - slack:
        labels[0], hatched[0] = f"{extremes[0]:z.1%} to {edges[1]:z.1%}", "/"
    if extremes[1] > edges[-1] + slack:
        labels[-1], hatched[-1] = f"{edges[-2]:z.1%} to {extremes[1]:z.1%}", "/"
    source = ColumnDataSource(
        {
            "n": counts,
            "from": edges[:-1],
            "to": edges[1:],
            "colour": colours,
            "label": labels,
            "hatch": hatched,
        }
    )
    bars = made.quad(
        left="from",
        right="to",
        bottom=0,
        top="n",
        fill_color="colour",
        fill_alpha=0.8,
        hatch_pattern="hatch",
        hatch_color=LIGHT["panel"],
        line_color=LIGHT["panel"],
        source=source,
    )
    tips = f'<div class="tip"><b style="color:@colour">@label</b><br>@n{{0,0}} {what}</div>'
    made.add_tools(HoverTool(renderers=[bars], tooltips=tips, visible=False))
    made.xaxis.formatter = NumeralTickFormatter(format="0.[0]%")
    return themed(made, "0,0")


def embedded(figures: Mapping[str, figure]) -> dict[str, object]:
    """The figures as the page's script embeds them, the same for the same figures.

    Args:
        figures: by the id of the element that each one fills.
    """
    document = Document()
    with document.models.freeze():  # else every root has Bokeh look through all of them again
        for one in figures.values():
            document.add_root(one)
    ids: dict[str, str] = {}
    plain = _renamed(document.to_json(deferred=False), ids)
    return {"document": plain, "roots": {ids[one.id]: element for element, one in figures.items()}}


def _renamed(value: Any, ids: dict[str, str]) -> Any:
    """Bokeh's JSON with models numbered as they come; Bokeh counts them since the process began."""
    if isinstance(value, dict):
        return {
            key: ids.setdefault(item, f"m{len(ids)}")
            if key == "id" and isinstance(item, str) and _MODEL_ID.fullmatch(item)
            else _renamed(item, ids)
            for key, item in value.items()
        }
    return [_renamed(item, ids) for item in value] if isinstance(value, list | tuple) else value
