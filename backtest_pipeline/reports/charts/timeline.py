"""Bokeh figures over time that share their span, and the lines in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    DataRange1d,
    DatetimeTicker,
    HoverTool,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    WheelZoomTool,
)
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from backtest_pipeline.model.timeframe import BAR_SECONDS
from backtest_pipeline.reports.charts.downsample import kept_points
from backtest_pipeline.reports.charts.palette import LIGHT
from backtest_pipeline.reports.charts.theme import themed

if TYPE_CHECKING:
    from bokeh.models.renderers import GlyphRenderer
    from numpy.typing import NDArray

    from backtest_pipeline.model.timeframe import Timeframe

    Floats = NDArray[np.float64]
    Moments = NDArray[np.datetime64]

MOST_POINTS = 4_000
LOW_PX = 200
HALF_A_DAY_MS = 43_200_000.0
LEAST_SPAN_BARS = 20.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """What figures over time have in common.

    Attributes:
        span: the time in sight, the same in all of them.
        date: how moments are written, a format of Bokeh's.
        ticker: where moments are written; the page's script asks it for fewer on a narrow page.
    """

    span: Range1d
    date: str
    ticker: DatetimeTicker

    @classmethod
    def of(cls, first: np.datetime64, last: np.datetime64, timeframe: Timeframe) -> Timeline:
        """A span a little wider than the bars, a day where there is one bar."""
        start, end = milliseconds(np.array([first, last]))
        margin = 0.01 * (end - start) or HALF_A_DAY_MS
        date = "%Y-%m-%d" if timeframe in {"1d", "1w"} else "%Y-%m-%d %H:%M"
        least = LEAST_SPAN_BARS * 1_000.0 * BAR_SECONDS[timeframe]
        span = Range1d(start=float(start - margin), end=float(end + margin), min_interval=least, name="span")
        return cls(span, date, DatetimeTicker(name="dates"))

    def empty(
        self, name: str, height_px: int, unit: str, *, with_times: bool = True, **options: Any
    ) -> figure:
        """An empty figure. Dragging moves it, Ctrl and the wheel zoom; its height follows what is in sight.

        Args:
            name: by which the page's script finds it.
            height_px: its height; its width is the page's.
            unit: how values are written, a format of `NumeralTickFormatter`.
            with_times: false for a figure right above another one.
            options: further ones of Bokeh's `figure`.
        """
        tools = [
            PanTool(dimensions="width"),
            WheelZoomTool(dimensions="width", modifiers="ctrl"),
            ResetTool(),
            SaveTool(),
        ]
        made = figure(
            name=name,
            height=height_px,
            x_axis_type="datetime",
            x_range=self.span,
            tools=tools,
            window_axis="x",
            **options,
        )
        made.xaxis.ticker = made.xgrid.ticker = self.ticker
        if height_px < LOW_PX:
            made.yaxis.ticker = BasicTicker(desired_num_ticks=3)
        if not with_times:
            made.xaxis.visible = False
            made.min_border_bottom = 4
        return themed(made, unit)

    def add_line(
        self,
        made: figure,
        moment: Moments,
        values: Floats,
        *,
        colour: str,
        width: float = 1.8,
        name: str = "",
        filled: bool = False,
        beside: Mapping[str, Floats] | None = None,
        most: int = MOST_POINTS,
    ) -> GlyphRenderer[Any]:
        """Draws a line, thinned without losing extremes.

        Args:
            made: of `empty`.
            moment: shape (n,).
            values: shape (n,), without NaN.
            colour: its colour on a light page.
            width: in pixels.
            name: by which the page's script finds the line.
            filled: down to 0.
            beside: further values at the same moments, for tips.
            most: points that are drawn.
        """
        kept = kept_points(values, most)
        columns = {"x": milliseconds(moment[kept]), "y": values[kept]}
        columns |= {key: more[kept] for key, more in (beside or {}).items()}
        source = ColumnDataSource({key: np.asarray(column, np.float64) for key, column in columns.items()})
        if filled:
            made.varea(x="x", y1="y", y2=0, source=source, fill_color=colour, fill_alpha=0.18)
        line = made.line(x="x", y="y", source=source, line_color=colour, line_width=width, name=name or None)
        dot = colour if len(kept) == 1 else None
        points = made.scatter(x="x", y="y", source=source, fill_color=dot, line_color=None, size=8)
        # Bokeh knows a line's height as a whole only, but of points those that are in sight.
        if isinstance(made.y_range, DataRange1d):
            so_far = made.y_range.renderers
            made.y_range.renderers = [*(so_far if isinstance(so_far, list) else []), points]
        return line

    def add_tips(
        self,
        made: figure,
        drawn: GlyphRenderer[Any],
        tips: Mapping[str, str],
        *,
        mode: Literal["vline", "mouse"] = "mouse",
        colour: str | Mapping[str, str] = "",
        moment: str = "@x",
    ) -> None:
        """Shows the moment and values of what is under the pointer, or with `vline` above or below it.

        Args:
            made: the figure.
            drawn: what has tips; its source has the moments as `x`.
            tips: by their text: `@column{format}`. Texts are ours; those of users come from columns.
            mode: where the pointer has to be.
            colour: of the tips' texts on a light page, one for all or by text; the line's own unless given.
            moment: the column of the moment that is shown, where that is not where it is drawn.
        """
        own = getattr(drawn.glyph, "line_color", "")
        lines = []
        for text, value in tips.items():
            hue = colour if isinstance(colour, str) else colour.get(text, "")
            lines.append(f'<div><b style="color:{in_any_theme(hue or own)}">{text}</b>&nbsp; {value}</div>')
        shown = f'<div class="tip" style="max-width:38vw">{moment}{{{self.date}}}{"".join(lines)}</div>'
        made.add_tools(
            HoverTool(
                renderers=[drawn], tooltips=shown, formatters={moment: "datetime"}, mode=mode, visible=False
            )
        )


def in_any_theme(colour: object) -> str:
    """A colour of the light palette as the page's style names it, others as they are."""
    names = {value: name for name, value in LIGHT.items()}
    return f"var(--{names[colour]})" if colour in names else str(colour)


def milliseconds(moments: Moments) -> Floats:
    """Moments as Bokeh takes them: since 1970."""
    return np.asarray(moments.astype("datetime64[us]").astype(np.int64) / 1e3)


def add_level(made: figure, value: float) -> None:
    """Draws a thin line across at a value."""
    made.add_layout(Span(location=value, dimension="width", line_color=LIGHT["muted"], line_dash="dotted"))
