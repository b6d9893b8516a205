"""Bybit's market data (v5) as https://bybit-exchange.github.io documents it.

Candles come newest first, from `start` to `end`, both inclusive, at most 1,000 of which the newest are kept;
errors come as 200 with a `retCode`.
"""

from __future__ import annotations

from typing import Any

from backtest_pipeline_tests.exchanges.made_market import MadeMarket

BAR_S = {"1": 60, "5": 300, "15": 900, "30": 1_800, "60": 3_600, "240": 14_400, "D": 86_400, "W": 604_800}


def answer(markets: dict[str, MadeMarket], path: str, query: dict[str, str], now_s: float) -> tuple[int, Any]:
    """Status and body of a request; markets with `.P` at their end are perpetual ones of the same name."""
    category = query.get("category", "linear")
    ending = {"spot": "", "linear": ".P"}.get(category, ".?")
    own = {name.removesuffix(".P"): market for name, market in markets.items() if _kind(name) == ending}
    if path == "/v5/market/instruments-info":
        listed = (
            []
            if query.get("status") == "PreLaunch"
            else [_info(name, perpetual=bool(ending)) for name in own]
        )
        return 200, _said({"category": category, "list": listed}, now_s)
    if query.get("symbol") not in own:
        return 200, {
            "retCode": 10001,
            "retMsg": "Not supported symbols",
            "result": {},
            "time": int(now_s * 1_000),
        }
    market = own[query["symbol"]]
    if path == "/v5/market/funding/history":
        first_ms, last_ms = int(query.get("startTime", 0)), int(query.get("endTime", now_s * 1_000))
        moments = [at for at in sorted(market.funding, reverse=True) if first_ms <= at * 1_000 <= last_ms]
        rates = [_rate(query["symbol"], at, market.funding[at]) for at in moments if at <= now_s]
        return 200, _said({"category": category, "list": rates[: int(query.get("limit", 200))]}, now_s)
    rows = market.candles(BAR_S[query["interval"]], now_s)
    first_ms, last_ms = int(query.get("start", 0)), int(query.get("end", 2**62))
    opens = [at for at in sorted(rows, reverse=True) if first_ms <= at * 1_000 <= last_ms]
    klines = [[str(at * 1_000), *map(str, rows[at]), "0"] for at in opens[: int(query.get("limit", 200))]]
    return 200, _said({"category": category, "symbol": query["symbol"], "list": klines}, now_s)


def _kind(name: str) -> str:
    return ".P" if name.endswith(".P") else ""


def _said(result: dict[str, Any], now_s: float) -> dict[str, Any]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": int(now_s * 1_000)}


def _info(name: str, *, perpetual: bool) -> dict[str, Any]:
    info = {
        "symbol": name,
        "baseCoin": name.removesuffix("USDT"),
        "quoteCoin": "USDT",
        "status": "Trading",
        "lotSizeFilter": {"basePrecision": "0.000001", "qtyStep": "0.001", "minOrderQty": "0.001"},
        "priceFilter": {"tickSize": "0.01"},
    }
    extra = {
        "contractType": "LinearPerpetual",
        "settleCoin": "USDT",
        "deliveryTime": "0",
        "fundingInterval": 480,
    }
    return info | (extra if perpetual else {})


def _rate(symbol: str, at: int, rate: float) -> dict[str, Any]:
    return {"symbol": symbol, "fundingRate": f"{rate:.8f}", "fundingRateTimestamp": str(at * 1_000)}
