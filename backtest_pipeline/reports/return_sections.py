"""The parts of a report about returns as HTML: drawdowns, months, years, rolling figures, the tear sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.sentence import Sentence
from backtest_pipeline.reports.bilingual import said
from backtest_pipeline.reports.charts.account_figures import ROLLING, rolling_title
from backtest_pipeline.reports.html_tables import months_table, rows_table
from backtest_pipeline.reports.markup import escaped
from backtest_pipeline.reports.report_statistics import monthly_returns
from backtest_pipeline.reports.rolling_statistics import window_bars
from backtest_pipeline.reports.sections import NO_TRADES, benchmark_legend
from backtest_pipeline.reports.tear_sheet import tear_sheet

if TYPE_CHECKING:
    from bokeh.plotting import figure
    from numpy.typing import NDArray

    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.timeframe import Timeframe
    from backtest_pipeline.reports.drawdown_list import Drawdown

OUTLIERS = '<p class="note" data-said>A hatched bar gathers everything beyond it.</p>'


def drawdowns_section(drawdowns: Sequence[Drawdown], timeframe: Timeframe) -> str:
    """The deepest drawdowns, which are shaded in the chart of the equity."""
    if not drawdowns:
        none = '<p class="note" data-said>There was none.</p>'
        return f"<section><h2 data-said>Deepest drawdowns</h2>{none}</section>"
    rows = [
        (
            f"{one.depth_frac:.2%}",
            _moment(one.peak, timeframe),
            _moment(one.trough, timeframe),
            Sentence("not yet") if one.recovery is None else _moment(one.recovery, timeframe),
            Sentence("{0} days", (f"{one.days:,.{0 if one.days >= 10 else 1}f}",)),
        )
        for one in drawdowns
    ]
    table = rows_table(("depth", "peak (UTC)", "trough (UTC)", "recovery (UTC)", "length"), rows, "dated")
    return (
        '<section><h2 data-said>Deepest drawdowns</h2><p class="note" data-said>'
        "Shaded in the chart of the equity; without a recovery, the length is up to the last bar.</p>"
        f"{table}</section>"
    )


def _moment(moment: np.datetime64, timeframe: Timeframe) -> str:
    unit = "D" if timeframe in {"1d", "1w"} else "m"
    return str(moment.astype(f"datetime64[{unit}]")).replace("T", " ")


def returns_section(
    result: BacktestResult,
    days: NDArray[np.datetime64],
    figures: Mapping[str, figure],
    *,
    with_benchmark: bool,
) -> str:
    """Months, years, and how the returns of bars and trades are spread."""
    equity = result.equity["equity"].to_numpy(dtype=np.float64)
    held = benchmark_legend(result.request.benchmark) if with_benchmark else ""
    legend = f'<p class="legend"><i class="line equity"></i><span data-said>equity</span>{held}</p>'
    months = months_table(monthly_returns(days, equity, result.request.initial_cash))
    histogram = f'{OUTLIERS}<div id="histogram"></div>' if "histogram" in figures else NO_TRADES
    still = '<p class="note" data-said>The equity never moved.</p>'
    spread = f'{OUTLIERS}<div id="spread"></div>' if "spread" in figures else still
    return (
        f"<section><h2 data-said>Monthly returns, percent</h2>{months}</section>"
        f'<section><h2 data-said>Yearly returns</h2>{legend}<div id="years"></div></section>'
        f'<div class="two"><section><h2 data-said>Returns of the trades</h2>{histogram}</section>'
        f"<section><h2 data-said>Returns of the bars</h2>{spread}</section></div>"
    )


def rolling_section(result: BacktestResult, figures: Mapping[str, figure]) -> str:
    """Figures over a stretch of bars that moves along."""
    window = window_bars(result.metrics.get("periods_per_year") or 252.0, len(result.equity))
    head = f"<section>{said('Over the last {0} bars at each time', f'{window:,}', element='h2')}"
    titles = {name: rolling_title(name, result.request.benchmark) for name in ROLLING if name in figures}
    drawn = [
        f'<div><p class="note" data-said>{escaped(title)}</p><div id="{name}"></div></div>'
        for name, title in titles.items()
    ]
    if not drawn:
        few = said("The account has fewer than {0} bars.", f"{window:,}")
        return f'{head}<p class="note">{few}</p></section>'
    return f'{head}<div class="two">{"".join(drawn)}</div></section>'


def _text_cell(text: str | Sentence) -> str:
    if isinstance(text, Sentence):
        return f'<td class="number">{said(text.template, *text.values)}</td>'
    return f'<td class="number">{escaped(text)}</td>'


def tear_sheet_section(result: BacktestResult, days: NDArray[np.datetime64]) -> str:
    """Statistics beyond the metrics, which no file of the result has."""
    rows = "".join(
        f"<tr>{said(one.title, element='th')}{_text_cell(one.text)}{said(one.meaning, element='td')}</tr>"
        for one in tear_sheet(result, days)
    )
    return f'<section><h2 data-said>Further statistics</h2><table class="metrics">{rows}</table></section>'
