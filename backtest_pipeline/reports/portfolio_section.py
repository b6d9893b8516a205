"""The part of a report about a shared account as a portfolio, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from backtest_pipeline.reports.bilingual import said
from backtest_pipeline.reports.charts.portfolio_figures import REST, weight_colours
from backtest_pipeline.reports.markup import escaped

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.reports.portfolio_statistics import Contribution, Portfolio

MOST_ROWS = 50
_SKIPPED: Mapping[str, str] = {
    "cash": "no cash, or leverage, was left",
    "slots": "the most positions were open",
    "stop": "there was no stop to size it by",
    "volatility": "there was no volatility to size it by",
}
_GROSS_AND_NET = (
    ' <span class="named"><i class="line benchmark"></i> <span data-said>gross</span></span>'
    ' <span class="named"><i class="line equity"></i> <span data-said>net</span></span>'
)


def portfolio_section(
    portfolio: Portfolio | None, skipped: Mapping[str, int], given: Mapping[str, Candles]
) -> str:
    """What was held over time, and what it cost and brought; nothing with an account a symbol."""
    if portfolio is None:
        return ""
    return (
        f"{_over_time(portfolio, given)}"
        f'<div class="two"><section><h2 data-said>Contribution by symbol</h2><p class="note" data-said>'
        "Profit of a symbol's trades over the initial cash; all together are the total return.</p>"
        f'<div id="contributions"></div></section>'
        f"<section><h2 data-said>The portfolio in numbers</h2>{_numbers(portfolio)}{_skipped(skipped)}"
        "</section></div><section><h2 data-said>What each symbol contributed</h2>"
        f"{_contributions(portfolio)}</section>"
    )


def _over_time(portfolio: Portfolio, given: Mapping[str, Candles]) -> str:
    legend = "".join(
        f'<span class="named"><i class="line" style="background:{colour}"></i> '
        f"{'<span data-said>others</span>' if name == REST else escaped(name)}</span>"
        for name, colour in weight_colours(portfolio).items()
    )
    gone = [symbol for symbol in portfolio.longs if symbol not in given]
    note = (
        said(
            "The candles of {0} are not available; its value is that of its last change.", ", ".join(gone[:5])
        )
        if gone
        else ""
    )
    panes = (
        ("Gross and net exposure", "gross-net", _GROSS_AND_NET),
        ("Open positions", "open-positions", ""),
        ("Turnover of each month", "turnover", ""),
    )
    below = "".join(
        f'<p class="note pane"><span data-said>{title}</span>{legend_of}</p><div id="{name}"></div>'
        for title, name, legend_of in panes
    )
    return (
        f'<section><h2 data-said>Weights over time</h2><p class="legend">{legend}</p>'
        f'<p class="note">{note}</p><div id="weights"></div>{below}</section>'
    )


def _numbers(portfolio: Portfolio) -> str:
    turnover = portfolio.turnover_a_year
    rows = (
        ("Mean gross exposure", f"{portfolio.gross.mean():.1%}", "Longs and shorts together, over equity."),
        ("Highest gross exposure", f"{portfolio.gross.max():.1%}", "Above 100 % something was borrowed."),
        ("Mean net exposure", f"{portfolio.net.mean():.1%}", "Longs less shorts, over equity."),
        ("Mean open positions", f"{portfolio.positions.mean():.1f}", "At the closes of all bars."),
        ("Most open positions", f"{portfolio.positions.max():,}", "At the close of any bar."),
        (
            "Turnover a year",
            "-" if turnover is None else f"{turnover:.1%}",
            "Half of all that was bought and sold, over the mean equity.",
        ),
    )
    body = "".join(
        f'<tr>{said(title, element="th")}<td class="number">{escaped(text)}</td>'
        f"{said(meaning, element='td')}</tr>"
        for title, text, meaning in rows
    )
    return f'<table class="metrics">{body}</table>'


def _skipped(skipped: Mapping[str, int]) -> str:
    if not skipped:
        return ""
    body = "".join(
        f'<tr>{said(_SKIPPED[reason], element="th")}<td class="number">{count:,}</td></tr>'
        for reason, count in skipped.items()
    )
    return (
        f'<h2 class="further" data-said>Entries that were skipped</h2><table class="metrics">{body}</table>'
    )


def _contributions(portfolio: Portfolio) -> str:
    most = sorted(portfolio.contributions, key=lambda one: -abs(one.pnl))[:MOST_ROWS]
    more = len(portfolio.contributions) - len(most)
    left_out = said("The {0} largest; {1} more are left out.", len(most), more)
    note = f'<p class="note">{left_out}</p>' if more else ""
    heads = "".join(
        f'<th scope="col" class="{"number" if place else ""}"><button data-said>{title}</button></th>'
        for place, title in enumerate(
            ("symbol", "Contribution", "Profit", "Trades", "Fees", "Mean weight", "Time held")
        )
    )
    body = "".join(map(_row, sorted(most, key=lambda one: -one.pnl)))
    return (
        f'{note}<div class="wide"><table class="sortable"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(one: Contribution) -> str:
    tone = "gain" if one.pnl > 0 else "loss" if one.pnl < 0 else ""
    cells: Sequence[tuple[float, str, str]] = (
        (one.frac, f"{one.frac:.2%}", tone),
        (one.pnl, f"{one.pnl:,.2f}", tone),
        (one.trades, f"{one.trades:,}", ""),
        (one.fees, f"{one.fees:,.2f}", ""),
        (one.mean_weight, f"{one.mean_weight:.2%}", ""),
        (one.held_frac, f"{one.held_frac:.1%}", ""),
    )
    return (
        f'<tr><th scope="row">{escaped(one.symbol)}</th>'
        + "".join(
            f'<td class="number {kind}" data-value="{value:.6g}">{text}</td>' for value, text, kind in cells
        )
        + "</tr>"
    )
