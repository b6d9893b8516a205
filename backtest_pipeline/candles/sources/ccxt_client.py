"""An exchange as ccxt speaks to it, made to keep our pace and to say what each answer really was.

Read in ccxt 4.5.90:

- `throttle` of the synchronous client looks when this object has asked last, without a lock.
- `parse_json` turns an answer that is no JSON into `None`, and `fetch` then hands on the text; Upbit's and
  Bybit's parsers make an empty list of it. A truncated answer would so become a stretch without any candle.
- `filter_by_since_limit` drops rows without a time in silence, so rows are looked at before.
- Binance's 429 and 418 are one exception type, so the status is kept.
"""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

from backtest_pipeline.candles.sources.exchange_answers import Answer, AnswerUnusable, start_of
from backtest_pipeline.candles.sources.exchange_rows import check_row
from backtest_pipeline.model.errors import BacktestError, ExchangeUnknown

if TYPE_CHECKING:
    from backtest_pipeline.candles.sources.rate_limiter import RateLimiter

# Options of the BTC and ETH kind are thousands of markets that nobody has candles of.
_MARKET_TYPES_LEFT_OUT = {"option"}


class ExchangesMissing(BacktestError):
    """The package that speaks to exchanges is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "exchanges are asked through ccxt, which comes with the extra `exchanges` and is not installed; "
            "run `pip install 'backtest-pipeline[exchanges]'`"
        )


def ccxt_module() -> Any:
    """The library.

    Raises:
        ExchangesMissing: it is not installed.
    """
    try:
        return importlib.import_module("ccxt")
    except ImportError as error:
        raise ExchangesMissing from error


def make_client(exchange: str, limiter: RateLimiter, base_url: str | None, timeout_s: float) -> Any:
    """A client of an exchange for one thread.

    Args:
        exchange: ccxt's name of it.
        limiter: that every request waits for.
        base_url: what is asked instead of the exchange's own hosts, as `http://127.0.0.1:8080`.
        timeout_s: of one request.

    Raises:
        ExchangeUnknown: ccxt has no such exchange.
        ExchangesMissing: ccxt is not installed.
    """
    ccxt = ccxt_module()
    if exchange not in ccxt.exchanges:
        raise ExchangeUnknown(exchange, ccxt.exchanges)

    class Paced(getattr(ccxt, exchange)):  # type: ignore[misc]  # untyped
        answer = Answer()

        def throttle(self, cost: float | None = None) -> None:
            limiter.wait(self.rateLimit / 1_000 * (1 if cost is None else cost))

        def on_rest_response(self, code: int, *rest: Any) -> str:
            headers, body = rest[3], rest[4]
            lower = {str(name).lower(): str(value) for name, value in headers.items()}
            self.answer = Answer(code, lower, body)
            return str(super().on_rest_response(code, *rest))

        def parse_json(self, http_response: str) -> Any:
            parsed = super().parse_json(http_response)
            status, headers = self.answer.status, self.answer.headers
            self.answer = Answer(status, headers, http_response, parsed)
            if parsed is None and status < 300:
                raise AnswerUnusable(f"an answer that is no JSON: {start_of(http_response)}")
            return parsed

        def parse_ohlcv(self, ohlcv: Any, market: Any = None) -> list[Any]:
            row: list[Any] = super().parse_ohlcv(ohlcv, market)
            check_row(row)
            return row

    Paced.__name__ = exchange
    client = Paced({"enableRateLimit": True, "timeout": int(timeout_s * 1_000)})
    asked = client.options.get("fetchMarkets")
    if isinstance(asked, dict) and isinstance(asked.get("types"), list):
        asked["types"] = [kind for kind in asked["types"] if kind not in _MARKET_TYPES_LEFT_OUT]
    if base_url:
        client.urls["api"] = _redirected(client.urls["api"], base_url.rstrip("/"))
    return client


def _redirected(urls: Any, base_url: str) -> Any:
    if isinstance(urls, dict):
        return {name: _redirected(url, base_url) for name, url in urls.items()}
    return re.sub(r"^https?://[^/]+", base_url, str(urls))
