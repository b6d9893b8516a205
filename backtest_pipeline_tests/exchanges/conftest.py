"""Stores, clocks that need no waiting, and sources that ask a loopback exchange."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from backtest_pipeline.candles.sources.ccxt_exchange import CcxtExchange
from backtest_pipeline.candles.sources.market_data import Clock
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline_tests.exchanges.loopback_exchange import LoopbackExchange

Serve = Callable[[LoopbackExchange], str]


class QuickTime:
    """A clock that goes on when somebody sleeps, and no earlier."""

    def __init__(self, now_s: float) -> None:
        self.now_s = now_s
        self.slept_s: list[float] = []
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now_s += seconds
            self.slept_s.append(seconds)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now_s, self.sleep)


@pytest.fixture
def store(tmp_path: Path) -> CandleStore:
    return CandleStore(tmp_path / "data")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts loopback exchanges, which end with the test."""
    with ExitStack() as running:
        yield lambda exchange: running.enter_context(exchange.serving())


def source_of(exchange: LoopbackExchange, store: CandleStore, clock: Clock) -> CcxtExchange:
    """The loopback exchange as the source that downloads use, answered within 0.3 s or not at all."""
    return CcxtExchange(exchange.dialect, store.layout.pace, clock, base_url=exchange.url, timeout_s=0.3)
