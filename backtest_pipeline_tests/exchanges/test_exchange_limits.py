"""No exchange is asked more often than it allows, by all threads and processes together."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backtest_pipeline.candles.sources.market_data import Clock
from backtest_pipeline.candles.sources.rate_limiter import RateLimiter
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import SourceBlocked
from backtest_pipeline_tests.exchanges.conftest import QuickTime, Serve
from backtest_pipeline_tests.exchanges.exchange_files import (
    FIRST_S,
    NAMES,
    NOW_S,
    SPARSE,
    approx,
    downloaded,
    exchange_of,
    stored,
)
from backtest_pipeline_tests.exchanges.loopback_exchange import LoopbackExchange
from backtest_pipeline_tests.exchanges.made_market import MadeMarket

REAL = Clock(time.time, time.sleep)
# A process of its own that sends ten requests as quickly as the pace allows, and prints when each left.
ASK = """
import sys, time
from pathlib import Path
from backtest_pipeline.candles.sources.market_data import Clock
from backtest_pipeline.candles.sources.rate_limiter import RateLimiter
limiter = RateLimiter(Path(sys.argv[1]), "upbit", Clock(time.time, time.sleep))
for _ in range(10):
    limiter.wait(0.1)
    print(time.time())
"""


def most_within_a_second(moments_s: list[float]) -> int:
    moments_s = sorted(moments_s)
    return max(sum(first <= at < first + 1 for at in moments_s) for first in moments_s)


def test_upbit_s_ten_requests_a_second_are_never_overshot(serve: Serve, store: CandleStore) -> None:
    """In real time: eight markets, four at a time, some 40 requests; the exchange counts them."""
    names = [f"KRW-C{number}" for number in range(8)]
    markets = {name: MadeMarket.of(FIRST_S, 600, seed=number) for number, name in enumerate(names)}
    exchange = LoopbackExchange("upbit", markets, NOW_S, most_per_s=10)
    serve(exchange)

    class RealTime(QuickTime):
        clock = REAL

    since_ms = FIRST_S * 1_000
    reports = downloaded(exchange, store, asked=tuple(names), since_ms=since_ms, time=RealTime(0))

    assert [report.error for report in reports] == [""] * 8
    assert exchange.refused == 0
    assert most_within_a_second([one.at_s for one in exchange.asked]) <= 10
    # And the limit is used: a request each eighth of a second, with as much again for a busy machine.
    took_s = exchange.asked[-1].at_s - exchange.asked[0].at_s
    assert took_s < len(exchange.asked) * 0.125 * 2


def test_processes_share_the_pace(tmp_path: Path) -> None:
    """Three processes of ten requests each: no second has more than ten of the thirty."""
    command = [sys.executable, "-c", ASK, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    moments_s = [float(line) for process in running for line in process.communicate()[0].split()]
    assert len(moments_s) == 30
    assert most_within_a_second(moments_s) <= 10


def test_threads_leave_at_a_distance(tmp_path: Path) -> None:
    moments_s: list[float] = []

    def ask() -> None:
        limiter = RateLimiter(tmp_path, "upbit", REAL)
        for _ in range(5):
            limiter.wait(0.02)
            moments_s.append(time.time())

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    moments_s.sort()
    assert moments_s[-1] - moments_s[0] >= 29 * 0.02  # thirty requests, 29 distances


def test_a_pause_holds_for_requests_that_wait_already(tmp_path: Path) -> None:
    """One waits for its slot while another hears that it must pause for five seconds."""
    now = QuickTime(1_000.0)
    other = RateLimiter(tmp_path, "upbit", now.clock)
    paused: list[float] = []

    def sleep_s(seconds: float) -> None:
        now.sleep(seconds)
        if not paused:
            paused.append(now.now_s)
            other.pause(5)

    limiter = RateLimiter(tmp_path, "upbit", Clock(lambda: now.now_s, sleep_s))
    limiter.wait(1)
    assert now.now_s >= paused[0] + 5


def test_a_clock_set_back_makes_nobody_wait_for_hours(tmp_path: Path) -> None:
    ahead = QuickTime(1_000_000.0)
    RateLimiter(tmp_path, "upbit", ahead.clock).pause(60)
    back = QuickTime(1_000_000.0 - 86_400)
    RateLimiter(tmp_path, "upbit", back.clock).wait(0.1)
    assert sum(back.slept_s) <= 600


def test_too_many_requests_are_waited_for(serve: Serve, store: CandleStore) -> None:
    exchange = exchange_of("upbit")
    exchange.faults = deque([None] * 5 + ["429 for 3 s"])
    serve(exchange)
    time_ = QuickTime(NOW_S)
    assert downloaded(exchange, store, time=time_)[0].error == ""
    assert any(3 <= pause < 3.2 for pause in time_.slept_s)  # what `Retry-After` says, and the next slot


@pytest.mark.parametrize(
    ("dialect", "fault", "blocked_s"),
    [
        ("upbit", "418", 40),
        ("binance", "418", 40),
        ("binance", "418 of Binance", None),
        ("bybit", "403 of Bybit", 600),
    ],
)
def test_an_address_that_is_shut_out_asks_no_more(
    dialect: str, fault: str, blocked_s: float | None, serve: Serve, store: CandleStore
) -> None:
    names = [f"{NAMES[dialect][:-1]}{letter}" for letter in "ABCDEF"] if dialect == "upbit" else ["BTCUSDT"]
    exchange = LoopbackExchange(dialect, dict.fromkeys(names, SPARSE), NOW_S)
    serve(exchange)
    time_ = QuickTime(NOW_S)
    downloaded(exchange, store, asked=tuple(names[:1]), until_ms=(FIRST_S + 86_400) * 1_000, time=time_)
    exchange.faults = deque([fault])
    asked = len(exchange.candle_requests())

    reports = downloaded(exchange, store, asked=tuple(names), time=time_, parallel=1)

    assert {report.state for report in reports} == {"failed"}
    assert len(exchange.candle_requests()) == asked + 1
    until_s = time_.now_s + blocked_s if blocked_s else 1_709_300_000.0
    until = datetime.fromtimestamp(until_s, tz=UTC)
    assert f"{dialect} refuses this address until {until:%Y-%m-%d %H:%M}" in reports[0].error
    assert all("refuses this address" in report.error for report in reports)
    with pytest.raises(SourceBlocked):  # nor does anybody else on this machine
        downloaded(exchange, store, asked=tuple(names), time=QuickTime(time_.now_s))
    later = QuickTime(until_s + 1)
    assert {report.error for report in downloaded(exchange, store, asked=tuple(names), time=later)} == {""}
    assert stored(store, names[0]) == approx(SPARSE.complete(3_600, NOW_S))


def test_bybit_s_too_many_visits_are_waited_for(serve: Serve, store: CandleStore) -> None:
    """They come with the status 200."""
    exchange = exchange_of("bybit")
    exchange.faults = deque([None, "10006 of Bybit"])
    serve(exchange)
    assert downloaded(exchange, store)[0].error == ""
    assert stored(store, "BTCUSDT") == approx(SPARSE.complete(3_600, NOW_S))


def test_a_refusal_is_the_last_word(serve: Serve, store: CandleStore) -> None:
    exchange = exchange_of("binance")
    exchange.faults = deque([None, "451"])
    serve(exchange)
    report = downloaded(exchange, store)[0]
    assert report.state == "failed"
    assert "binance refuses:" in report.error
    assert "restricted location" in report.error
    assert len(exchange.candle_requests()) == 2
