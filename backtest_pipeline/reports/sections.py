"""The parts of a report as HTML: what stands where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.metric_catalog import benchmark_name, shown_symbols, shown_with_unit
from backtest_pipeline.model.request_groups import FURTHER_FIELDS
from backtest_pipeline.reports.bilingual import said
from backtest_pipeline.reports.details import verdict
from backtest_pipeline.reports.html_tables import (
    ACCOUNT,
    against_benchmark,
    correlation_table,
    metrics_by,
    metrics_table,
    plain,
)
from backtest_pipeline.reports.markup import escaped
from backtest_pipeline.reports.page_data import MOST_TRADES
from backtest_pipeline.reports.report_statistics import (
    correlation,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import BacktestResult

MOST_TABS = 10
MOST_CORRELATED = 30
CANDLES_GONE = "The candles that this task saw are not available; they have changed since."
_FIRST_OF_THEM = "The first {0} of them; {1} more are left out."
_BARS = ("{0} bars", "{0} bar")
SPANS = (
    '<p class="spans"><button data-years="1" data-said>1 y</button>'
    '<button data-years="3" data-said>3 y</button>'
    '<button data-years="all" data-said>all</button>'
    '<button data-log aria-pressed="false" data-said>log scale</button></p>'
)
NO_TRADES = '<p class="note" data-said>There was no trade.</p>'


def header(
    result: BacktestResult, moment: NDArray[np.datetime64], given: Mapping[str, Candles] | None = None
) -> str:
    """What was run, on what, in which currency and zone as far as known, and whether it looked ahead."""
    request, manifest = result.request, result.manifest
    first, last = (str(at.astype("datetime64[m]")).replace("T", " ") for at in (moment[0], moment[-1]))
    if request.timeframe in {"1d", "1w"}:
        first, last = first[:10], last[:10]
    params = "".join(
        f"<li>{escaped(name)} <b>{escaped(plain(value))}</b></li>"
        for name, value in [*request.params.items(), *further_fields(request).items()]
    )
    labels = "".join(
        f'<li class="label">{escaped(name)}: {escaped(value)}</li>' for name, value in request.labels.items()
    )
    task = (
        f"<span><span data-said>task</span> <code>{escaped(manifest.task_id)}</code></span>"
        if manifest
        else ""
    )
    kind, sentence = verdict(result.checks.get("look_ahead"))
    return (
        f"<header><h1>{escaped(request.strategy)}</h1><ul>{params}{labels}</ul>"
        f"<p><b>{escaped(listed(request.symbols))}</b><span>{escaped(request.timeframe)}</span>"
        f"{said('{0} to {1} UTC', first, last)}{said(_BARS[len(moment) == 1], f'{len(moment):,}')}"
        f"{_market(given or {})}{task}"
        f'<span class="badge {kind}" data-said>{escaped(sentence)}</span></p></header>'
    )


def further_fields(request: BacktestRequest) -> dict[str, object]:
    """The fields that few backtests need and this one has, by name."""
    asked = request.to_dict()
    return {name: asked[name] for fields in FURTHER_FIELDS.values() for name in fields if name in asked}


def _market(given: Mapping[str, Candles]) -> str:
    """Quote currency and the market's time zone, as recorded of the symbols."""
    records = [own.record for own in given.values() if own.record is not None]
    quotes = sorted({record.quote for record in records if record.quote})
    zones = sorted({record.timezone for record in records})
    amounts = said("amounts in {0}", ", ".join(quotes)) if quotes else ""
    return amounts + (said("market in {0}", ", ".join(zones)) if zones else "")


def listed(symbols: Sequence[str], most: int = 10) -> str:
    """The symbols, or the first of them and how many more."""
    return shown_symbols(symbols, most).replace(",", ", ")


def tile_remarks(result: BacktestResult) -> dict[str, str]:
    """What stands small under the headline metrics, as HTML."""

    def note(text: str, name: str) -> str:
        return said(f"{text} {{0}}", shown_with_unit(name, result.metrics.get(name)), element="small")

    return {
        "total_return": against_benchmark(result.metrics, result.request.benchmark),
        "cagr": note("volatility", "annual_volatility"),
        "sharpe": note("Sortino", "sortino"),
        "max_drawdown": note("longest", "max_drawdown_days"),
        "win_rate": note("average trade", "avg_trade_return"),
        "profit_factor": note("expectancy", "expectancy"),
        "trades": note("exposure", "exposure"),
        "final_equity": note("fees", "fees_paid"),
    }


def benchmark_legend(benchmark: str | None) -> str:
    """The line of what the account is measured against, with its name."""
    name = escaped(benchmark_name(benchmark))
    return f'<i class="line benchmark"></i><span{"" if benchmark else " data-said"}>{name}</span>'


