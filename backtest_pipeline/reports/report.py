"""A task's report: one file with all about a result, without a server and without a network."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.reports.benchmark_curve import benchmark_curve
from backtest_pipeline.reports.charts.account_figures import account_figures, rolling_figures, spread_figures
from backtest_pipeline.reports.charts.palette import DARK, LIGHT
from backtest_pipeline.reports.charts.portfolio_figures import portfolio_figures
from backtest_pipeline.reports.charts.price_chart import LINE_COLOURS, embedded, price_figures
from backtest_pipeline.reports.charts.timeline import Timeline
from backtest_pipeline.reports.details import details
from backtest_pipeline.reports.drawdown_list import deepest_drawdowns
from backtest_pipeline.reports.html_tables import tiles
from backtest_pipeline.reports.luck_section import luck_section, luck_verdict
from backtest_pipeline.reports.page import page
from backtest_pipeline.reports.page_data import candles_data, trades_data
from backtest_pipeline.reports.portfolio_section import portfolio_section
from backtest_pipeline.reports.portfolio_statistics import portfolio_of, skipped_entries
from backtest_pipeline.reports.remarks_section import remarks_section
from backtest_pipeline.reports.report_statistics import days_of
from backtest_pipeline.reports.return_sections import (
    drawdowns_section,
    returns_section,
    rolling_section,
    tear_sheet_section,
)
from backtest_pipeline.reports.sections import (
    correlation_section,
    equity_section,
    header,
    listed,
    metrics_section,
    price_section,
    tile_remarks,
    trades_section,
)

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.drawing import Drawing
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.robustness import Robustness

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
    robustness: Robustness | None = None,
) -> str:
    """Makes the report.

    Args:
        result: with or without a manifest.
        candles: those that the backtest saw, by symbol, the benchmark among them; a symbol that
            is lacking, or all of them, the page calls changed since. `None`: there are none.
        drawings: the strategy's own lines, by symbol, as long as its candles.
        robustness: what tells luck from skill; by default what the manifest has of it.

    Returns:
        A whole HTML file. The same result and candles yield the same text.
    """
    request = result.request
    given = {symbol: own for symbol, own in (candles or {}).items() if symbol in request.symbols}
    moment = result.equity["timestamp"].dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    timeline = Timeline.of(moment[0], moment[-1], request.timeframe)
    whole = all(symbol in given for symbol in request.symbols)
    held = benchmark_curve(request, candles or {}, moment)
    days = days_of(moment, request.timeframe)
    equity = result.equity["equity"].to_numpy(dtype=np.float64)
    drawdowns = deepest_drawdowns(moment, equity, request.initial_cash)
    if robustness is None and result.manifest is not None:
        robustness = result.manifest.robustness
    figures = account_figures(result, moment, timeline, held, drawdowns)
    figures |= rolling_figures(result, moment, timeline, held) | spread_figures(result, days, held)
    portfolio = portfolio_of(result, given)
    if portfolio is not None:
        figures |= portfolio_figures(portfolio, timeline)
    if given:
        figures |= price_figures(timeline, *_counts(drawings or {}))
    body = "\n".join(
        [
            header(result, moment, given),
            luck_verdict(robustness, request.symbols, result.checks),
            remarks_section(result.diagnostics),
            tiles(result.metrics, HEADLINES, tile_remarks(result)),
            equity_section(request.benchmark, with_benchmark=held is not None),
            portfolio_section(portfolio, skipped_entries(result), given),
            price_section(result, given, _pane_titles(drawings or {})),
            drawdowns_section(drawdowns, request.timeframe),
            returns_section(result, days, figures, with_benchmark=held is not None),
            rolling_section(result, figures),
            trades_section(result),
            luck_section(robustness, equity, request.initial_cash),
            metrics_section(result),
            tear_sheet_section(result, days),
            correlation_section(result, given, portfolio.by_weight if portfolio else ()) if whole else "",
            details(result),
        ]
    )
    data = {
        "charts": embedded(figures),
        "palette": {"light": LIGHT, "dark": DARK},
        "candles": candles_data(given, request.symbols, drawings),
        "line-colours": LINE_COLOURS,
        "trades": trades_data(result.trades),
        "log": ["equity", "price"] if equity.min() > 0.0 else ["price"],
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
