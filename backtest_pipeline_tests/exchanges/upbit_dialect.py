"""Upbit's quotation API as https://docs.upbit.com documents it.

`to` is exclusive and in UTC, candles come newest first, at most 200, and there is none where nobody traded.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from backtest_pipeline_tests.exchanges.made_market import MadeMarket

BAR_S = {"days": 86_400, "weeks": 604_800}


def answer(markets: dict[str, MadeMarket], path: str, query: dict[str, str], now_s: float) -> tuple[int, Any]:
    """Status and body of a request."""
    parts = path.strip("/").split("/")
    if parts == ["v1", "market", "all"]:
        names = [{"market": name, "korean_name": name, "english_name": name} for name in markets]
        return 200, names
    if parts[:2] != ["v1", "candles"]:
        return 404, {"error": {"name": 404, "message": "Not Found"}}
    market = query.get("market", "")
    if market not in markets:
        return 404, {"error": {"name": 404, "message": "Code not found"}}
    count = int(query.get("count", 1))
    if count > 200:
        return 400, {"error": {"name": 400, "message": "count must be 200 or less"}}
    bar_s = int(parts[3]) * 60 if parts[2] == "minutes" else BAR_S[parts[2]]
    to_s = datetime.fromisoformat(query["to"]).timestamp() if "to" in query else now_s + 1
    older = sorted((at for at in markets[market].candles(bar_s, now_s) if at < to_s), reverse=True)
    rows = markets[market].candles(bar_s, now_s)
    return 200, [_candle(market, at, rows[at]) for at in older[:count]]


def _candle(market: str, at: int, row: tuple[float, ...]) -> dict[str, Any]:
    opened = datetime.fromtimestamp(at, tz=UTC)
    return {
        "market": market,
        "candle_date_time_utc": f"{opened:%Y-%m-%dT%H:%M:%S}",
        "candle_date_time_kst": f"{opened + timedelta(hours=9):%Y-%m-%dT%H:%M:%S}",
        "opening_price": row[0],
        "high_price": row[1],
        "low_price": row[2],
        "trade_price": row[3],
        "timestamp": at * 1_000 + 1,
        "candle_acc_trade_price": row[3] * row[4],
        "candle_acc_trade_volume": row[4],
    }
