"""What an exchange says otherwise than before is told, and replaced only where somebody asks for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from backtest_pipeline.candles.importer import import_table
from backtest_pipeline.candles.merge import CandleChange
from backtest_pipeline.candles.sources.downloads import DownloadReport
from backtest_pipeline.candles.sources.updates import update_all, wanted_series
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline_tests.exchanges.conftest import QuickTime, Serve, source_of
from backtest_pipeline_tests.exchanges.exchange_files import (
    FIRST_S,
    SPARSE,
    approx,
    downloaded,
    exchange_of,
    files_of,
    stored,
)
from backtest_pipeline_tests.exchanges.loopback_exchange import LoopbackExchange
from backtest_pipeline_tests.exchanges.made_market import MadeMarket

DENSE = MadeMarket.of(FIRST_S, 60 * 24, seed=9)
LAST_S = FIRST_S + 1_400 * 3_600 - 3_600  # the last complete candle at TIME_S
TIME_S = float(FIRST_S + 1_400 * 3_600 + 60)


def corrected(at: int, close: float) -> MadeMarket:
    opened, high, low, _, volume = DENSE.rows[at]
    rows = DENSE.rows | {at: (opened, max(high, close), min(low, close), close, volume)}
    return MadeMarket(DENSE.base_s, rows)


def updated(exchange: LoopbackExchange, store: CandleStore, *, refresh: bool = False) -> list[DownloadReport]:
    clock = QuickTime(exchange.time_s()).clock
    return update_all(store, lambda _: source_of(exchange, store, clock), clock, refresh=refresh)


def test_an_update_tells_a_correction_and_keeps_what_is_stored(serve: Serve, store: CandleStore) -> None:
    exchange = LoopbackExchange("upbit", {"KRW-BTC": DENSE}, TIME_S)
    serve(exchange)
    downloaded(exchange, store)
    before = files_of(store)
    old = DENSE.rows[LAST_S][3]
    new = round(sum(DENSE.rows[LAST_S][1:3]) / 2, 2)  # between low and high, so that only the close differs
    exchange.markets["KRW-BTC"] = corrected(LAST_S, new)

    report = updated(exchange, store)[0]

    assert (report.rows_differing, report.rows_replaced) == (1, 0)
    assert report.changes == (CandleChange(datetime.fromtimestamp(LAST_S, tz=UTC), "close", old, new),)
    assert files_of(store) == before


def test_a_refresh_replaces_and_says_what_changed(serve: Serve, store: CandleStore, tmp_path: Path) -> None:
    exchange = LoopbackExchange("upbit", {"KRW-BTC": DENSE}, TIME_S)
    serve(exchange)
    downloaded(exchange, store)
    long_ago_s = FIRST_S + 100 * 3_600
    exchange.markets["KRW-BTC"] = corrected(long_ago_s, 2_000.0)
    assert updated(exchange, store)[0].changes == ()  # an update does not look that far back

    report = updated(exchange, store, refresh=True)[0]

    assert (report.rows_replaced, report.rows_differing, report.state) == (1, 0, "updated")
    at = datetime.fromtimestamp(long_ago_s, tz=UTC)
    was = DENSE.rows[long_ago_s]
    assert report.changes == (
        CandleChange(at, "high", was[1], 2_000.0),
        CandleChange(at, "close", was[3], 2_000.0),
    )
    plain = CandleStore(tmp_path / "plain")
    downloaded(exchange, plain)
    assert files_of(store) == files_of(plain)


def test_candles_that_are_gone_are_told_and_stay(serve: Serve, store: CandleStore) -> None:
    exchange = LoopbackExchange("upbit", {"KRW-BTC": DENSE}, TIME_S)
    serve(exchange)
    downloaded(exchange, store)
    rows = {at: row for at, row in DENSE.rows.items() if not LAST_S - 2 * 3_600 <= at <= LAST_S}
    exchange.markets["KRW-BTC"] = MadeMarket(DENSE.base_s, rows)

    for refresh in (False, True):
        report = updated(exchange, store, refresh=refresh)[0]
        assert report.rows_gone == 3
        assert "upbit does not give the candle of" in report.remarks[0]
        assert stored(store, "KRW-BTC") == approx(DENSE.complete(3_600, TIME_S))


def test_imported_candles_stay_beside_downloaded_ones(serve: Serve, store: CandleStore) -> None:
    """Somebody has imported two days, one of them with another close."""
    exchange = exchange_of("upbit", DENSE, TIME_S)
    serve(exchange)
    frame = pd.DataFrame(
        [DENSE.rows[FIRST_S + hour * 3_600] for hour in range(24)],
        columns=["open", "high", "low", "close", "volume"],
    )
    frame["timestamp"] = pd.to_datetime([FIRST_S + hour * 3_600 for hour in range(24)], unit="s", utc=True)
    frame.loc[3, ["high", "close"]] = 3_000.0
    import_table(store, pa.Table.from_pandas(frame), "KRW-BTC", "1h", calendar="24/7")

    report = downloaded(exchange, store)[0]

    assert report.rows_differing == 1
    got = stored(store, "KRW-BTC")
    assert got.pop(FIRST_S + 3 * 3_600)[3] == 3_000.0
    rest = DENSE.complete(3_600, TIME_S)
    del rest[FIRST_S + 3 * 3_600]
    assert got == approx(rest)


def test_rows_that_no_candle_can_be_are_left_out_and_named(serve: Serve, store: CandleStore) -> None:
    bad_s = FIRST_S + 50 * 3_600
    broken = MadeMarket(3_600, DENSE.rows | {bad_s: (1_000.0, 900.0, 800.0, 850.0, 1.0)})
    exchange = exchange_of("upbit", broken, TIME_S)
    serve(exchange)
    report = downloaded(exchange, store)[0]
    assert report.error == ""
    assert bad_s not in stored(store, "KRW-BTC")
    assert len(report.remarks) == 1
    assert "left out: KRW-BTC of upbit: high is below open: high 900.0, open 1000.0" in report.remarks[0]


def test_a_market_that_is_gone_keeps_its_candles(serve: Serve, store: CandleStore) -> None:
    exchange = LoopbackExchange("upbit", {"KRW-BTC": DENSE, "KRW-OLD": SPARSE}, TIME_S)
    serve(exchange)
    downloaded(exchange, store, asked=("KRW-BTC", "KRW-OLD"))
    before = stored(store, "KRW-OLD")
    del exchange.markets["KRW-OLD"]
    exchange.now_s = TIME_S + 7_200

    reports = updated(exchange, store)

    assert [(report.symbol, report.state) for report in reports] == [
        ("KRW-BTC", "updated"),
        ("KRW-OLD", "delisted"),
    ]
    assert stored(store, "KRW-OLD") == before


def test_a_renamed_market_goes_on_under_its_symbol(serve: Serve, store: CandleStore) -> None:
    exchange = LoopbackExchange("upbit", {"KRW-OLD": DENSE}, TIME_S)
    serve(exchange)
    downloaded(exchange, store, asked=("KRW-OLD",))
    exchange.markets = {"KRW-NEW": DENSE}
    exchange.now_s = TIME_S + 5 * 3_600

    refused = downloaded(exchange, store, asked=("KRW-NEW=KRW-OLD",))[0]
    assert refused.state == "failed"
    assert "KRW-OLD 1h comes from KRW-OLD of upbit, not from KRW-NEW of upbit" in refused.error
    assert "--renamed" in refused.error

    assert downloaded(exchange, store, asked=("KRW-NEW=KRW-OLD",), renamed=True)[0].rows_new == 5
    assert stored(store, "KRW-OLD") == approx(DENSE.complete(3_600, exchange.time_s()))
    exchange.now_s = exchange.time_s() + 3_600
    assert updated(exchange, store)[0].rows_new == 1  # the record has the new name


def test_two_exchanges_prices_are_not_one_series(serve: Serve, store: CandleStore) -> None:
    binance, bybit = exchange_of("binance", DENSE, TIME_S), exchange_of("bybit", SPARSE, TIME_S)
    serve(binance)
    serve(bybit)
    downloaded(binance, store, "1h")
    report = downloaded(bybit, store, "1d")[0]  # not even another timeframe of the symbol
    assert report.state == "failed"
    assert "store it under another name: --symbols BTCUSDT=BTCUSDT.BYBIT" in report.error
    assert downloaded(bybit, store, "1d", asked=("BTCUSDT=BTCUSDT.BYBIT",))[0].error == ""


def test_the_spot_market_goes_before_the_perpetual_one_of_its_name(serve: Serve, store: CandleStore) -> None:
    exchange = LoopbackExchange("bybit", {"BTCUSDT": DENSE, "BTCUSDT.P": SPARSE}, TIME_S)
    serve(exchange)
    reports = downloaded(exchange, store, asked=("BTCUSDT", "BTC/USDT:USDT"))
    assert [(report.symbol, report.market) for report in reports] == [
        ("BTCUSDT", "BTCUSDT"),
        ("BTCUSDT.P", "BTC/USDT:USDT"),
    ]
    assert stored(store, "BTCUSDT") == approx(DENSE.complete(3_600, TIME_S))
    assert stored(store, "BTCUSDT.P") == approx(SPARSE.complete(3_600, TIME_S))


def test_two_markets_may_not_be_one_symbol(serve: Serve, store: CandleStore) -> None:
    exchange = LoopbackExchange("bybit", {"BTCUSDT": DENSE, "ETHUSDT": SPARSE}, TIME_S)
    serve(exchange)
    source = source_of(exchange, store, QuickTime(TIME_S).clock)
    with pytest.raises(RequestInvalid, match="BTCUSDT and ETHUSDT would both be BTCUSDT"):
        wanted_series(source, ["BTCUSDT", "ETHUSDT=BTCUSDT"], ["1h"])
    with pytest.raises(RequestInvalid, match="ETHUSDT=NAME"):
        wanted_series(source, ["ETHUSDT=eth"], ["1h"])
