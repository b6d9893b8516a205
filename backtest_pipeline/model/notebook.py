"""Results where people look at them by hand: in a notebook's cell, and as a page in the browser."""

from __future__ import annotations

import tempfile
import webbrowser
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.checks import LOOKS_AHEAD, looks_ahead, named_with_checks
from backtest_pipeline.model.metric_catalog import facts_of, shown, shown_symbols

if TYPE_CHECKING:
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.model.sweep_result import SweepResult

HEADLINES = (
    "total_return",
    "cagr",
    "sharpe",
    "sortino",
    "max_drawdown",
    "trades",
    "win_rate",
    "profit_factor",
    "exposure",
    "final_equity",
    "buy_hold_return",
)
_BEST = 10


def written_page(page: str, file: str | Path | None, *, prefix: str, show: bool) -> Path:
    """Write an HTML page into `file`, or a temporary one, and open it in a browser; returns where it is.

    Raises:
        OSError: it cannot be written.
    """
    if file is None:
        with tempfile.NamedTemporaryFile(
            "w", prefix=prefix, suffix=".html", delete=False, encoding="utf-8"
        ) as made:
            made.write(page)
        path = Path(made.name)
    else:
        path = Path(file).absolute()
        path.write_text(page, "utf-8")
    if show:
        webbrowser.open(path.as_uri())
    return path


def result_html(result: BacktestResult) -> str:
    """A result's headline metrics and remarks; `plot()` has all the rest."""
    request = result.request
    moments = result.equity["timestamp"]
    span = f"{moments.iloc[0]:%Y-%m-%d} to {moments.iloc[-1]:%Y-%m-%d}" if len(moments) else "no bars"
    name = named_with_checks(request.strategy, result.checks)
    title = f"{name} on {shown_symbols(request.symbols)}, {request.timeframe}, {span}"
    params = ", ".join(f"{name} {value}" for name, value in request.params.items())
    rows = "".join(
        f'<tr title="{escape(facts.meaning)}"><th>{escape(facts.title)}</th>'
        f"<td>{escape(shown(name, result.metrics.get(name)))}</td></tr>"
        for name in HEADLINES
        for facts in (facts_of(name, request.benchmark),)
    )
    return f"<div><b>{escape(title)}</b><br>{escape(params)}<table>{rows}</table>{_remarks(result)}</div>"


def sweep_html(sweep: SweepResult) -> str:
    """A sweep's best trials."""
    request: Any = sweep.request
    columns = ["rank", "trial", *request.space, request.objective]
    columns += [name for name in ("total_return", "max_drawdown", "trades") if name != request.objective]
    ranked = sweep.trials[sweep.trials["rank"].notna()].sort_values("rank").head(_BEST)
    faulty = sweep.best is not None and looks_ahead(sweep.best.checks)
    ranked_as = f"none the best, as it {LOOKS_AHEAD}; first" if faulty else "the best"
    title = f"{request.backtest.strategy}: {len(sweep.trials):,} trials, {ranked_as} by {request.objective}"
    table = ranked[columns].to_html(index=False, border=0) if len(ranked) else "<p>no trial ranks</p>"
    return f"<div><b>{escape(title)}</b>{table}</div>"


def _remarks(result: BacktestResult) -> str:
    lines = "".join(f"<li>{escape(remark)}</li>" for remark in result.diagnostics)
    return f"<ul>{lines}</ul>" if lines else ""
