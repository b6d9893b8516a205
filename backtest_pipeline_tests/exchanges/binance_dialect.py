"""Binance's market data as https://developers.binance.com documents it.

Candles come oldest first, from `startTime` to `endTime`, both inclusive, at most 1,000; prices are text.
"""

from __future__ import annotations

from typing import Any

from backtest_pipeline_tests.exchanges.made_market import MadeMarket

BAR_S = {
    "1m": 60,
    "5m": 300,
    "15m": 900,
    "30m": 1_800,
    "1h": 3_600,
    "4h": 14_400,
    "1d": 86_400,
    "1w": 604_800,
}


def answer(markets: dict[str, MadeMarket], path: str, query: dict[str, str], now_s: float) -> tuple[int, Any]:
    """Status and body of a request; markets with `.P` at their end are perpetual ones of the same name."""
    kind, _, what = path.strip("/").partition("/")
    what = what.partition("/")[2]
    ending = {"api": "", "fapi": ".P", "dapi": ".D"}[kind]
    own = {name.removesuffix(ending): market for name, market in markets.items() if _kind(name) == ending}
    if what == "exchangeInfo":
        return 200, {"timezone": "UTC", "symbols": [_info(name, perpetual=bool(ending)) for name in own]}
    if query.get("symbol") not in own:
        return 400, {"code": -1121, "msg": "Invalid symbol."}
    market = own[query["symbol"]]
    first_ms, last_ms = int(query.get("startTime", 0)), int(query.get("endTime", 2**62))
    limit = int(query.get("limit", 500))
    if what == "fundingRate":
        moments = [at for at in sorted(market.funding) if first_ms <= at * 1_000 <= last_ms and at <= now_s]
        return 200, [_rate(query["symbol"], at, market.funding[at]) for at in moments[:limit]]
    rows = market.candles(BAR_S[query["interval"]], now_s)
    opens = [at for at in sorted(rows) if first_ms <= at * 1_000 <= last_ms]
    chosen = opens[:limit] if "startTime" in query else opens[-limit:]
    return 200, [_kline(at, BAR_S[query["interval"]], rows[at]) for at in chosen]


def _kind(name: str) -> str:
    return name[-2:] if name.endswith((".P", ".D")) else ""


def _info(name: str, *, perpetual: bool) -> dict[str, Any]:
    info = {
        "symbol": name,
        "status": "TRADING",
        "baseAsset": name.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "isSpotTradingAllowed": not perpetual,
        "permissions": ["SPOT"],
        "filters": [],
    }
    extra = {"contractType": "PERPETUAL", "marginAsset": "USDT", "contractStatus": "TRADING"}
    return info | (extra if perpetual else {})


def _kline(at: int, bar_s: int, row: tuple[float, ...]) -> list[Any]:
    prices = [str(price) for price in row]
    return [at * 1_000, *prices, (at + bar_s) * 1_000 - 1, "0", 1, "0", "0", "0"]


def _rate(symbol: str, at: int, rate: float) -> dict[str, Any]:
    return {"symbol": symbol, "fundingTime": at * 1_000, "fundingRate": f"{rate:.8f}", "markPrice": "1"}
