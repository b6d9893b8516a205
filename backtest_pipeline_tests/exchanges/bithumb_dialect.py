"""Bithumb's quotation API (v1) as https://apidocs.bithumb.com documents it.

It is Upbit's, but `to` is in Seoul's time, without a zone.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from backtest_pipeline_tests.exchanges import upbit_dialect
from backtest_pipeline_tests.exchanges.made_market import MadeMarket

SEOUL = timezone(timedelta(hours=9))


def answer(markets: dict[str, MadeMarket], path: str, query: dict[str, str], now_s: float) -> tuple[int, Any]:
    """Status and body of a request; markets are named `KRW-BTC`."""
    if path.startswith("/public/ticker/ALL_"):
        quote = path.rpartition("_")[2]
        bases = [name.partition("-")[2] for name in markets if name.startswith(f"{quote}-")]
        return 200, {
            "status": "0000",
            "data": {base: {"closing_price": "1"} for base in bases} | {"date": "1"},
        }
    asked = dict(query)
    if "to" in asked:
        asked["to"] = datetime.fromisoformat(asked["to"]).replace(tzinfo=SEOUL).isoformat()
    return upbit_dialect.answer(markets, path, asked, now_s)
