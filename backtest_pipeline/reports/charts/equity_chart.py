"""The account as one picture: equity against buy and hold, trades, drawdown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.dates import MINUTELY, SECONDLY, AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from backtest_pipeline.model.metric_catalog import benchmark_name, shown, shown_symbols
from backtest_pipeline.reports.benchmark_curve import benchmark_curve
from backtest_pipeline.reports.charts.downsample import kept_points
from backtest_pipeline.reports.charts.palette import LIGHT
from backtest_pipeline.reports.charts.picture import font, png_of, writable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.text import Text
    from matplotlib.ticker import Locator
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.result import BacktestResult

    Floats = NDArray[np.float64]
    Moments = NDArray[np.datetime64]

WIDTH_INCHES, HEIGHT_INCHES, PIXELS_PER_INCH = 8.0, 4.5, 120
# Left, bottom, width and height, as fractions of the picture.
EQUITY, DRAWDOWN = (0.085, 0.335, 0.887, 0.53), (0.085, 0.09, 0.887, 0.2)
EDGE, RIGHT, HEAD, LEGEND = 0.016, 0.98, 0.947, 0.9
TEXT_PT, HEAD_PT = 8.0, 9.5
GAP_PIXELS = 24

MOST_POINTS = 2_400
MOST_MARKED_TRADES = 60
MOST_TITLE = 80
HEADLINES = {"total_return": "return", "cagr": "a year", "sharpe": "Sharpe", "max_drawdown": "drawdown"}

# By what changes from tick to tick: years, months, days, hours, minutes, seconds. The first is what a tick
# says, the second what one says that begins something larger, the third what stands once below the last.
_DATE_FORMATS = {
    "formats": ["%Y", "%b", "%d", "%H:%M", "%H:%M", "%S"],
    "zero_formats": ["", "%Y", "%b", "%d %b", "%H:%M", "%H:%M"],
    "offset_formats": ["", "%Y", "%Y", "%d %b %Y", "%d %b %Y", "%d %b %Y %H:%M"],
}


def account_png(result: BacktestResult, candles: Mapping[str, Candles]) -> bytes:
    """Draws the account beside its benchmark, or alone where candles are missing.

    Args:
        result: what came out.
        candles: what the backtest saw, by symbol, as far as they are known.
    """
    return equity_png(result, benchmark_curve(result.request, candles, _moments(result.equity["timestamp"])))


def equity_png(result: BacktestResult, benchmark: Floats | None = None) -> bytes:
    """Draws the account, 960 by 540 pixels, legible at 800.

    The background is opaque and light, so that the picture reads on any page. The same result yields the
    same bytes.

    Args:
        result: its equity has n bars, at least one.
        benchmark: shape (n,), of `benchmark_curve`; `None` draws the account alone.
    """
    return png_of(equity_figure(result, benchmark))


def equity_figure(result: BacktestResult, benchmark: Floats | None = None) -> Figure:
    """The figure of `equity_png`: axes of the equity, and below them axes of the drawdown.

    All goes through objects, never through pyplot, whose current figure is shared by all threads.
    """
    size = (WIDTH_INCHES, HEIGHT_INCHES)
    figure = Figure(figsize=size, dpi=PIXELS_PER_INCH, facecolor=LIGHT["panel"])
    moment = _moments(result.equity["timestamp"])
    equity = result.equity["equity"].to_numpy(dtype=np.float64)
    drawdown = result.equity["drawdown_frac"].to_numpy(dtype=np.float64)
    below = figure.add_axes(DRAWDOWN)
    above = figure.add_axes(EQUITY, sharex=below)

    if benchmark is not None:
        _draw_line(above, moment, benchmark, benchmark_name(result.request.benchmark), "benchmark", 1.1)
    _draw_line(above, moment, equity, "equity", "equity", 1.5)
    remark = _mark_trades(above, result.trades, moment, equity)
    kept = kept_points(drawdown, MOST_POINTS)
    below.fill_between(moment[kept], -drawdown[kept], 0.0, color=LIGHT["loss"], alpha=0.2, linewidth=0)
    _draw_line(below, moment, -drawdown, "drawdown", "loss", 0.9)

    held = equity if benchmark is None else benchmark
    low, high = min(equity.min(), held.min()), max(equity.max(), held.max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    above.set_ylim(low - margin, high + margin)
    below.set_ylim(-1.15 * max(float(drawdown.max()), 1e-4), 0.0)
    beside = np.timedelta64(18 if len(moment) == 1 else 0, "h")
    below.set_xlim(moment[0] - beside, moment[-1] + beside)

    _style(above, MaxNLocator(6), FuncFormatter(lambda value, _: compact_money(value)))
    _style(below, MaxNLocator(3), FuncFormatter(lambda value, _: f"{-100.0 * value:zg}%"))
    above.tick_params(axis="x", labelbottom=False)
    _write_head(figure, result, remark)
    _write_legend(figure, above, below, benchmark_name(result.request.benchmark))
    return figure


def compact_money(value: float) -> str:
    """An amount in few characters: 950, 10,500, 1.25M, 3B."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:z,.0f}" if abs(value) >= 1_000 else f"{value:zg}"


def _draw_line(axes: Axes, moment: Moments, values: Floats, label: str, colour: str, width_pt: float) -> None:
    """Draws a line, and a dot where there is one bar only."""
    kept = kept_points(values, MOST_POINTS)
    style: dict[str, Any] = {"color": LIGHT[colour], "linewidth": width_pt, "linestyle": "-"}
    axes.plot(moment[kept], values[kept], marker="o" if len(values) == 1 else "", label=label, **style)


