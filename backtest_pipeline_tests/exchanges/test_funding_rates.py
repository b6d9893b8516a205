"""Funding rates that are stored are the exchange's, each once, however often one downloads."""

from __future__ import annotations

import random
from collections import deque
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline.candles.funding_file import read_funding
from backtest_pipeline.candles.sources.downloads import DownloadReport, download
from backtest_pipeline.candles.sources.updates import funding_of, update_all, wanted_series
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import CandleFileUnreadable
from backtest_pipeline_tests.exchanges.conftest import QuickTime, Serve, source_of
from backtest_pipeline_tests.exchanges.exchange_files import FIRST_S, NOW_S, files_of
from backtest_pipeline_tests.exchanges.loopback_exchange import LoopbackExchange
from backtest_pipeline_tests.exchanges.made_market import MadeMarket

PERPETUAL = "BTC/USDT:USDT"


def market(hours_between: int = 8) -> MadeMarket:
    """Rates of 60 days; at one hour's distance there are 1,440, more than any answer has."""
    chance = random.Random(3)  # noqa: S311  nothing secret
    made = MadeMarket.of(FIRST_S, 60 * 24 + 6, seed=2)
    moments = range(FIRST_S, int(NOW_S) + 86_400, hours_between * 3_600)
    made.funding = {at: round(chance.gauss(0.0001, 0.0002), 8) for at in moments}
    return made


def funded(exchange: LoopbackExchange, store: CandleStore, since_ms: int | None = None) -> DownloadReport:
    clock = QuickTime(exchange.time_s()).clock
    source = source_of(exchange, store, clock)
    wanted = wanted_series(source, [PERPETUAL], ["1d"], since_ms=since_ms)
    return download(store, source, funding_of(wanted), clock)[0]


def stored(store: CandleStore) -> dict[int, float]:
    rates = read_funding(store.layout, "BTCUSDT.P")
    seconds = rates.timestamp.astype("datetime64[s]").astype(np.int64)
    return dict(zip(map(int, seconds), map(float, rates.rate), strict=True))


@pytest.mark.parametrize("dialect", ["binance", "bybit"])
@pytest.mark.parametrize("hours_between", [1, 8])
def test_all_rates_up_to_now_are_stored(
    dialect: str, hours_between: int, serve: Serve, store: CandleStore
) -> None:
    made = market(hours_between)
    exchange = LoopbackExchange(dialect, {"BTCUSDT": made, "BTCUSDT.P": made}, NOW_S)
    serve(exchange)
    report = funded(exchange, store)
    assert (report.error, report.timeframe) == ("", "funding")
    assert stored(store) == {at: rate for at, rate in made.funding.items() if at < NOW_S}
    frame = pd.read_parquet(store.layout.funding("BTCUSDT.P"))
    assert list(frame.columns) == ["timestamp", "rate"]
    assert str(frame["timestamp"].dt.tz) == "UTC"


def test_rates_are_resumed_updated_and_extended_backwards(serve: Serve, store: CandleStore) -> None:
    made = market(1)
    exchange = LoopbackExchange("binance", {"BTCUSDT.P": made}, NOW_S - 10 * 86_400)
    serve(exchange)
    assert funded(exchange, store, since_ms=(FIRST_S + 30 * 86_400) * 1_000).error == ""
    assert min(stored(store)) == FIRST_S + 30 * 86_400
    exchange.now_s = NOW_S
    clock = QuickTime(NOW_S).clock
    [updated] = update_all(store, lambda _: source_of(exchange, store, clock), clock)
    assert (updated.timeframe, updated.rows_new) == ("funding", 10 * 24)
    assert funded(exchange, store, since_ms=FIRST_S * 1_000).error == ""
    assert stored(store) == {at: rate for at, rate in made.funding.items() if at < NOW_S}
    before = files_of(store)
    assert funded(exchange, store).state == "unchanged"
    assert files_of(store) == before


def test_a_spot_market_has_no_rates_and_says_which_has(serve: Serve, store: CandleStore) -> None:
    made = market()
    exchange = LoopbackExchange("bybit", {"BTCUSDT": made, "BTCUSDT.P": made}, NOW_S)
    serve(exchange)
    clock = QuickTime(NOW_S).clock
    source = source_of(exchange, store, clock)
    [report] = download(store, source, funding_of(wanted_series(source, ["BTCUSDT"], ["1d"])), clock)
    assert report.error == "bybit has no funding rates of BTCUSDT; it has BTC/USDT:USDT"
    assert not store.layout.funding("BTCUSDT").exists()


def test_a_correction_of_a_rate_is_told_and_replaced_by_refresh(serve: Serve, store: CandleStore) -> None:
    made = market()
    exchange = LoopbackExchange("binance", {"BTCUSDT.P": made}, NOW_S)
    serve(exchange)
    funded(exchange, store)
    at = FIRST_S + 8 * 3_600
    old = made.funding[at]
    made.funding[at] = 0.0123
    clock = QuickTime(NOW_S).clock
    [report] = update_all(store, lambda _: source_of(exchange, store, clock), clock, refresh=True)
    assert report.rows_replaced == 1
    [change] = report.changes
    assert (change.at, change.stored, change.given) == (datetime.fromtimestamp(at, tz=UTC), old, 0.0123)
    assert stored(store)[at] == 0.0123


def test_a_broken_answer_loses_no_rate(serve: Serve, store: CandleStore) -> None:
    made = market(1)
    exchange = LoopbackExchange("bybit", {"BTCUSDT.P": made}, NOW_S)
    exchange.fault_path = "funding"
    exchange.faults = deque([None, "cut, whole by its length", "empty object", None, "429"])
    serve(exchange)
    assert funded(exchange, store).error == ""
    assert not exchange.faults
    assert stored(store) == {at: rate for at, rate in made.funding.items() if at < NOW_S}


def test_a_damaged_file_is_named(store: CandleStore) -> None:
    path = store.layout.funding("BTCUSDT.P")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1")
    with pytest.raises(CandleFileUnreadable, match="delete it and download again"):
        read_funding(store.layout, "BTCUSDT.P")
