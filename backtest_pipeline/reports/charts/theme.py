"""How every figure looks."""

from __future__ import annotations

from bokeh.models import NumeralTickFormatter
from bokeh.plotting import figure

from backtest_pipeline.reports.charts.palette import LIGHT


def themed(made: figure, unit: str) -> figure:
    """Gives a figure the page's colours and fonts; `unit` is a format of `NumeralTickFormatter`."""
    made.sizing_mode = "stretch_width"
    made.toolbar.logo = None
    made.toolbar.autohide = True
    made.toolbar_location = "above"
    made.toolbar_inner = True
    made.toolbar.styles = {"background-color": "transparent"}
    made.background_fill_color = made.border_fill_color = None
    made.outline_line_color = None
    made.min_border_left, made.min_border_right = 78, 16
    made.yaxis.formatter = NumeralTickFormatter(format=unit)
    made.grid.grid_line_color = LIGHT["rule"]
    for axis in (*made.xaxis, *made.yaxis):
        axis.axis_line_color = axis.major_tick_line_color = LIGHT["rule"]
        axis.minor_tick_line_color = None
        axis.major_label_text_color = LIGHT["muted"]
        axis.major_label_text_font = "system-ui, sans-serif"
        axis.major_label_text_font_size = "12px"
    return made