def _mark_trades(axes: Axes, trades: pd.DataFrame, moment: Moments, equity: Floats) -> str:
    """Marks entries and exits on the equity, of the trades that moved it most.

    Returns:
        What there is to say about that.
    """
    if not len(trades):
        return "no trades"
    pnl = trades["pnl"].to_numpy(dtype=np.float64)
    largest = np.sort(np.argsort(-np.abs(pnl), kind="stable")[:MOST_MARKED_TRADES])
    shown_trades, gained = trades.iloc[largest], pnl[largest] > 0.0
    for label, column, chosen, marker, colour in (
        ("exit with a gain", "exit_time", gained, "o", "gain"),
        ("exit with a loss", "exit_time", ~gained, "o", "loss"),
        ("entry", "entry_time", np.ones(len(largest), dtype=np.bool_), "^", "equity"),
    ):
        if chosen.any():
            times = _moments(shown_trades[column])[chosen]
            bars = np.minimum(np.searchsorted(moment, times), len(moment) - 1)
            # Exits are rings, in which an entry at the same bar stays in sight.
            ring = {"ms": 6.5, "markerfacecolor": "none", "markeredgecolor": LIGHT[colour], "mew": 1.2}
            solid = {"ms": 4.0, "color": LIGHT[colour], "mew": 0.0}
            style: dict[str, Any] = ring if marker == "o" else solid
            axes.plot(moment[bars], equity[bars], marker, clip_on=False, label=label, **style)
    all_marked = len(pnl) == len(largest)
    return "" if all_marked else f"the {len(largest)} largest of {len(pnl):,} trades are marked"


def _style(axes: Axes, ticks: Locator, written: FuncFormatter) -> None:
    """Sets ticks, grid, colours and font."""
    dates = AutoDateLocator(tz=UTC, minticks=3, maxticks=8)  # type: ignore[no-untyped-call]  # as above
    # From one minute Matplotlib goes on to five, which leaves one tick in eight minutes.
    dates.intervald[MINUTELY] = dates.intervald[SECONDLY] = [1, 2, 5, 10, 15, 30]
    written_dates = ConciseDateFormatter(dates, tz=UTC, **_DATE_FORMATS)  # type: ignore[no-untyped-call]  # as above
    axes.xaxis.set_major_locator(dates)
    axes.xaxis.set_major_formatter(written_dates)
    axes.yaxis.set_major_locator(ticks)
    axes.yaxis.set_major_formatter(written)
    axes.set_facecolor(LIGHT["panel"])
    axes.set_axisbelow(True)
    axes.grid(visible=True, color=LIGHT["rule"], linewidth=0.6, linestyle="-")
    axes.tick_params(length=0, pad=6, labelcolor=LIGHT["muted"])
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set(color=LIGHT["benchmark"], linewidth=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        offset = axis.get_offset_text()
        for text in (offset, *axis.get_ticklabels()):
            text.set_fontproperties(font(TEXT_PT))
        offset.set_color(LIGHT["muted"])


def _write_head(figure: Figure, result: BacktestResult, remark: str) -> None:
    request, metrics = result.request, result.metrics
    numbers = [f"{title} {shown(name, metrics.get(name))}" for name, title in HEADLINES.items()]
    numbers.append(f"{shown('trades', metrics.get('trades'))} trades")
    head = _write(figure, RIGHT, HEAD, "    ".join(numbers), TEXT_PT, "ink", "right")
    _write(figure, RIGHT, LEGEND, remark, TEXT_PT, "muted", "right")
    title = f"{request.strategy}   {shown_symbols(request.symbols, 4)}   {request.timeframe}"
    written = _write(figure, EDGE, HEAD, title, HEAD_PT, "ink", "left")
    room = head.get_window_extent().x0 - GAP_PIXELS
    kept = min(len(title), MOST_TITLE)
    while kept and written.get_window_extent().x1 > room:
        kept -= 1
        written.set_text(writable(f"{title[:kept]}…"))


def _write(figure: Figure, x: float, y: float, text: str, size_pt: float, colour: str, side: str) -> Text:
    """Writes on one line; a strategy called `$x$` is no formula."""
    return figure.text(
        x,
        y,
        writable(text),
        color=LIGHT[colour],
        fontproperties=font(size_pt),
        parse_math=False,
        horizontalalignment=side,
        verticalalignment="baseline",
    )


def _write_legend(figure: Figure, above: Axes, below: Axes, benchmark: str) -> None:
    handles = {line.get_label(): line for axes in (above, below) for line in axes.get_lines()}
    names = ("equity", benchmark, "drawdown", "entry", "exit with a gain", "exit with a loss")
    drawn = [name for name in names if name in handles]
    figure.legend(
        [handles[name] for name in drawn],
        drawn,
        loc="center left",
        bbox_to_anchor=(EDGE, LEGEND + 0.008),
        ncols=len(drawn),
        frameon=False,
        borderpad=0.0,
        borderaxespad=0.0,
        columnspacing=0.9,
        handlelength=1.3,
        handletextpad=0.4,
        prop=font(TEXT_PT),
        labelcolor=LIGHT["ink"],
    )


def _moments(timestamps: pd.Series[pd.Timestamp]) -> Moments:
    return timestamps.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
