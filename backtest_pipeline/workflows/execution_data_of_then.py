"""The finer candles and funding rates that a stored task saw, as far as they are still there."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.candles.funding_file import read_funding
from backtest_pipeline.model.errors import CandlesError
from backtest_pipeline.model.manifest import FundingFingerprint
from backtest_pipeline.workflows.execution_data import ExecutionData
from backtest_pipeline.workflows.rerun_candles import candle_change, candles_within, is_of

if TYPE_CHECKING:
    from backtest_pipeline.candles.store import CandleStore
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.funding_rates import FundingRates
    from backtest_pipeline.model.manifest import Manifest


def execution_data_of_then(manifest: Manifest, store: CandleStore) -> tuple[ExecutionData, list[str]]:
    """What the task saw beside its candles, and what has changed in it since, as sentences."""
    detail: dict[str, dict[str, Candles]] = {}
    changed = []
    for seen in manifest.detail_candles:
        timeframe: Any = seen.timeframe
        try:
            now = store.load([seen.symbol], timeframe, seen.first, seen.last + timedelta(milliseconds=1))
        except CandlesError as error:
            changed.append(f"{seen.symbol} {timeframe}: {error}")
            continue
        then = candles_within(now[seen.symbol], seen)
        if is_of(then, seen):
            detail.setdefault(timeframe, {})[seen.symbol] = then
        else:
            changed.append(f"{timeframe}: {candle_change(seen, now[seen.symbol], then)}")
    rates, others = _funding_of_then(manifest, store)
    return ExecutionData(detail, rates), [*changed, *others]


def _funding_of_then(manifest: Manifest, store: CandleStore) -> tuple[dict[str, FundingRates], list[str]]:
    rates: dict[str, FundingRates] = {}
    changed = []
    for seen in manifest.funding_rates:
        first = np.datetime64(seen.first.replace(tzinfo=None), "us")
        after = np.datetime64((seen.last + timedelta(milliseconds=1)).replace(tzinfo=None), "us")
        try:
            now = read_funding(store.layout, seen.symbol).between(first, after)
        except CandlesError as error:
            changed.append(str(error))
            continue
        if len(now) and FundingFingerprint.of(now).sha256 == seen.sha256:
            rates[seen.symbol] = now
        else:
            changed.append(
                f"{seen.symbol}: had {seen.rates:,} funding rates from {seen.first} to {seen.last}, "
                f"has {len(now):,} in that time, or others"
            )
    return rates, changed
