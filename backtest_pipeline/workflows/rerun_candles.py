"""The candles that a stored task saw, found again among those that there are now."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.manifest import CandleFingerprint
from backtest_pipeline.model.market import SymbolRecord

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.manifest import Manifest


def with_calendar_of_then(candles: Candles, manifest: Manifest) -> tuple[Candles, list[str]]:
    """The candles with the calendar that was recorded then, and a remark where it has changed since."""
    if candles.symbol not in manifest.symbols:
        return candles, []  # of the benchmark's, no calendar is used
    if manifest.calendars is None or manifest.calendars.account.source == "requested":
        return candles, []
    was = manifest.calendars.recorded(candles.symbol)
    now = candles.recorded_calendar
    if was == now:
        return candles, []
    record = SymbolRecord.of(was) if was else None
    changed = f"{candles.symbol}: its recorded calendar was {was or 'none'}, is {now or 'none'}"
    return replace(candles, record=record), [f"{changed}; run by that of then"]


def candles_within(candles: Candles, seen: CandleFingerprint) -> Candles:
    """The rows from the first to the last moment of then, and as many before as warmed strategies up.

    A manifest knows moments to the millisecond.
    """
    first = np.datetime64(seen.first.replace(tzinfo=None), "us")
    after = np.datetime64((seen.last + timedelta(milliseconds=1)).replace(tzinfo=None), "us")
    start, stop = np.searchsorted(candles.timestamp, [first, after], side="left")
    return candles.slice(max(int(start) - seen.warmup_rows, 0), int(stop))


def is_of(candles: Candles, seen: CandleFingerprint) -> bool:
    """Whether candles, those of the warm-up first, are those of then."""
    if len(candles) <= seen.warmup_rows:
        return False
    return CandleFingerprint.of(candles, seen.warmup_rows).has_bytes_of(seen)


def candle_change(seen: CandleFingerprint, now: Candles, within: Candles, warmup_rows: int = 0) -> str:
    """What has become of a symbol's candles, for people.

    Args:
        seen: those of then.
        now: those of now.
        within: those of now that `candles_within` chooses.
        warmup_rows: how many of `now` lie before what was traded.
    """
    fresh = CandleFingerprint.of(now, min(warmup_rows, len(now) - 1))
    added = len(within) - seen.rows - seen.warmup_rows
    if added:
        inside = f"{abs(added):,} {'more' if added > 0 else 'fewer'} rows within that range"
    elif within.slice(seen.warmup_rows, len(within)).fingerprint() == seen.sha256:
        inside = f"the {seen.warmup_rows:,} rows before it, which warm the strategy up, are others"
    else:
        inside = "as many rows within that range, with other values or at other moments"
    return (
        f"{seen.symbol}: had {seen.rows:,} rows from {seen.first} to {seen.last}, "
        f"has {fresh.rows:,} from {fresh.first} to {fresh.last}; {inside}"
    )
