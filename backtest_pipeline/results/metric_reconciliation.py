"""A manifest's metrics against the tables that it lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from backtest_pipeline.results.equity_account import TOLERANCE, Account
from backtest_pipeline.results.table_shapes import bar_length

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import Metrics


def metric_problems(
    manifest: Manifest,
    request: BacktestRequest,
    signals: pd.DataFrame,
    trades: pd.DataFrame,
    account: Account,
) -> list[str]:
    """The account's and each symbol's metrics that differ from what the tables make them, as sentences."""
    return [
        *_differing("metrics", manifest.metrics, _metrics(manifest, request, signals, trades, account)),
        *_symbol_problems(request, manifest, trades),
    ]


def _metrics(
    manifest: Manifest,
    request: BacktestRequest,
    signals: pd.DataFrame,
    trades: pd.DataFrame,
    account: Account,
) -> dict[str, float]:
    final = float(account.equity[-1])
    found = {
        "total_return": final / request.initial_cash - 1,
        "final_equity": final,
        "peak_equity": float(account.peak[-1]),
        "max_drawdown": float(((account.peak - account.equity) / account.peak).max()),
        "exposure": float((account.exposure_frac > 0).mean()),
        "trades": len(trades),
        "fees_paid": float(trades["fees"].sum()),
        "signals": len(signals),
    }
    years = _years(manifest)
    growth = final / request.initial_cash
    if years is not None and growth >= 0 and manifest.metrics.get("cagr") is not None:
        found["cagr"] = growth ** (1 / years) - 1
    if len(trades):
        found["win_rate"] = float((trades["pnl"] > 0).mean())
    return found


def _symbol_problems(request: BacktestRequest, manifest: Manifest, trades: pd.DataFrame) -> list[str]:
    """What each symbol begins with, and its own trades, against its own metrics."""
    if set(manifest.by_symbol) != set(request.symbols):
        return ["manifest.json: by_symbol has other symbols than the request"]
    cash = request.initial_cash / (1 if request.account == "shared" else len(request.symbols))
    empty = trades.iloc[:0]
    groups = {str(symbol): own for symbol, own in trades.groupby("symbol")}
    problems = []
    for symbol, stated in manifest.by_symbol.items():
        own = groups.get(symbol, empty)
        pnl = float(own["pnl"].sum())
        found = {
            "trades": len(own),
            "fees_paid": float(own["fees"].sum()),
            "final_equity": cash + pnl,
            "total_return": (cash + pnl) / cash - 1,
        }
        problems += _differing(f"by_symbol.{symbol}", stated, found)
    return problems


def _differing(where: str, stated: Metrics, found: dict[str, float]) -> list[str]:
    """Metrics that differ from the tables; amounts count against the highest equity."""
    peak = max(abs(stated.get(name) or 0.0) for name in ("peak_equity", "final_equity"))
    problems = []
    for name, value in found.items():
        metric = stated.get(name)
        scale = max(abs(value), peak if name in {"final_equity", "fees_paid"} else 1.0)
        if metric is None or abs(metric - value) > TOLERANCE * scale:
            problems.append(f"manifest.json: {where}.{name} is {metric!r}, the tables make it {value!r}")
    return problems


def _years(manifest: Manifest) -> float | None:
    """Years of 365.25 days from the first open to the last bar's end, or `None` for one that counted bars."""
    candles = manifest.traded_candles
    if manifest.calendars is None or not candles:
        return None
    first, last = min(seen.first for seen in candles), max(seen.last for seen in candles)
    return (pd.Timestamp(last) + bar_length(manifest) - pd.Timestamp(first)) / pd.Timedelta(days=365.25)
