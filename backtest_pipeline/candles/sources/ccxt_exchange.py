"""Candles of an exchange, through ccxt: any of its exchanges; Upbit, Binance and Bybit are tested.

A page is a stretch of time, never a number of candles: an exchange that has a candle only where somebody
traded answers a stretch without trades by nothing, and that is not the end.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest_pipeline.candles.sources.ccxt_client import make_client
from backtest_pipeline.candles.sources.exchange_answers import AnswerUnusable, start_of
from backtest_pipeline.candles.sources.exchange_requests import ask_patiently
from backtest_pipeline.candles.sources.exchange_rows import by_moment, page_columns
from backtest_pipeline.candles.sources.market_data import Market, MarketDataSource, Page, Rates, bar_ms
from backtest_pipeline.candles.sources.rate_limiter import RateLimiter
from backtest_pipeline.model.errors import SourceLacks
from backtest_pipeline.model.timeframe import TIMEFRAMES, Timeframe

if TYPE_CHECKING:
    from backtest_pipeline.candles.sources.market_data import Clock

TIMEOUT_S = 20.0
# An exchange still books trades to a bar in the seconds after its end.
SETTLE_MS = 10_000
MINUTE_MS = 60_000
SEOUL = timezone(timedelta(hours=9))
# Older than any exchange with candles: Monday, 2010-01-04.
BEFORE_ALL_MS = 1_262_563_200_000
# Where ccxt does not say how many candles an answer may have.
USUAL_PAGE_BARS = 100
FUNDING_ROWS = 200
# These give the newest candles before a moment, so that a stretch of as many bars has all of them; others are
# asked again for what lies before their first candle and behind the last one.
_EXACT = ("upbit", "bithumb")
# Of these ccxt also tells the exchange where the stretch ends. Upbit's ends where ccxt computes it to end.
_TAKE_UNTIL = ("binance", "binanceusdm", "binancecoinm", "bybit")


class CcxtExchange(MarketDataSource):
    """One exchange; see `MarketDataSource`."""

    def __init__(
        self,
        exchange: str,
        pace_folder: Path,
        clock: Clock,
        *,
        base_url: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Prepare to ask an exchange; nothing is asked yet.

        Args:
            exchange: ccxt's name of it, as `upbit`.
            pace_folder: where all who ask from this machine share their pace.
            clock: to wait by, and to tell complete candles from the one in progress.
            base_url: what is asked instead of the exchange's own hosts.
            timeout_s: how long to wait for an answer.

        Raises:
            ExchangeUnknown: ccxt has no such exchange.
            ExchangesMissing: ccxt is not installed.
        """
        self.name = exchange
        self._clock = clock
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._limiter = RateLimiter(pace_folder, exchange, clock)
        self._own = threading.local()
        self._loading = threading.Lock()
        self._first = make_client(exchange, self._limiter, base_url, timeout_s)

    def markets(self, asked: Sequence[str]) -> list[Market | None]:
        """Find markets by the exchange's own names or by ccxt's, as `BTC/USDT`; asks for them once."""
        return [self._market(name) for name in asked]

    def market_names(self) -> list[str]:
        """The exchange's own names."""
        return sorted(self._loaded().markets_by_id)

    def require(self, timeframe: Timeframe) -> None:
        """As `MarketDataSource.require`."""
        has = self._first.timeframes or {}
        if timeframe not in has:
            raise SourceLacks(self.name, f"{timeframe} candles", [name for name in TIMEFRAMES if name in has])

    def page_bars(self) -> int:
        """As many as one answer of the exchange may have."""
        features = self._first.features or {}
        swap = (features.get("swap") or {}).get("linear") or {}
        limits = [
            kind["fetchOHLCV"]["limit"]
            for kind in (features.get("spot") or {}, swap)
            if (kind.get("fetchOHLCV") or {}).get("limit")
        ]
        return int(min(limits, default=USUAL_PAGE_BARS))

    def first_ms(self, market: Market, timeframe: Timeframe) -> int | None:
        """Look through the longest bars that there are, of which a few pages hold a whole history."""
        has = self._first.timeframes or {}
        longest: Timeframe = next((name for name in ("1w", "1d") if name in has), timeframe)
        step_ms = self.page_bars() * bar_ms(longest)
        for first_ms in range(BEFORE_ALL_MS, self._clock.now_ms() + 1, step_ms):
            found = self._candles(market, longest, first_ms, first_ms + step_ms)[0]
            if found:
                return min(found)
        return None

    def page(self, market: Market, timeframe: Timeframe, first_ms: int, stop_ms: int) -> Page:
        """As `MarketDataSource.page`; asks once, or more often where an exchange gives less than it could."""
        rows, now_ms, requests = self._candles(market, timeframe, first_ms, stop_ms)
        complete_until_ms = (now_ms - SETTLE_MS - bar_ms(timeframe)) // MINUTE_MS * MINUTE_MS + MINUTE_MS
        complete = [row for moment, row in sorted(rows.items()) if moment < complete_until_ms]
        columns, left_out = page_columns(f"{market.name} of {self.name}", complete, bar_ms(timeframe))
        return Page(columns, complete_until_ms, left_out, requests)

    def rates(self, market: Market, first_ms: int, stop_ms: int) -> Rates:
        """As `MarketDataSource.rates`."""
        found = self._found(self._loaded(), market.name)
        if not (self._first.has.get("fetchFundingRateHistory") and found.get("swap")):
            raise SourceLacks(self.name, f"funding rates of {market.name}", self._perpetuals(found))
        now_ms = self._clock.now_ms()

        def call(client: Any) -> Rates:
            params = {"until": stop_ms - 1}
            given = client.fetch_funding_rate_history(found["symbol"], first_ms, FUNDING_ROWS, params)
            if not client.answer.has_list():
                raise AnswerUnusable(f"an answer without a list of rates: {start_of(client.answer.text)}")
            known_until_ms = min(now_ms, client.answer.sent_ms() or now_ms)
            rates = {int(one["timestamp"]): float(one["fundingRate"]) for one in given}
            within = {at: rate for at, rate in rates.items() if first_ms <= at < min(stop_ms, known_until_ms)}
            return Rates(within, known_until_ms)

        return ask_patiently(self.name, self._client(), call, self._limiter, self._clock)

    def _perpetuals(self, market: Any) -> list[str]:
        """Perpetuals of a market's pair, for messages."""
        pair = f"{market['base']}/{market['quote']}:"
        return sorted(name for name in self._first.markets if str(name).startswith(pair))[:3]

    def _candles(
        self, market: Market, timeframe: Timeframe, first_ms: int, stop_ms: int
    ) -> tuple[dict[int, list[float]], int, int]:
        """Candles of a stretch by time, the one in progress too; the exchange's time; how many requests."""
        bar = bar_ms(timeframe)
        rows: dict[int, list[float]] = {}
        requests, now_ms = 0, self._clock.now_ms()
        stretches = [(first_ms, stop_ms)]
        while stretches:
            begin_ms, end_ms = stretches.pop()
            given, answered_ms = self._answered(market, timeframe, begin_ms, end_ms)
            requests += 1
            # Of several answers the first one's time holds for all: a candle may have ended in between.
            now_ms = min(now_ms, answered_ms or now_ms)
            new = {moment: row for moment, row in given.items() if begin_ms <= moment < end_ms}
            rows |= new
            if new and self.name not in _EXACT:
                # What the answer left out at its ends may be missing, or more than one answer may have.
                ends = (begin_ms, min(new)), (max(new) + bar, min(end_ms, now_ms))
                stretches += [(begin, end) for begin, end in ends if end - begin >= bar]
        return rows, now_ms, requests

    def _answered(
        self, market: Market, timeframe: Timeframe, since_ms: int, stop_ms: int
    ) -> tuple[dict[int, list[float]], int | None]:
        """One answer, by time, and when the exchange says that it sent it."""
        unified = self._found(self._loaded(), market.name)["symbol"]
        # No exchange is asked for more of the future than the bar in progress.
        end_ms = max(since_ms + 1, min(stop_ms, self._clock.now_ms() + bar_ms(timeframe)))
        limit = -(-(end_ms - since_ms) // bar_ms(timeframe))
        last_ms = since_ms + limit * bar_ms(timeframe)
        params: dict[str, Any] = {"until": stop_ms - 1} if self.name in _TAKE_UNTIL else {}
        if self.name == "bithumb":
            # ccxt sends no end at all, and so gets the newest; Bithumb's is in Seoul's time, without a zone.
            params["to"] = f"{datetime.fromtimestamp(last_ms / 1_000, tz=SEOUL):%Y-%m-%dT%H:%M:%S}"
        if self.name == "bybit":
            params["start"] = since_ms  # ccxt rounds it up by weeks from a Thursday and loses a Monday's

        def call(client: Any) -> tuple[dict[int, list[float]], int | None]:
            given = client.fetch_ohlcv(unified, timeframe, since_ms, limit, params)
            if not client.answer.has_list():
                raise AnswerUnusable(f"an answer without a list of candles: {start_of(client.answer.text)}")
            return by_moment(given), client.answer.sent_ms()

        return ask_patiently(self.name, self._client(), call, self._limiter, self._clock)

    def _market(self, asked: str) -> Market | None:
        client = self._loaded()
        found = self._found(client, asked)
        if found is None:
            return None
        own = str(found["id"])
        name = own if self._found(client, own) is found else str(found["symbol"])
        symbol = re.sub(r"[^A-Z0-9._-]", "-", own.upper())
        return Market(name, f"{symbol}.P" if found.get("swap") else symbol, found.get("quote"))

    @staticmethod
    def _found(client: Any, name: str) -> Any:
        """The market of ccxt's or the exchange's own name, of which the spot market goes first; or `None`."""
        if name in client.markets:
            return client.markets[name]
        found = client.markets_by_id.get(name) or client.markets_by_id.get(name.upper()) or []
        return min(found, key=lambda market: not market.get("spot"), default=None)

    def _loaded(self) -> Any:
        """The client that has the markets."""
        with self._loading:
            if not self._first.markets:
                ask_patiently(self.name, self._first, _load_markets, self._limiter, self._clock)
        return self._first

    def _client(self) -> Any:
        """This thread's client: ccxt's keeps the last answer, and its connection is not for two threads."""
        if not hasattr(self._own, "client"):
            client = make_client(self.name, self._limiter, self._base_url, self._timeout_s)
            client.set_markets_from_exchange(self._loaded())
            self._own.client = client
        return self._own.client


def _load_markets(client: Any) -> None:
    if not client.load_markets():
        raise AnswerUnusable("no markets at all")
