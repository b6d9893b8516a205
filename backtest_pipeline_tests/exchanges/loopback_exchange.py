"""An exchange on 127.0.0.1 that speaks a real one's dialect, keeps a limit, and fails as it is told to."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from backtest_pipeline_tests.exchanges import binance_dialect, bithumb_dialect, bybit_dialect, upbit_dialect
from backtest_pipeline_tests.exchanges.faulty_answers import sent
from backtest_pipeline_tests.exchanges.made_market import MadeMarket

DIALECTS = {
    "upbit": upbit_dialect.answer,
    "binance": binance_dialect.answer,
    "bybit": bybit_dialect.answer,
    "bithumb": bithumb_dialect.answer,
}


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    at_s: float
    path: str
    query: dict[str, str]
    headers: dict[str, str]

    @property
    def for_candles(self) -> bool:
        return "candles" in self.path or "line" in self.path


@dataclass
class LoopbackExchange:
    """The exchange's state, which a test changes while it runs.

    Attributes:
        dialect: `upbit`, `binance` or `bybit`.
        markets: by the exchange's own names.
        now_s: the exchange's own time, or what gives it.
        most_per_s: requests that any second may have; more are answered 429, and whoever goes on 418.
        faults: how the next requests for candles fail, the first one first; None: as it should.
        most_rows: candles that any answer has, whatever is asked for.
        fault_path: what the path of those requests has in it; empty: candles.
        asked: all requests.
        refused: how many were one too many.
    """

    dialect: str
    markets: dict[str, MadeMarket]
    now_s: float | Callable[[], float]
    most_per_s: int | None = None
    faults: deque[str | None] = field(default_factory=deque)
    most_rows: int | None = None
    fault_path: str = ""
    asked: list[Asked] = field(default_factory=list)
    refused: int = 0
    blocked: bool = False
    url: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _recent: deque[float] = field(default_factory=deque)

    def time_s(self) -> float:
        return self.now_s() if callable(self.now_s) else self.now_s

    def candle_requests(self) -> list[Asked]:
        return [one for one in self.asked if one.for_candles]

    def take(self, asked: Asked) -> str | None:
        """Book a request; how it fails, or None."""
        with self._lock:
            self.asked.append(asked)
            if self.blocked:
                return "418"
            while self._recent and self._recent[0] <= asked.at_s - 1:
                self._recent.popleft()
            self._recent.append(asked.at_s)
            if self.most_per_s is not None and len(self._recent) > self.most_per_s:
                self.refused += 1
                self.blocked = self.refused > 5
                return "429"
            meant = self.fault_path in asked.path if self.fault_path else asked.for_candles
            return self.faults.popleft() if meant and self.faults else None

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; gives the address."""
        server = _Server(("127.0.0.1", 0), _handler(self))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self.url
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that has gone away, as after a late answer, is no news."""


def _handler(exchange: LoopbackExchange) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = dict(parse_qsl(url.query))
            headers = {name.lower(): value for name, value in self.headers.items()}
            fault = exchange.take(Asked(time.monotonic(), url.path, query, headers))
            now_s = exchange.time_s()
            if exchange.most_rows is not None and "limit" in query:
                query = query | {"limit": str(min(int(query["limit"]), exchange.most_rows))}
            answer = sent(*DIALECTS[exchange.dialect](exchange.markets, url.path, query, now_s), fault)
            time.sleep(answer.wait_s)
            self.close_connection = answer.ends or answer.silent
            if answer.silent:
                return
            self.send_response_only(answer.status)
            fixed = {"Date": formatdate(now_s, usegmt=True), "Content-Length": str(answer.length)}
            for name, value in {**fixed, **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.text)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