def equity_section(benchmark: str | None, *, with_benchmark: bool) -> str:
    """Where equity and drawdown are drawn."""
    held = benchmark_legend(benchmark) if with_benchmark else f"(<span data-said>{CANDLES_GONE}</span>)"
    return (
        '<section><h2 data-said>Equity and drawdown</h2><p class="legend">'
        '<i class="line equity"></i><span data-said>equity</span>'
        f'{held}<i class="line loss"></i><span data-said>drawdown</span>'
        f'<span class="hint" data-said>drag to move, Ctrl and wheel to zoom</span></p>{SPANS}'
        '<div id="equity"></div><p class="note pane" data-said>Drawdown (under water)</p>'
        '<div id="drawdown"></div>'
        '<p class="note pane" data-said>Exposure</p><div id="exposure"></div></section>'
    )


def price_section(result: BacktestResult, given: Mapping[str, Candles], panes: Sequence[str] = ()) -> str:
    """Where candles, trades and the strategy's lines are drawn, and the choice of a symbol."""
    below = "".join(
        f'<p class="note pane">{escaped(title)}</p><div id="pane-{place}"></div>'
        for place, title in enumerate(panes)
    )
    symbols = result.request.symbols
    head = "<section><h2 data-said>Price and trades</h2>"
    if not given:
        return f'{head}<p class="note" id="price" data-said>{CANDLES_GONE}</p></section>'
    return (
        f'{head}{_symbol_choice(result) if len(symbols) > 1 else ""}<p class="legend">'
        '<i class="mark entry">▲</i><span data-said>long entry</span>'
        '<i class="mark entry">▼</i><span data-said>short entry</span>'
        '<i class="mark gain">○</i><span data-said>exit with a gain</span>'
        '<i class="mark loss">○</i><span data-said>exit with a loss</span>'
        f'<span class="hint" id="candle-note"></span></p>{SPANS}<p class="readout" id="readout"></p>'
        f'<p class="note" id="price-gone" data-said hidden>{CANDLES_GONE}</p>'
        f'<div id="price"></div>{below}<div id="volume"></div></section>'
    )


def _symbol_choice(result: BacktestResult) -> str:
    symbols = result.request.symbols
    returns = {
        symbol: shown_with_unit("total_return", result.by_symbol.get(symbol, {}).get("total_return"))
        for symbol in symbols
    }
    if len(symbols) <= MOST_TABS:
        tabs = "".join(
            f'<button data-symbol="{escaped(symbol)}">{escaped(symbol)}'
            f"<small>{returns[symbol]}</small></button>"
            for symbol in symbols
        )
        return f'<div class="tabs" id="symbols">{tabs}</div>'
    options = "".join(
        f'<option value="{escaped(symbol)}">{escaped(symbol)} ({returns[symbol]})</option>'
        for symbol in symbols
    )
    return f'<label class="tabs"><span data-said>Symbol</span> <select id="symbol">{options}</select></label>'


def trades_section(result: BacktestResult) -> str:
    """Where the page's script writes the trades."""
    count = len(result.trades)
    if not count:
        return f"<section><h2 data-said>Trades</h2>{NO_TRADES}</section>"
    hint = said("Click a heading to sort, a row to see the trade in the chart.")
    if count > MOST_TRADES:
        most = "The {0} with the largest profit or loss; trades.parquet has all."
        hint = f"{said(most, f'{MOST_TRADES:,}')} {hint}"
    return (
        f'<section>{said("{0} trades", f"{count:,}", element="h2")}<p class="note">{hint}</p>'
        '<div class="wide"><table class="trades" id="trades-table"></table></div>'
        '<p class="pager" id="trades-pager"></p></section>'
    )


def metrics_section(result: BacktestResult) -> str:
    """All metrics with their meaning, and each symbol's beside them."""
    benchmark, by_symbol = result.request.benchmark, ""
    if len(result.by_symbol) > 1:
        rows = {ACCOUNT: result.metrics, **result.by_symbol}
        by_symbol = (
            f"<section><h2 data-said>Symbol by symbol</h2>{metrics_by(rows, 'symbol', benchmark)}</section>"
        )
    table = metrics_table(result.metrics, benchmark)
    return f"{by_symbol}<section><h2 data-said>All metrics</h2>{table}</section>"


def correlation_section(
    result: BacktestResult, given: Mapping[str, Candles], by_weight: Sequence[str] = ()
) -> str:
    """Correlations where there are several symbols, else nothing.

    Args:
        result: of a backtest.
        given: its candles, of all symbols.
        by_weight: the symbols that a shared account held, the largest weight first: where there are too many
            for a table, these are in it.
    """
    asked = result.request.symbols
    chosen = {*(by_weight or asked)[:MOST_CORRELATED]} if len(asked) > MOST_CORRELATED else {*asked}
    symbols = [symbol for symbol in asked if symbol in chosen]
    if len(symbols) < 2:
        return ""
    more = len(asked) - len(symbols)
    steps = "week to week" if result.request.timeframe == "1w" else "day to day"
    hint = said(f"Of the symbols' own returns from {steps}, whatever the strategy did.")
    left_out = "The {0} that were held most; {1} more are left out." if by_weight else _FIRST_OF_THEM
    hint += f" {said(left_out, len(symbols), more)}" if more else ""
    return (
        f'<section><h2 data-said>Correlation of the symbols</h2><p class="note">{hint}</p>'
        f"{correlation_table(symbols, correlation(given, symbols))}</section>"
    )
