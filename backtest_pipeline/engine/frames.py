"""Pandas frames from the engine's arrays, with the columns and types that results promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from backtest_pipeline.engine.kernel import EXIT_REASONS
from backtest_pipeline.engine.records import TRADE, joined
from backtest_pipeline.model.result import (
    EQUITY_COLUMNS,
    POSITION_COLUMNS,
    SIGNAL_COLUMNS,
    TRADE_COLUMNS,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.accounts import Curve
    from backtest_pipeline.engine.signal_study import SignalStudy
    from backtest_pipeline.model.candles import Candles

TEXT = pd.StringDtype(na_value=np.nan)
TEXT_ARRAY: Any = pd.arrays.ArrowStringArray  # its stubs lack `dtype`
UTC = pd.DatetimeTZDtype("us", "UTC")
SIDES = ("short", "long")


def signals_frame(candles: Sequence[Candles], studies: Sequence[SignalStudy]) -> pd.DataFrame:
    """One row a signal, by symbol and time.

    Args:
        candles: each symbol's candles.
        studies: each symbol's signals, in the same order.
    """
    complete = joined([study.exit_bar >= 0 for study in studies])
    columns = {
        "symbol": _symbols(candles, [len(study.bar) for study in studies]),
        "timestamp": _times([study.timestamp for study in studies]),
        "side": _text((joined([study.side for study in studies]) + 1) // 2, SIDES),
        "price": joined([study.price for study in studies]),
        "confidence": joined([study.confidence for study in studies]),
        "exit_timestamp": _times([study.exit_timestamp for study in studies]),
        "exit_price": joined([study.exit_price for study in studies]),
        "return_frac": joined([study.return_frac for study in studies]),
        "complete": complete,
    }
    return pd.DataFrame({name: columns[name] for name in SIGNAL_COLUMNS}, copy=False)


def trades_frame(candles: Sequence[Candles], trades: Sequence[NDArray[Any]]) -> pd.DataFrame:
    """One row a trade, by symbol and entry.

    Args:
        candles: each symbol's candles.
        trades: each symbol's trades, dtype `TRADE`, in the same order.
    """
    together = joined(trades)
    plain = set(TRADE_COLUMNS).intersection(TRADE.names or ())
    columns: dict[str, Any] = {name: np.ascontiguousarray(together[name]) for name in plain}
    columns |= {
        "symbol": _symbols(candles, [len(own) for own in trades]),
        "side": _text((together["side"] + 1) // 2, SIDES),
        "entry_time": _times(
            [one.timestamp[own["entry_bar"]] for one, own in zip(candles, trades, strict=True)]
        ),
        "exit_time": _times(
            [one.timestamp[own["exit_bar"]] for one, own in zip(candles, trades, strict=True)]
        ),
        "bars_held": together["exit_bar"] - together["entry_bar"],
        "exit_reason": _text(together["reason"] - 1, EXIT_REASONS),
    }
    return pd.DataFrame({name: columns[name] for name in TRADE_COLUMNS}, copy=False)


def equity_frame(
    curve: Curve, exposure_frac: NDArray[np.float64], drawdown_frac: NDArray[np.float64]
) -> pd.DataFrame:
    """One row a bar of the account; the columns share memory with the arrays."""
    columns = {
        "timestamp": _times([curve.timestamp]),
        "equity": curve.equity,
        "cash": curve.cash,
        "exposure_frac": exposure_frac,
        "drawdown_frac": drawdown_frac,
    }
    return pd.DataFrame({name: columns[name] for name in EQUITY_COLUMNS}, copy=False)


def positions_frame(candles: Sequence[Candles], changes: NDArray[Any]) -> pd.DataFrame:
    """One row a change of a position in a shared account, by time.

    Args:
        candles: each symbol's, in the order in which the changes count them.
        changes: dtype `CHANGE`.
    """
    symbols = changes["symbol"]
    stamps = np.empty(len(changes), dtype="datetime64[us]")
    for place, own in enumerate(candles):
        of_symbol = symbols == place
        stamps[of_symbol] = own.timestamp[changes["bar"][of_symbol]]
    quantity = np.ascontiguousarray(changes["quantity"])
    columns = {
        "timestamp": _times([stamps]),
        "symbol": _text(symbols, [own.symbol for own in candles]),
        "quantity": quantity,
        "value": quantity * changes["price"],
        "weight": np.ascontiguousarray(changes["weight"]),
    }
    return pd.DataFrame({name: columns[name] for name in POSITION_COLUMNS}, copy=False)


def _times(parts: Sequence[NDArray[np.datetime64]]) -> Any:
    """Joins UTC moments into a zone-aware array of their own memory."""
    return pd.array(np.concatenate(parts).view(np.int64), dtype=UTC, copy=False)


def _symbols(candles: Sequence[Candles], counts: Sequence[int]) -> Any:
    codes = np.repeat(np.arange(len(counts), dtype=np.int16), counts)
    return _text(codes, [one.symbol for one in candles])


def _text(codes: NDArray[Any], words: Sequence[str]) -> Any:
    """Texts by their number in `words`, as pandas' own string type."""
    texts = pa.array(words, pa.large_string()).take(pa.array(codes))
    return TEXT_ARRAY(pa.chunked_array([texts]), dtype=TEXT)
