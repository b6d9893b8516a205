"""What a download stores equals what the exchange has, whatever happens on the way."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import pytest

from backtest_pipeline.candles.sources.ccxt_client import ExchangesMissing
from backtest_pipeline.candles.sources.ccxt_exchange import CcxtExchange
from backtest_pipeline.candles.sources.coverage import read_coverage
from backtest_pipeline.candles.sources.downloads import download
from backtest_pipeline.candles.sources.market_data import stoppable_clock
from backtest_pipeline.candles.sources.updates import wanted_series
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import MarketsUnknown, SourceLacks
from backtest_pipeline.model.timeframe import BAR_SECONDS, Timeframe
from backtest_pipeline_tests.exchanges.conftest import QuickTime, Serve, source_of
from backtest_pipeline_tests.exchanges.exchange_files import (
    FIRST_S,
    NAMES,
    NOW_S,
    SPARSE,
    approx,
    downloaded,
    exchange_of,
    files_of,
    stored,
)
from backtest_pipeline_tests.exchanges.loopback_exchange import LoopbackExchange
from backtest_pipeline_tests.exchanges.made_market import MadeMarket
from backtest_pipeline_tests.polling import until


@pytest.mark.parametrize("dialect", ["upbit", "binance", "bybit"])
@pytest.mark.parametrize("timeframe", ["1h", "4h", "1d", "1w"])
def test_a_download_stores_what_the_exchange_has(
    dialect: str, timeframe: Timeframe, serve: Serve, store: CandleStore
) -> None:
    exchange = exchange_of(dialect)
    serve(exchange)

    report = downloaded(exchange, store, timeframe)[0]

    complete = SPARSE.complete(BAR_SECONDS[timeframe], NOW_S)
    assert report.error == ""
    assert stored(store, NAMES[dialect], timeframe) == approx(complete)
    assert (report.state, report.rows_new) == ("updated", len(complete))
    assert max(complete) + BAR_SECONDS[timeframe] <= NOW_S < max(SPARSE.candles(3_600, NOW_S)) + 3_600


def test_candles_are_those_of_seoul_s_nine_o_clock_days(serve: Serve, store: CandleStore) -> None:
    exchange = exchange_of("upbit")
    serve(exchange)
    downloaded(exchange, store, "1d")
    opens = store.load(["KRW-BTC"], "1d")["KRW-BTC"].timestamp
    assert set((opens - opens.astype("datetime64[D]")).astype(int)) == {0}  # 00:00 UTC is 09:00 in Seoul


@pytest.mark.parametrize("dialect", ["binance", "bybit"])
def test_an_exchange_that_gives_less_than_it_documents_leaves_no_hole(
    dialect: str, serve: Serve, store: CandleStore
) -> None:
    """Binance then gives the oldest of a stretch, Bybit the newest."""
    exchange = exchange_of(dialect)
    exchange.most_rows = 70
    serve(exchange)
    assert downloaded(exchange, store)[0].error == ""
    assert stored(store, "BTCUSDT") == approx(SPARSE.complete(3_600, NOW_S))


def test_bithumb_is_asked_in_seoul_s_time(serve: Serve, store: CandleStore) -> None:
    """ccxt sends it no end of a stretch, and would get the newest candles again and again."""
    exchange = exchange_of("bithumb")
    serve(exchange)
    report = downloaded(exchange, store, asked=("BTC/KRW=KRW-BTC",), since_ms=FIRST_S * 1_000)[0]
    assert report.error == ""
    assert stored(store, "KRW-BTC") == approx(SPARSE.complete(3_600, NOW_S))


def test_a_source_that_gives_only_its_newest_candles_is_named(serve: Serve, store: CandleStore) -> None:
    """As Kraken does; here a market that is younger than what was asked for."""
    exchange = exchange_of("upbit")
    serve(exchange)
    long_ago_ms = (FIRST_S - 30 * 86_400) * 1_000
    [remark] = downloaded(exchange, store, since_ms=long_ago_ms)[0].remarks
    assert remark.startswith(
        "upbit gives nothing before 2024-01-01 00:00 UTC, though it was asked from 2023-12-02"
    )


def test_an_empty_page_is_not_the_end(serve: Serve, store: CandleStore) -> None:
    """The halt is three of Upbit's pages long, so at least one page within it is empty."""
    exchange = exchange_of("upbit")
    serve(exchange)
    downloaded(exchange, store)
    opens = [at for at in stored(store, "KRW-BTC") if at >= FIRST_S + 900 * 3_600]
    assert len(opens) > 300
    tos = [one.query["to"] for one in exchange.candle_requests() if "minutes" in one.path]
    assert len(tos) == len(set(tos)) == -(-(60 * 24 + 6) // 200)


def test_a_download_without_since_begins_with_the_market(serve: Serve, store: CandleStore) -> None:
    exchange = exchange_of("upbit")
    serve(exchange)
    downloaded(exchange, store)
    assert min(stored(store, "KRW-BTC")) == FIRST_S
    # Five pages of 200 weeks reach from 2010 to 2024: no other request goes to years without the market.
    weeks = [one for one in exchange.candle_requests() if "weeks" in one.path]
    assert len(weeks) <= 5


def test_the_candle_in_progress_is_never_stored(serve: Serve, store: CandleStore) -> None:
    """Updates every 20 minutes; at each of them the exchange also gives the hour that has not ended."""
    now_s = float(FIRST_S + 30 * 3_600)
    exchange = LoopbackExchange("upbit", {"KRW-BTC": MadeMarket.of(FIRST_S, 100, seed=5)}, lambda: now_s)
    serve(exchange)
    for _ in range(12):
        downloaded(exchange, store, time=QuickTime(now_s))
        got = stored(store, "KRW-BTC")
        assert got == approx(exchange.markets["KRW-BTC"].complete(3_600, now_s - 10))
        now_s += 1_200


def test_a_clock_that_is_ahead_stores_no_candle_in_progress(serve: Serve, store: CandleStore) -> None:
    exchange = exchange_of("upbit")
    serve(exchange)
    downloaded(exchange, store, time=QuickTime(NOW_S + 86_400))
    assert stored(store, "KRW-BTC") == approx(SPARSE.complete(3_600, NOW_S))


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["upbit", "binance", "bybit"])
@pytest.mark.parametrize(
    "fault",
    [
        "429",
        "429 for 3 s",
        "500",
        "late",
        "cut",
        "cut, whole by its length",
        "page",
        "empty object",
        "nulls",
        "dropped",
    ],
)
def test_a_fault_on_the_way_changes_nothing(
    dialect: str, fault: str, serve: Serve, store: CandleStore, tmp_path: Path
) -> None:
    """Three answers fail, two of them one after the other."""
    whole = exchange_of(dialect)
    serve(whole)
    plain = CandleStore(tmp_path / "plain")
    downloaded(whole, plain)
    exchange = exchange_of(dialect)
    looking_for_the_first = 4 if dialect == "upbit" else 1
    exchange.faults = deque([None] * looking_for_the_first + [fault, fault, None, fault])
    serve(exchange)

    report = downloaded(exchange, store)[0]

    assert report.error == ""
    assert files_of(store) == files_of(plain)
    more = len(exchange.candle_requests()) - len(whole.candle_requests())
    assert more == 3 or (fault == "nulls" and more >= 1)  # which no empty answer has


