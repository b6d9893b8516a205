"""A fixed set of requests on candles made of whole numbers, and digests of what comes out of them.

Prices are whole cents drawn by Python's own generator, so that the candles are the same on every machine.
Run as a module it prints the digests; it imports public names only, and so runs on any earlier version:

    PYTHONPATH=A_CHECKOUT python backtest_pipeline_tests/engine/recorded_requests.py
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline import BacktestRequest, Candles, run_backtest

if TYPE_CHECKING:
    import pandas as pd

    from backtest_pipeline import BacktestResult

TABLES = ("signals", "trades", "equity")

_STOPS = {"stop_loss_frac": 0.04, "take_profit_frac": 0.09, "trailing_stop_frac": 0.06}
_COSTS = {"fee_bps": 7.5, "fee_fixed": 0.3, "slippage_bps": 12.5}

REQUESTS: Mapping[str, Mapping[str, Any]] = {
    "bollinger_reversion": {"strategy": "bollinger_reversion", "symbols": ["UP"]},
    "buy_and_hold": {"strategy": "buy_and_hold", "symbols": ["UP"]},
    "donchian_breakout": {"strategy": "donchian_breakout", "symbols": ["UP"]},
    "ema_cross": {"strategy": "ema_cross", "symbols": ["UP"]},
    "macd_cross": {"strategy": "macd_cross", "symbols": ["UP"]},
    "momentum": {"strategy": "momentum", "symbols": ["UP"]},
    "rsi_reversion": {"strategy": "rsi_reversion", "symbols": ["UP"]},
    "sma_cross": {"strategy": "sma_cross", "symbols": ["UP"]},
    "volume_long_candle": {"strategy": "volume_long_candle", "symbols": ["UP"]},
    "volume_zone_breakout": {"strategy": "volume_zone_breakout", "symbols": ["UP"]},
    "stops": {"strategy": "donchian_breakout", "symbols": ["UP"], **_STOPS, **_COSTS},
    "shorts": {"strategy": "sma_cross", "symbols": ["DOWN"], "direction": "short", **_COSTS},
    "both directions": {"strategy": "macd_cross", "symbols": ["DOWN"], "direction": "both", **_STOPS},
    "several symbols": {
        "strategy": "rsi_reversion",
        "symbols": ["UP", "LATE", "DOWN"],
        "direction": "both",
        "position_frac": 0.5,
        "trailing_stop_frac": 0.1,
        **_COSTS,
    },
    "whole units at the close": {
        "strategy": "volume_zone_breakout",
        "symbols": ["LATE", "UP"],
        "fill": "close",
        "quantity_step": 1.0,
        "max_hold_bars": 7,
    },
    "a span": {"strategy": "ema_cross", "symbols": ["UP"], "start": "2020-06-01", "end": "2021-03-31"},
}


def recorded_candles() -> dict[str, Candles]:
    """Daily candles of three symbols: one rises, one falls, and one begins later."""
    return {
        "UP": _walk("UP", first_day=0, bars=700, drift_cents=3, seed=11),
        "DOWN": _walk("DOWN", first_day=0, bars=700, drift_cents=-2, seed=12),
        "LATE": _walk("LATE", first_day=150, bars=500, drift_cents=1, seed=13),
    }


def run_recorded(name: str) -> BacktestResult:
    """The result of one of `REQUESTS`, all from before strategies saw candles before `start`."""
    asked = {**REQUESTS[name]}
    if "warmup_bars" in BacktestRequest.model_fields:
        asked["warmup_bars"] = 0
    return run_backtest(recorded_candles(), BacktestRequest(**asked))


def digests_of(result: BacktestResult) -> dict[str, str]:
    """SHA-256 of each table."""
    return {name: table_sha256(getattr(result, name)) for name in TABLES}


def table_sha256(table: pd.DataFrame) -> str:
    """SHA-256 over each column's name, kind and values; independent of how a file would be packed.

    Times count as microseconds since 1970 in UTC, numbers as little-endian bytes, texts as UTF-8.
    """
    digest = hashlib.sha256()
    for name in table.columns:
        column = table[name]
        kind, values = _plain(column)
        digest.update(f"{name}\0{kind}\0{len(column)}\0".encode())
        digest.update(values)
    return digest.hexdigest()


def _plain(column: pd.Series[Any]) -> tuple[str, bytes]:
    if column.dtype.kind == "M":
        stamps = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
        return "time", stamps.view(np.int64).astype("<i8").tobytes()
    if column.dtype.kind in "ifub":
        values = column.to_numpy()
        return values.dtype.kind, values.astype(values.dtype.newbyteorder("<")).tobytes()
    return "text", "".join(f"{text}\0" for text in column).encode()


def _walk(symbol: str, *, first_day: int, bars: int, drift_cents: int, seed: int) -> Candles:
    """A walk in cents that never comes near zero, with bursts of volume and of range."""
    draw = random.Random(seed)  # noqa: S311  candles, not secrets
    cents = 10_000
    rows = []
    for _ in range(bars):
        opens = max(cents + draw.randint(-40, 40), 2_000)
        wide = draw.choice((1, 1, 1, 4))
        closes = max(opens + wide * draw.randint(-110, 110) + drift_cents, 2_000)
        high = max(opens, closes) + draw.randint(0, 90)
        low = min(opens, closes) - draw.randint(0, 90)
        rows.append((opens, high, low, closes, draw.randint(1_000, 4_000) * wide))
        cents = closes
    prices = np.array(rows, dtype=np.int64)
    day = np.datetime64("2020-01-01", "us") + (first_day + np.arange(bars)) * np.timedelta64(1, "D")
    columns: dict[str, Any] = {"timestamp": day, "volume": prices[:, 4].astype(np.float64)}
    columns |= {name: prices[:, at] / 100.0 for at, name in enumerate(("open", "high", "low", "close"))}
    return Candles.from_arrays(symbol, "1d", columns)


if __name__ == "__main__":
    print(json.dumps({name: digests_of(run_recorded(name)) for name in REQUESTS}, indent=4))  # noqa: T201  its purpose
