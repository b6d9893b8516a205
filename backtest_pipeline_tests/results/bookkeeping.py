"""Shared accounts kept by hand: purchases and sales written down, and what they make, without any engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from backtest_pipeline import BacktestRequest, BacktestResult, Candles
from backtest_pipeline.engine.metrics.account_metrics import METRIC_NAMES
from backtest_pipeline.model.result import (
    EQUITY_COLUMNS,
    POSITION_COLUMNS,
    SIGNAL_COLUMNS,
    TRADE_COLUMNS,
    Metrics,
)


@dataclass(frozen=True)
class Fill:
    """So many bought (or with a minus sold) at the open of a bar."""

    bar: int
    symbol: str
    quantity: float
    paid: float = 0.0
    """Interest or funding that the position has paid since its entry, taken from the cash at this open."""


@dataclass
class _Open:
    quantity: float
    price: float
    bar: int
    fees: float


@dataclass
class _Book:
    """All that is written down; every symbol's bars open at the same moments."""

    candles: Mapping[str, Candles]
    cash: float
    fee: float
    held: dict[str, _Open] = field(default_factory=dict)
    trades: list[dict[str, Any]] = field(default_factory=list)
    positions: list[dict[str, Any]] = field(default_factory=list)

    def fill(self, one: Fill) -> None:
        own = self.candles[one.symbol]
        price, side = float(own.open[one.bar]), np.sign(one.quantity)
        fee = abs(one.quantity) * price * self.fee
        self.cash -= one.quantity * price + fee + one.paid
        was = self.held.get(one.symbol)
        if was is None:
            self.held[one.symbol] = _Open(one.quantity, price, one.bar, fee)
            return
        was.fees += one.paid
        if np.sign(was.quantity) == side:
            total = was.quantity + one.quantity
            average = (was.quantity * was.price + one.quantity * price) / total
            self.held[one.symbol] = _Open(total, average, was.bar, was.fees + fee)
            return
        share = min(abs(one.quantity / was.quantity), 1.0)
        self._close(one.symbol, was, abs(one.quantity), share * was.fees + fee, one.bar, price, "signal")
        was.quantity, was.fees = was.quantity + one.quantity, (1.0 - share) * was.fees
        if was.quantity == 0.0:
            del self.held[one.symbol]

    def _close(
        self, symbol: str, was: _Open, quantity: float, fees: float, bar: int, price: float, reason: str
    ) -> None:
        side = 1.0 if was.quantity > 0 else -1.0
        pnl = side * (price - was.price) * quantity - fees
        times = self.candles[symbol].timestamp
        self.trades.append(
            {
                "symbol": symbol,
                "side": "long" if side > 0 else "short",
                "quantity": quantity,
                "entry_time": times[was.bar],
                "entry_price": was.price,
                "exit_time": times[bar],
                "exit_price": price,
                "fees": fees,
                "slippage_cost": 0.0,
                "pnl": pnl,
                "return_frac": pnl / (was.price * quantity),
                "bars_held": bar - was.bar,
                "exit_reason": reason,
                "mae_frac": 0.0,
                "mfe_frac": 0.0,
            }
        )

    def worth(self, column: str, bar: int) -> dict[str, float]:
        return {
            symbol: own.quantity * float(getattr(self.candles[symbol], column)[bar])
            for symbol, own in self.held.items()
        }

    def write_down(self, symbols: Iterable[str], bar: int) -> None:
        worth = self.worth("open", bar)
        equity = self.cash + sum(worth.values())
        for symbol in sorted(set(symbols)):
            quantity = self.held[symbol].quantity if symbol in self.held else 0.0
            value = worth.get(symbol, 0.0)
            time = self.candles[symbol].timestamp[bar]
            row = (time, symbol, quantity, value, value / equity)
            self.positions.append(dict(zip(POSITION_COLUMNS, row, strict=True)))

    def end(self) -> None:
        last = len(next(iter(self.candles.values()))) - 1
        for symbol, own in sorted(self.held.items()):
            price = float(self.candles[symbol].close[last])
            self._close(symbol, own, abs(own.quantity), own.fees, last, price, "end_of_data")


def kept_by_hand(candles: Mapping[str, Candles], fills: Iterable[Fill], **fields: Any) -> BacktestResult:
    """The result that purchases and sales make in one account.

    Args:
        candles: by symbol, all of the same moments.
        fills: by bar.
        fields: of the request; 1 000 of cash and no fees unless they say otherwise.
    """
    asked = {"strategy": "sma_cross", "symbols": list(candles), "account": "shared", "timeframe": "1d"}
    request = BacktestRequest(**{**asked, "initial_cash": 1_000.0, "fee_bps": 0.0, **fields})
    book = _Book(candles, request.initial_cash, request.fee_bps / 10_000)
    by_bar: dict[int, list[Fill]] = {}
    for one in fills:
        by_bar.setdefault(one.bar, []).append(one)
    moments = next(iter(candles.values())).timestamp
    rows = []
    for bar, moment in enumerate(moments):
        for one in by_bar.get(bar, []):
            book.fill(one)
        book.write_down((one.symbol for one in by_bar.get(bar, [])), bar)
        worth = book.worth("close", bar)
        equity, gross = book.cash + sum(worth.values()), sum(map(abs, worth.values()))
        rows.append((moment, equity, book.cash, gross / equity))
    book.end()
    table = pd.DataFrame(rows, columns=list(EQUITY_COLUMNS[:-1]))
    peak = np.maximum.accumulate(np.maximum(table["equity"].to_numpy(), request.initial_cash))
    table["drawdown_frac"] = 1.0 - table["equity"] / peak
    trades = _timed(pd.DataFrame(book.trades, columns=list(TRADE_COLUMNS)))
    trades = trades.sort_values(["symbol", "entry_time", "exit_time"], ignore_index=True)
    by_symbol = {
        symbol: _measured(trades[trades["symbol"] == symbol], request.initial_cash) for symbol in candles
    }
    metrics = _measured(trades, request.initial_cash) | {
        "peak_equity": float(peak[-1]),
        "max_drawdown": float(table["drawdown_frac"].max()),
        "exposure": float((table["exposure_frac"] > 0).mean()),
        "signals": 0.0,
    }
    if len(trades):
        metrics["win_rate"] = float((trades["pnl"] > 0).mean())
    return BacktestResult(
        signals=_timed(pd.DataFrame([], columns=list(SIGNAL_COLUMNS))),
        trades=trades,
        equity=_timed(table),
        metrics=metrics,
        by_symbol=by_symbol,
        request=request,
        positions=_timed(pd.DataFrame(book.positions, columns=list(POSITION_COLUMNS))),
    )


def _measured(trades: pd.DataFrame, cash: float) -> Metrics:
    pnl = float(trades["pnl"].sum())
    return {
        **dict.fromkeys(METRIC_NAMES),
        "total_return": pnl / cash,
        "final_equity": cash + pnl,
        "trades": float(len(trades)),
        "fees_paid": float(trades["fees"].sum()),
    }


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    for name in frame.columns:
        if name.endswith(("time", "timestamp")):
            frame[name] = pd.to_datetime(frame[name]).astype("datetime64[us]").dt.tz_localize("UTC")
    return frame