def test_rows_without_a_time_are_no_empty_page(serve: Serve, store: CandleStore) -> None:
    exchange = exchange_of("upbit")
    exchange.faults = deque([None, None, None, None, "timeless", "timeless"])
    serve(exchange)
    assert downloaded(exchange, store)[0].error == ""
    assert stored(store, "KRW-BTC") == approx(SPARSE.complete(3_600, NOW_S))


def test_an_exchange_that_never_answers_well_is_named_with_what_it_said(
    serve: Serve, store: CandleStore
) -> None:
    exchange = exchange_of("upbit")
    exchange.faults = deque([None] * 6 + ["page"] * 7)
    serve(exchange)
    time = QuickTime(NOW_S)

    report = downloaded(exchange, store, time=time)[0]

    assert report.state == "failed"
    assert "no usable answer in 7 tries: an answer that is no JSON: <html><body>We are under" in report.error
    assert [pause for pause in time.slept_s if pause >= 1] == [1, 2, 4, 8, 16, 32]
    assert 0 < len(stored(store, "KRW-BTC")) < 600  # what came before is stored
    assert downloaded(exchange, store)[0].error == ""  # and the same download goes on from there
    assert stored(store, "KRW-BTC") == approx(SPARSE.complete(3_600, NOW_S))


def test_earlier_history_may_be_wanted_later(serve: Serve, store: CandleStore, tmp_path: Path) -> None:
    exchange = exchange_of("upbit")
    serve(exchange)
    later_ms = (FIRST_S + 950 * 3_600) * 1_000
    downloaded(exchange, store, since_ms=later_ms)
    assert min(stored(store, "KRW-BTC")) * 1_000 >= later_ms

    middle_ms = (FIRST_S + 210 * 3_600) * 1_000
    downloaded(exchange, store, since_ms=middle_ms)
    assert stored(store, "KRW-BTC") == approx(
        {at: row for at, row in SPARSE.complete(3_600, NOW_S).items() if at * 1_000 >= middle_ms}
    )
    downloaded(exchange, store)

    plain = CandleStore(tmp_path / "plain")
    downloaded(exchange, plain)
    candles = {name: digest for name, digest in files_of(store).items() if not name.endswith(".source.json")}
    assert candles.items() <= files_of(plain).items()
    assert stored(store, "KRW-BTC") == approx(SPARSE.complete(3_600, NOW_S))


