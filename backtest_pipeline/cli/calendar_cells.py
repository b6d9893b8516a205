"""The calendar of a symbol, as `backtest candles list` shows it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.errors import CandlesError
from backtest_pipeline.model.exchanges import ALWAYS_OPEN
from backtest_pipeline.model.market_days import trading_week

if TYPE_CHECKING:
    from backtest_pipeline.candles.store import CandleListing, CandleStore

_DAYS_LOOKED_AT = 60


def calendar_facts(store: CandleStore, listing: CandleListing) -> dict[str, Any]:
    """The recorded calendar, or what the newest bars show.

    Returns:
        `calendar`: `24/7`, an exchange's MIC, `sessions` of an exchange that is not named, or `unknown`;
        `calendar_recorded`: whether it is recorded in `symbol.json`.
    """
    try:
        record = store.record(listing.symbol)
        if record is not None:
            return {"calendar": record.calendar, "calendar_recorded": True}
        return {"calendar": _shown_by_bars(store, listing), "calendar_recorded": False}
    except CandlesError:
        return {"calendar": "unknown", "calendar_recorded": False}


def _shown_by_bars(store: CandleStore, listing: CandleListing) -> str:
    if listing.last is None or listing.timeframe == "1w":
        return "unknown"
    start = listing.last - timedelta(days=_DAYS_LOOKED_AT)
    candles = store.load([listing.symbol], listing.timeframe, start=start)[listing.symbol]
    week, decided = trading_week(candles.timestamp, listing.timeframe)
    if not decided:
        return "unknown"
    return ALWAYS_OPEN if week == "all days" else "sessions"
