"""The account as one picture: equity against buy and hold, trades, drawdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.metric_catalog import shown, shown_symbols
from backtest_pipeline.reports.charts.canvas import Canvas, Panel
from backtest_pipeline.reports.charts.downsample import kept_points
from backtest_pipeline.reports.charts.palette import LIGHT
from backtest_pipeline.reports.charts.time_ticks import time_ticks

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from backtest_pipeline.model.result import BacktestResult

    Floats = NDArray[np.float64]

WIDTH, HEIGHT = 1_600, 900
LEFT, RIGHT, EDGE = 136, 1_568, 26
EQUITY, DRAWDOWN, LEGEND, HEAD = (296, 776), (76, 256), 812, 852
TEXT_PT, HEAD_PT = 8.0, 9.5

MOST_POINTS = 2_400
MOST_MARKED_TRADES = 60
MOST_TITLE = 52
HEADLINES = {"total_return": "return", "cagr": "a year", "sharpe": "Sharpe", "max_drawdown": "drawdown"}


def equity_png(result: BacktestResult, benchmark: Floats | None = None) -> bytes:
    """Draws the account, 960 by 540 pixels, legible at 800.

    The background is opaque and light, so that the picture reads on any page. The same result yields the
    same bytes.

    Args:
        result: its equity has n bars, at least one.
        benchmark: shape (n,), of `buy_and_hold`; none draws the account alone.
    """
    canvas = Canvas(WIDTH, HEIGHT, LIGHT["panel"])
    moment = _seconds(result.equity["timestamp"])
    equity = result.equity["equity"].to_numpy(dtype=np.float64)
    drawdown = result.equity["drawdown_frac"].to_numpy(dtype=np.float64)
    start, end, ticks, labels = _times(result.equity["timestamp"])
    held = equity if benchmark is None else benchmark
    low, high = min(equity.min(), held.min()), max(equity.max(), held.max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    deepest = 1.15 * max(float(drawdown.max()), 1e-4)
    above = Panel(LEFT, RIGHT, *EQUITY, start, end, low - margin, high + margin)
    below = Panel(LEFT, RIGHT, *DRAWDOWN, start, end, -deepest, 0.0)

    style = {"rule": LIGHT["rule"], "axis": LIGHT["benchmark"], "ink": LIGHT["muted"]}
    above.draw_grid(canvas, ticks, 6, compact_money, size_pt=TEXT_PT, **style)
    below.draw_grid(canvas, ticks, 3, lambda value: f"{100.0 * value:zg}%", size_pt=TEXT_PT, **style)
    for at, label in zip(below.x(ticks), labels, strict=True):
        canvas.text(at, below.bottom - 12, label, LIGHT["muted"], TEXT_PT, ha="center", va="top")

    if benchmark is not None:
        _draw_line(canvas, above, moment, benchmark, "benchmark", 1.1)
    _draw_line(canvas, above, moment, equity, "equity", 1.5)
    told, kinds = _mark_trades(canvas, above, result.trades, moment, equity)
    kept = kept_points(drawdown, MOST_POINTS)
    x, depth = below.x(moment[kept]), below.y(-drawdown[kept])
    canvas.surface(x, depth, below.top, LIGHT["loss"], 0.2)
    canvas.line(x, depth, LIGHT["loss"], 0.9)

    _write_head(canvas, result, told)
    _draw_legend(canvas, kinds, with_benchmark=benchmark is not None)
    return canvas.png()


def warm() -> None:
    """Draws once, so that processes forked from this one find fonts and code loaded; starts no thread."""
    canvas = Canvas(200, 100, LIGHT["panel"])
    panel = Panel(20, 180, 20, 80, 0.0, 1.0, 0.0, 1.0)
    panel.draw_grid(
        canvas, np.array([0.5]), 3, compact_money, rule="#000", axis="#000", ink="#000", size_pt=8
    )
    _draw_line(canvas, panel, np.array([0.0, 1.0]), np.array([0.0, 1.0]), "equity", 1.0)
    canvas.surface(np.array([20.0, 180.0]), np.array([30.0, 50.0]), 20.0, LIGHT["loss"], 0.2)
    canvas.marks([50.0], [50.0], "^", LIGHT["gain"], LIGHT["panel"])
    for size_pt in (TEXT_PT, HEAD_PT):
        canvas.text(0, 0, "".join(map(chr, range(32, 127))), LIGHT["ink"], size_pt)
    canvas.png()


def compact_money(value: float) -> str:
    """An amount in few characters: 950, 10,500, 1.25M, 3B."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:z,.0f}" if abs(value) >= 1_000 else f"{value:zg}"