def test_history_that_is_cut_short_on_its_way_back_has_no_hole(
    serve: Serve, store: CandleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It grows backwards: what there is after each failure reaches from the record's beginning to its end."""
    monkeypatch.setattr("backtest_pipeline.candles.sources.series_download.STORE_EVERY_ROWS", 1)
    dense = MadeMarket.of(FIRST_S, 60 * 24 + 6, seed=12)
    exchange = exchange_of("upbit", dense)
    serve(exchange)
    downloaded(exchange, store, since_ms=(FIRST_S + 1_300 * 3_600) * 1_000)
    firsts = []
    for good in (1, 2, 3):
        exchange.faults = deque([None] * good + ["page"] * 7)
        assert downloaded(exchange, store, since_ms=FIRST_S * 1_000)[0].state == "failed"
        known = read_coverage(store.layout, "KRW-BTC", "1h")
        assert known is not None
        firsts.append(known.first_ms // 1_000)
        whole = {at: row for at, row in dense.complete(3_600, NOW_S).items() if at >= firsts[-1]}
        assert stored(store, "KRW-BTC") == approx(whole)
    assert FIRST_S < firsts[2] < firsts[1] < firsts[0] < FIRST_S + 1_300 * 3_600


def test_a_download_that_is_interrupted_ends_soon_and_keeps_what_it_has(
    serve: Serve, store: CandleStore
) -> None:
    """As a run that is cancelled: the exception comes in the main thread, while others wait to ask."""
    exchange = exchange_of("upbit")
    serve(exchange)
    stop = threading.Event()
    clock = stoppable_clock(time.time, stop)
    source = source_of(exchange, store, clock)
    wanted = wanted_series(source, ["KRW-BTC"], ["1h"], since_ms=FIRST_S * 1_000)
    many = [replace(wanted[0], symbol=f"S{at}") for at in range(20)]
    main = threading.get_ident()
    interrupted_s = []

    def interrupt() -> None:
        until(lambda: len(exchange.candle_requests()) >= 6, "six pages")
        interrupted_s.append(time.monotonic())
        signal.pthread_kill(main, signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        download(store, source, many, clock)
    assert time.monotonic() - interrupted_s[0] < 5  # all of it takes twenty times eight eighths of a second
    other.join()
    assert stop.is_set()
    rows = sum(listing.rows for listing in store.inventory())
    assert 0 < rows < 20 * len(SPARSE.complete(3_600, NOW_S))


def test_without_ccxt_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, store: CandleStore) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)
    with pytest.raises(ExchangesMissing, match=r"pip install 'backtest-pipeline\[exchanges\]'"):
        CcxtExchange("upbit", store.layout.pace, QuickTime(NOW_S).clock)


def test_what_is_there_is_not_asked_for_again(serve: Serve, store: CandleStore) -> None:
    exchange = exchange_of("upbit")
    serve(exchange)
    downloaded(exchange, store)
    before = files_of(store)
    asked = len(exchange.candle_requests())

    report = downloaded(exchange, store)[0]

    assert (report.state, report.rows_new) == ("unchanged", 0)
    assert len(exchange.candle_requests()) == asked + 1
    assert files_of(store) == before


@pytest.mark.slow
def test_order_and_parallelism_change_nothing(serve: Serve, tmp_path: Path) -> None:
    names = [f"KRW-C{number}" for number in range(6)]
    markets = {
        name: MadeMarket.of(FIRST_S + number * 7_200, 500 + 31 * number, seed=number, traded_frac=0.9)
        for number, name in enumerate(names)
    }
    exchange = LoopbackExchange("upbit", markets, NOW_S)
    serve(exchange)
    stores = []
    for at, (order, parallel) in enumerate([(names, 1), (names, 6), (names[::-1], 3)]):
        stores.append(CandleStore(tmp_path / f"store{at}"))
        reports = downloaded(exchange, stores[-1], asked=tuple(order), parallel=parallel)
        assert [report.symbol for report in reports] == order
    assert files_of(stores[0]) == files_of(stores[1]) == files_of(stores[2])
    for name in names:
        assert stored(stores[0], name) == approx(markets[name].complete(3_600, NOW_S))


@pytest.mark.slow
def test_a_download_cut_short_anywhere_and_resumed_is_the_same(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Storing after every page, so that there is something to lose at each of them."""
    monkeypatch.setattr("backtest_pipeline.candles.sources.series_download.STORE_EVERY_ROWS", 1)
    exchange = exchange_of("upbit")
    serve(exchange)
    plain = CandleStore(tmp_path / "plain")
    downloaded(exchange, plain)
    chance = random.Random(4)  # noqa: S311  nothing secret
    for attempt in range(4):
        store = CandleStore(tmp_path / f"store{attempt}")
        states = []
        for _ in range(3):
            exchange.faults = deque([None] * chance.randrange(1, 9) + ["page"] * 7)
            states.append(downloaded(exchange, store)[0].state)
        assert "failed" in states
        exchange.faults.clear()
        assert downloaded(exchange, store)[0].error == ""
        assert files_of(store) == files_of(plain)


def test_symbols_that_the_exchange_has_not_are_named(serve: Serve, store: CandleStore) -> None:
    exchange = exchange_of("upbit")
    serve(exchange)
    with pytest.raises(MarketsUnknown, match=r"upbit has no market KRW-BTD \(did you mean KRW-BTC\?\), XRP"):
        downloaded(exchange, store, asked=("KRW-BTC", "KRW-BTD", "XRP"))
    assert not store.symbols("1h")


def test_a_timeframe_that_the_exchange_has_not_is_named(serve: Serve, store: CandleStore) -> None:
    clock = QuickTime(NOW_S).clock
    exchange = exchange_of("upbit")
    serve(exchange)
    source = source_of(exchange, store, clock)
    source._first.timeframes = {"1h": "60"}
    with pytest.raises(SourceLacks, match="upbit has no 1d candles; it has 1h"):
        wanted_series(source, ["KRW-BTC"], ["1d"])


def test_upbit_is_never_sent_an_origin(serve: Serve, store: CandleStore) -> None:
    """With one, it allows one request in ten seconds."""
    exchange = exchange_of("upbit")
    serve(exchange)
    downloaded(exchange, store)
    assert exchange.asked
    assert all("origin" not in one.headers for one in exchange.asked)


def test_the_market_s_calendar_and_currency_are_recorded(serve: Serve, store: CandleStore) -> None:
    exchange = exchange_of("upbit")
    serve(exchange)
    downloaded(exchange, store)
    record = store.record("KRW-BTC")
    assert record is not None
    assert (record.calendar, record.quote, record.timezone) == ("24/7", "KRW", "UTC")
