"""Metrics of the list of trades, a position that the data's end leaves open among them, at its last mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.metrics.list_kernels import TRADE_FIGURES, trade_figures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.result import Metrics


def trade_metrics(trades: NDArray[Any]) -> Metrics:
    """Computes every metric that needs the trades alone.

    `win_rate`: share of trades with pnl > 0.
    `avg_trade_return`, `best_trade_return`, `worst_trade_return`: of return_frac, pnl over the entry's
    notional.
    `profit_factor`: sum of the gains / sum of the losses; `None` without a loss.
    `expectancy`: mean pnl of a trade, in quote currency.
    `sqn`: sqrt(trades) * mean(pnl) / standard deviation(pnl, ddof 1); Tharp, "Definitive Guide to Position
    Sizing", with pnl in place of R multiples; `None` under two trades.
    `kelly`: win rate - (1 - win rate) / (mean gain / mean loss); Kelly (1956); `None` without
    gains or losses.
    `fees_paid`: of all orders, in quote currency.

    Args:
        trades: shape (m,), dtype `TRADE`.
    """
    found = np.empty(len(TRADE_FIGURES))
    trade_figures(trades, np.empty(len(trades)), found)
    values = (None if np.isnan(value) else value for value in found.tolist())
    return dict(zip(TRADE_FIGURES, values, strict=True)) | {"trades": len(trades)}
