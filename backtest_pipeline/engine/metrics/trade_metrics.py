"""Metrics of the list of trades, a position that the data's end leaves open among them, at its last mark."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.result import Metrics

UNDEFINED_WITHOUT_TRADES = (
    "win_rate",
    "avg_trade_return",
    "best_trade_return",
    "worst_trade_return",
    "profit_factor",
    "expectancy",
    "sqn",
    "kelly",
    "avg_bars_held",
)


def trade_metrics(trades: NDArray[Any]) -> Metrics:
    """Computes every metric that needs the trades alone.

    `win_rate`: share of trades with pnl > 0.
    `avg_trade_return`, `best_trade_return`, `worst_trade_return`: of return_frac, pnl over the entry's
    notional.
    `profit_factor`: sum of the gains / sum of the losses; none without a loss.
    `expectancy`: mean pnl of a trade, in quote currency.
    `sqn`: sqrt(trades) * mean(pnl) / standard deviation(pnl, ddof 1); Tharp, "Definitive Guide to Position
    Sizing", with pnl in place of R multiples; none under two trades.
    `kelly`: win rate - (1 - win rate) / (mean gain / mean loss); Kelly (1956); none without gains or losses.
    `fees_paid`: of all orders, in quote currency.

    Args:
        trades: shape (m,), dtype `TRADE`.
    """
    metrics: Metrics = {"trades": len(trades), "fees_paid": float(trades["fees"].sum())}
    if not len(trades):
        return metrics | dict.fromkeys(UNDEFINED_WITHOUT_TRADES)
    pnl, returns = np.ascontiguousarray(trades["pnl"]), np.ascontiguousarray(trades["return_frac"])
    gains, losses = pnl[pnl > 0.0], pnl[pnl < 0.0]
    gained, lost = float(gains.sum()), float(-losses.sum())
    win_rate = len(gains) / len(pnl)
    return metrics | {
        "win_rate": win_rate,
        "avg_trade_return": float(returns.mean()),
        "best_trade_return": float(returns.max()),
        "worst_trade_return": float(returns.min()),
        "profit_factor": _finite(gained / lost) if lost > 0.0 else None,
        "expectancy": float(pnl.mean()),
        "sqn": _system_quality(pnl),
        "kelly": _kelly(win_rate, gains, losses),
        "avg_bars_held": float(np.mean(trades["exit_bar"] - trades["entry_bar"])),
    }


def _system_quality(pnl: NDArray[np.float64]) -> float | None:
    if len(pnl) < 2:
        return None
    deviation = float(pnl.std(ddof=1))
    return _finite(math.sqrt(len(pnl)) * float(pnl.mean()) / deviation) if deviation > 0.0 else None


def _kelly(win_rate: float, gains: NDArray[np.float64], losses: NDArray[np.float64]) -> float | None:
    if not len(gains) or not len(losses):
        return None
    payoff = float(gains.mean()) / -float(losses.mean())
    return _finite(win_rate - (1.0 - win_rate) / payoff) if payoff > 0.0 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
