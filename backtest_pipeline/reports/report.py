"""A task's report: one file with all about a result, without a server and without a network."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
from bokeh.models import DataRange1d

from backtest_pipeline.reports.benchmark_curve import buy_and_hold
from backtest_pipeline.reports.charts.palette import DARK, LIGHT
from backtest_pipeline.reports.charts.price_chart import (
    LINE_COLOURS,
    MONEY,
    embedded,
    histogram_figure,
    price_figures,
)
from backtest_pipeline.reports.charts.timeline import Timeline, add_level
from backtest_pipeline.reports.details import details
from backtest_pipeline.reports.html_tables import tiles
from backtest_pipeline.reports.page import page
from backtest_pipeline.reports.page_data import candles_data, trades_data
from backtest_pipeline.reports.report_statistics import (
    extremes_of,
    return_histogram,
    rolling_sharpe,
    sharpe_window_bars,
)
from backtest_pipeline.reports.sections import (
    correlation_section,
    equity_section,
    header,
    listed,
    metrics_section,
    price_section,
    remarks,
    returns_section,
    tile_remarks,
    trades_section,
)

if TYPE_CHECKING:
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.drawing import Drawing
    from backtest_pipeline.model.result import BacktestResult

HEADLINES = (
    "total_return",
    "cagr",
    "sharpe",
    "max_drawdown",
    "win_rate",
    "profit_factor",
    "trades",
    "final_equity",
)


def report_html(
    result: BacktestResult,
    candles: Mapping[str, Candles] | None,
    drawings: Mapping[str, Drawing] | None = None,
) -> str:
    """Makes the report.

    Args:
        result: with or without a manifest.
        candles: those that the backtest saw, by symbol; a symbol that is lacking, or all of them, the page
            calls changed since. `None`: there are none.
        drawings: the strategy's own lines, by symbol, as long as its candles.

    Returns:
        A whole HTML file. The same result and candles yield the same text.
    """
    request, given = result.request, candles or {}
    moment = result.equity["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    timeline = Timeline.of(moment[0], moment[-1], request.timeframe)
    whole = all(symbol in given for symbol in request.symbols)
    held = buy_and_hold(request, given, moment) if whole else None
    figures = _account_figures(result, moment, timeline, held) | _sharpe_figure(result, moment, timeline)
    if given:
        figures |= price_figures(timeline, *_counts(drawings or {}))
    if len(result.trades):
        returns = result.trades["return_frac"].to_numpy(dtype=np.float64)
        figures["histogram"] = histogram_figure(*return_histogram(returns), "trades", extremes_of(returns))
    body = "\n".join(
        [
            header(result, moment),
            remarks(result),
            tiles(result.metrics, HEADLINES, tile_remarks(result)),
            equity_section(with_benchmark=held is not None),
            price_section(result, given, _pane_titles(drawings or {})),
            returns_section(result, moment, figures),
            trades_section(result),
            metrics_section(result),
            correlation_section(result, given) if whole else "",
            details(result),
        ]
    )
    data = {
        "charts": embedded(figures),
        "palette": {"light": LIGHT, "dark": DARK},
        "candles": candles_data(given, request.symbols, drawings),
        "line-colours": LINE_COLOURS,
        "trades": trades_data(result.trades),
    }
    return page(f"{request.strategy} on {listed(request.symbols, 3)}", body, data)


def _counts(drawings: Mapping[str, Drawing]) -> tuple[int, list[int]]:
    """How many lines over the prices, and in each pane, the symbol with most of them has."""
    lines = max((len(one.lines) for one in drawings.values()), default=0)
    panes = [[len(pane) for pane in one.panes.values()] for one in drawings.values()]
    return lines, [max(counts) for counts in zip_longest(*panes, fillvalue=0)]


def _pane_titles(drawings: Mapping[str, Drawing]) -> list[str]:
    """The panes' titles, of the symbol that has most of them."""
    return max(([*one.panes] for one in drawings.values()), key=len, default=[])


def _account_figures(
    result: BacktestResult,
    moment: NDArray[np.datetime64],
    timeline: Timeline,
    held: NDArray[np.float64] | None,
) -> dict[str, figure]:
    equity = timeline.empty("equity", 320, MONEY, with_times=False)
    values = result.equity["equity"].to_numpy(dtype=np.float64)
    tips, beside = {"equity": "@y{0,0.00}"}, {}
    if held is not None:
        timeline.add_line(equity, moment, held, colour=LIGHT["benchmark"], width=1.4)
        tips["buy and hold"], beside["held"] = "@held{0,0.00}", held
    line = timeline.add_line(equity, moment, values, colour=LIGHT["equity"], width=2.2, beside=beside)
    colours = {"buy and hold": LIGHT["benchmark"]}
    timeline.add_tips(equity, line, tips, mode="vline", colour=colours)
    drawdown = timeline.empty("drawdown", 130, "0.[00]%", y_range=DataRange1d(flipped=True, end=0))
    depth = result.equity["drawdown_frac"].to_numpy(dtype=np.float64)
    line = timeline.add_line(drawdown, moment, depth, colour=LIGHT["loss"], filled=True)
    timeline.add_tips(drawdown, line, {"drawdown": "@y{0.00%}"}, mode="vline")
    return {"equity": equity, "drawdown": drawdown}


def _sharpe_figure(
    result: BacktestResult, moment: NDArray[np.datetime64], timeline: Timeline
) -> dict[str, figure]:
    periods = result.metrics.get("periods_per_year") or 252.0
    window = sharpe_window_bars(periods)
    equity = result.equity["equity"].to_numpy(dtype=np.float64)
    rolling = rolling_sharpe(equity, result.request.initial_cash, window, periods)
    if not len(rolling):
        return {}
    made = timeline.empty("sharpe", 260, "0.00")
    add_level(made, 0.0)
    line = timeline.add_line(made, moment[window - 1 :], rolling, colour=LIGHT["equity"])
    timeline.add_tips(made, line, {"Sharpe ratio": "@y{0.00}"}, mode="vline")
    return {"sharpe": made}
