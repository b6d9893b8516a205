"""A market of each exchange, its download, and what is stored then."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from backtest_pipeline.candles.sources.downloads import DownloadReport, download
from backtest_pipeline.candles.sources.updates import wanted_series
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.timeframe import Timeframe
from backtest_pipeline_tests.exchanges.conftest import QuickTime, source_of
from backtest_pipeline_tests.exchanges.loopback_exchange import LoopbackExchange
from backtest_pipeline_tests.exchanges.made_market import MadeMarket

FIRST_S = 1_704_067_200  # 2024-01-01T00:00:00Z, a Monday
NOW_S = FIRST_S + 60 * 86_400 + 5 * 3_600 + 1_234  # within an hour's candle, day and week
NAMES = {"upbit": "KRW-BTC", "binance": "BTCUSDT", "bybit": "BTCUSDT", "bithumb": "KRW-BTC"}
# Some pages long at each exchange; a halt of three of Upbit's pages, and hours in which nobody trades.
SPARSE = MadeMarket.of(FIRST_S, 60 * 24 + 6, seed=1, traded_frac=0.7, halts=((300, 900), (1_000, 1_001)))


def exchange_of(dialect: str, market: MadeMarket = SPARSE, now_s: float = NOW_S) -> LoopbackExchange:
    return LoopbackExchange(dialect, {NAMES[dialect]: market}, now_s)


def downloaded(
    exchange: LoopbackExchange,
    store: CandleStore,
    timeframe: Timeframe = "1h",
    *,
    asked: tuple[str, ...] = (),
    time: QuickTime | None = None,
    parallel: int = 4,
    **options: Any,
) -> list[DownloadReport]:
    """A download of the exchange's market, or of those asked for."""
    clock = (time or QuickTime(exchange.time_s())).clock
    source = source_of(exchange, store, clock)
    wanted = wanted_series(source, asked or (NAMES[exchange.dialect],), [timeframe], **options)
    return download(store, source, wanted, clock, parallel=parallel)


def stored(store: CandleStore, symbol: str, timeframe: Timeframe = "1h") -> dict[int, tuple[float, ...]]:
    candles = store.load([symbol], timeframe)[symbol]
    values = zip(candles.open, candles.high, candles.low, candles.close, candles.volume, strict=True)
    opens = candles.timestamp.astype("datetime64[s]").astype(np.int64)
    return {int(at): tuple(map(float, row)) for at, row in zip(opens, values, strict=True)}


def files_of(store: CandleStore) -> dict[str, str]:
    """Every file of the store but locks and the pace, by a digest of its bytes."""
    root = store.layout.data_root
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.suffix != ".lock"
        and ".exchanges" not in path.parts
        and path.name != ".lock"
    }


def approx(rows: Mapping[int, tuple[float, ...]]) -> dict[int, Any]:
    """Volumes are sums of floats, which texts and JSON carry whole."""
    return {at: pytest.approx(row, rel=1e-12) for at, row in rows.items()}
