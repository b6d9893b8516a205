"""The account over time: equity, drawdown, exposure, rolling figures, years, how its returns are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    DataRange1d,
    HoverTool,
    NumeralTickFormatter,
    SaveTool,
)
from bokeh.models.annotations import BoxAnnotation
from bokeh.plotting import figure

from backtest_pipeline.model.metric_catalog import BUY_AND_HOLD, benchmark_name
from backtest_pipeline.reports.charts.palette import LIGHT
from backtest_pipeline.reports.charts.price_chart import MONEY, histogram_figure
from backtest_pipeline.reports.charts.theme import themed
from backtest_pipeline.reports.charts.timeline import add_level, in_any_theme, milliseconds
from backtest_pipeline.reports.drawdown_list import Drawdown
from backtest_pipeline.reports.report_statistics import extremes_of, return_histogram
from backtest_pipeline.reports.rolling_statistics import (
    bar_returns,
    rolling_beta,
    rolling_return,
    rolling_sharpe,
    rolling_volatility,
    window_bars,
)
from backtest_pipeline.reports.tear_sheet import period_returns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.reports.charts.timeline import Timeline

    Floats = NDArray[np.float64]
    Moments = NDArray[np.datetime64]

MOST_ROLLING_POINTS = 1_600
ROLLING = {
    "rolling-return": ("Return", "0.[00]%", "@y{0.00%}"),
    "rolling-volatility": ("Annual volatility", "0.[00]%", "@y{0.00%}"),
    "sharpe": ("Sharpe ratio", "0.00", "@y{0.00}"),
    "rolling-beta": (f"Beta to {BUY_AND_HOLD}", "0.00", "@y{0.00}"),
}
"""By the id of the element: title, how the axis is written, how a tip is."""


def rolling_title(name: str, benchmark: str | None) -> str:
    """Title of one of `ROLLING` where the request has a benchmark, or none."""
    return ROLLING[name][0].replace(BUY_AND_HOLD, benchmark_name(benchmark))


def account_figures(
    result: BacktestResult,
    moment: Moments,
    timeline: Timeline,
    held: Floats | None,
    drawdowns: Sequence[Drawdown],
) -> dict[str, figure]:
    """Equity with the deepest drawdowns shaded, how far it is under water, and how much was invested."""
    equity = timeline.empty("equity", 320, MONEY, with_times=False)
    for one in drawdowns:
        left, right = milliseconds(np.array([one.peak, one.last])).tolist()
        shade = BoxAnnotation(
            left=left, right=right, fill_color=LIGHT["loss"], fill_alpha=0.07, level="underlay"
        )
        shade.line_color = None
        equity.add_layout(shade)
    values = result.equity["equity"].to_numpy(dtype=np.float64)
    tips, beside = {"equity": "@y{0,0.00}"}, {}
    against = benchmark_name(result.request.benchmark)
    if held is not None:
        timeline.add_line(equity, moment, held, colour=LIGHT["benchmark"], width=1.4)
        tips[against], beside["held"] = "@held{0,0.00}", held
    line = timeline.add_line(equity, moment, values, colour=LIGHT["equity"], width=2.2, beside=beside)
    colours = {against: LIGHT["benchmark"]}
    timeline.add_tips(equity, line, tips, mode="vline", colour=colours)
    below = DataRange1d(flipped=True, end=0)
    drawdown = timeline.empty("drawdown", 130, "0.[00]%", with_times=False, y_range=below)
    depth = result.equity["drawdown_frac"].to_numpy(dtype=np.float64)
    line = timeline.add_line(drawdown, moment, depth, colour=LIGHT["loss"], filled=True)
    timeline.add_tips(drawdown, line, {"drawdown": "@y{0.00%}"}, mode="vline")
    exposure = timeline.empty("exposure", 110, "0.[00]%", y_range=DataRange1d(start=0))
    share = result.equity["exposure_frac"].to_numpy(dtype=np.float64)
    line = timeline.add_line(
        exposure, moment, share, colour=LIGHT["benchmark"], width=1.0, filled=True, most=MOST_ROLLING_POINTS
    )
    timeline.add_tips(exposure, line, {"exposure": "@y{0.00%}"}, mode="vline")
    return {"equity": equity, "drawdown": drawdown, "exposure": exposure}


def rolling_figures(
    result: BacktestResult, moment: Moments, timeline: Timeline, held: Floats | None
) -> dict[str, figure]:
    """The figures of `ROLLING`; none where there are too few bars, no beta without a benchmark."""
    periods = result.metrics.get("periods_per_year") or 252.0
    equity, cash = result.equity["equity"].to_numpy(dtype=np.float64), result.request.initial_cash
    window = window_bars(periods, len(equity))
    if len(equity) < window:
        return {}
    returns = bar_returns(equity, cash)
    series = {
        "rolling-return": rolling_return(equity, cash, window),
        "rolling-volatility": rolling_volatility(returns, window, periods),
        "sharpe": rolling_sharpe(returns, window, periods),
    }
    if held is not None:
        series["rolling-beta"] = rolling_beta(returns, bar_returns(held, held[0]), window)
    figures = {}
    for name, values in series.items():
        title, (_, unit, tip) = rolling_title(name, result.request.benchmark), ROLLING[name]
        made = figures[name] = timeline.empty(name, 210, unit)
        add_level(made, 0.0)
        line = timeline.add_line(
            made, moment[window - 1 :], values, colour=LIGHT["equity"], most=MOST_ROLLING_POINTS
        )
        timeline.add_tips(made, line, {title: tip}, mode="vline")
    return figures


def spread_figures(
    result: BacktestResult, days: NDArray[np.datetime64], held: Floats | None
) -> dict[str, figure]:
    """Years as bars beside those of the benchmark, and histograms of the bars' and of the trades' returns."""
    equity, cash = result.equity["equity"].to_numpy(dtype=np.float64), result.request.initial_cash
    figures = {"years": _years_figure(days, equity, held, cash, benchmark_name(result.request.benchmark))}
    returns = bar_returns(equity, cash)
    for name, what, values in (
        ("spread", "bars", returns[returns != 0.0]),
        ("histogram", "trades", result.trades["return_frac"].to_numpy(dtype=np.float64)),
    ):
        if len(values):
            figures[name] = histogram_figure(*return_histogram(values), what, extremes_of(values))
    return figures


def _years_figure(
    days: NDArray[np.datetime64], equity: Floats, held: Floats | None, cash: float, against: str
) -> figure:
    made = figure(name="years", height=230, tools=[SaveTool()])
    years = days.astype("datetime64[Y]")
    for title, colour, values, shift in (
        ("equity", LIGHT["equity"], equity, -0.2),
        (against, LIGHT["benchmark"], held, 0.2),
    ):
        if values is None:
            continue
        of = period_returns(years, values, cash)
        numbers = np.array([*of], dtype="datetime64[Y]").astype(np.int64) + 1970
        source = ColumnDataSource({"year": numbers, "x": numbers + shift, "y": np.array([*of.values()])})
        bars = made.vbar(
            x="x", width=0.36, top="y", bottom=0, fill_color=colour, line_color=None, source=source
        )
        name = f'<b style="color:{in_any_theme(colour)}">{title}</b>'
        tips = f'<div class="tip">@year{{0}}<br>{name}&nbsp; @y{{0.00%}}</div>'
        made.add_tools(HoverTool(renderers=[bars], tooltips=tips, visible=False))
    made.xaxis.ticker = BasicTicker(min_interval=1, num_minor_ticks=0)
    made.xaxis.formatter = NumeralTickFormatter(format="0")
    add_level(made, 0.0)
    return themed(made, "0.[0]%")