def _draw_line(
    canvas: Canvas, panel: Panel, moment: Floats, values: Floats, colour: str, width_pt: float
) -> None:
    """Draws a line, or a dot where there is one bar only."""
    if len(values) == 1:
        canvas.marks(panel.x(moment), panel.y(values), "o", LIGHT[colour], LIGHT["panel"])
        return
    kept = kept_points(values, MOST_POINTS)
    canvas.line(panel.x(moment[kept]), panel.y(values[kept]), LIGHT[colour], width_pt)


def _mark_trades(
    canvas: Canvas, panel: Panel, trades: pd.DataFrame, moment: Floats, equity: Floats
) -> tuple[str, list[tuple[str, str, str]]]:
    """Marks entries and exits on the equity, of the trades that moved it most.

    Returns:
        What there is to say about that, and text, marker and colour of each kind of mark that was drawn.
    """
    if not len(trades):
        return "no trades", []
    pnl = trades["pnl"].to_numpy(dtype=np.float64)
    largest = np.sort(np.argsort(-np.abs(pnl), kind="stable")[:MOST_MARKED_TRADES])
    shown_trades, gained = trades.iloc[largest], pnl[largest] > 0.0
    kinds = []
    for label, column, chosen, marker, colour in (
        ("entry", "entry_time", np.ones(len(largest), dtype=np.bool_), "^", "equity"),
        ("exit with a gain", "exit_time", gained, "v", "gain"),
        ("exit with a loss", "exit_time", ~gained, "v", "loss"),
    ):
        if chosen.any():
            times = _seconds(shown_trades[column])[chosen]
            bars = np.minimum(np.searchsorted(moment, times), len(moment) - 1)
            x, y = panel.x(moment[bars]), panel.y(equity[bars])
            canvas.marks(x, y, marker, LIGHT[colour], LIGHT["panel"])
            kinds.append((label, marker, colour))
    all_marked = len(pnl) == len(largest)
    return "" if all_marked else f"the {len(largest)} largest of {len(pnl):,} trades are marked", kinds


def _write_head(canvas: Canvas, result: BacktestResult, told: str) -> None:
    request, metrics = result.request, result.metrics
    title = f"{request.strategy}   {shown_symbols(request.symbols, 4)}   {request.timeframe}"
    title = title if len(title) <= MOST_TITLE else f"{title[: MOST_TITLE - 1]}…"
    numbers = [f"{title} {shown(name, metrics.get(name))}" for name, title in HEADLINES.items()]
    numbers.append(f"{shown('trades', metrics.get('trades'))} trades")
    canvas.text(EDGE, HEAD, title, LIGHT["ink"], HEAD_PT)
    canvas.text(RIGHT, HEAD, "    ".join(numbers), LIGHT["ink"], TEXT_PT, ha="right")
    if told:
        canvas.text(RIGHT, LEGEND, told, LIGHT["muted"], TEXT_PT, ha="right", va="center")


def _draw_legend(canvas: Canvas, kinds: list[tuple[str, str, str]], *, with_benchmark: bool) -> None:
    lines = [("equity", "equity"), *([("buy and hold", "benchmark")] if with_benchmark else [])]
    at = float(EDGE)
    for label, colour in (*lines, ("drawdown", "loss")):
        canvas.line([at, at + 30], [LEGEND, LEGEND], LIGHT[colour], 1.5)
        at += 68 + canvas.text(at + 40, LEGEND, label, LIGHT["ink"], TEXT_PT, va="center")
    for label, marker, colour in kinds:
        canvas.marks([at + 8], [LEGEND], marker, LIGHT[colour], LIGHT["panel"])
        at += 54 + canvas.text(at + 26, LEGEND, label, LIGHT["ink"], TEXT_PT, va="center")


def _times(timestamps: pd.Series[pd.Timestamp]) -> tuple[float, float, Floats, list[str]]:
    """First and last moment of the chart, its ticks and what stands there."""
    first, last = (timestamps.iloc[at].tz_localize(None).to_datetime64() for at in (0, -1))
    first, last = first.astype("datetime64[us]"), last.astype("datetime64[us]")
    if first == last:
        first, last = first - np.timedelta64(1, "D"), last + np.timedelta64(1, "D")
    ticks, labels = time_ticks(first, last)
    start, end, *at = np.array([first, last, *ticks]).astype(np.int64) / 1e6
    return float(start), float(end), np.array(at), labels


def _seconds(timestamps: pd.Series[pd.Timestamp]) -> Floats:
    return timestamps.dt.tz_localize(None).to_numpy(dtype="datetime64[us]").astype(np.int64) / 1e6
