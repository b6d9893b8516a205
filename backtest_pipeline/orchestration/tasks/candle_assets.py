"""Candles in Dagster's catalog: an asset `candles/<SYMBOL>/<TIMEFRAME>` each, upstream of backtests."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from backtest_pipeline.candles.resampling import partial_bars, read_resampled
from backtest_pipeline.candles.sources.coverage import read_coverage
from backtest_pipeline.model.errors import CandlesError
from backtest_pipeline.model.timeframe import BAR_SECONDS, TIMEFRAMES, Timeframe

if TYPE_CHECKING:
    from backtest_pipeline.candles.sources.downloads import DownloadReport
    from backtest_pipeline.candles.store import CandleStore

GROUP = "candles"
# A graph with more is no picture any more, and each strategy has a line to each of them.
MOST_ASSETS = 200
# The schedule fires once an hour where nobody has changed it: after three it is late, after a day broken.
WARN_AFTER = timedelta(hours=3)
FAIL_AFTER = timedelta(hours=26)


def candle_key(symbol: str, timeframe: Timeframe) -> dg.AssetKey:
    """The asset of a symbol's candles."""
    return dg.AssetKey([GROUP, symbol, timeframe.upper()])


def candle_assets(store: CandleStore) -> list[dg.AssetSpec]:
    """The assets of all candles that the store has, those of sources first; at most `MOST_ASSETS`.

    What came from a source is fresh while the job `update_candles` has looked after it within a few hours.
    """
    found = [
        _spec(store, symbol, timeframe)
        for symbol in store.folders()
        for timeframe in TIMEFRAMES
        if store.files(symbol, timeframe)
    ]
    return sorted(found, key=lambda spec: spec.freshness_policy is None)[:MOST_ASSETS]


def candle_materialization(
    store: CandleStore, symbol: str, timeframe: Timeframe, report: DownloadReport | None = None
) -> dg.AssetMaterialization:
    """What there is of a symbol's candles now: rows, first, last, gaps and fingerprint.

    Args:
        store: that has them.
        symbol: whose.
        timeframe: which.
        report: what a download did to them, or `None`.

    Raises:
        CandlesError: they cannot be read.
    """
    candles = store.load([symbol], timeframe)[symbol]
    gaps = store.gaps(candles)
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/row_count": dg.MetadataValue.int(len(candles)),
        "first": dg.MetadataValue.text(f"{candles.timestamp[0]}Z"),
        "last": dg.MetadataValue.text(f"{candles.timestamp[-1]}Z"),
        "gaps": dg.MetadataValue.int(gaps.count),
        "bars that lack shorter ones": dg.MetadataValue.int(len(partial_bars(store, symbol, timeframe))),
        "fingerprint": dg.MetadataValue.text(candles.fingerprint()),
        "folder": dg.MetadataValue.path(str(store.layout.timeframe_folder(symbol, timeframe))),
    }
    if report is not None:
        metadata |= {
            "new": dg.MetadataValue.int(report.rows_new),
            "replaced": dg.MetadataValue.int(report.rows_replaced),
            "differ from the source": dg.MetadataValue.int(report.rows_differing),
        }
    return dg.AssetMaterialization(
        asset_key=candle_key(symbol, timeframe),
        description=f"{len(candles):,} candles up to {candles.timestamp[-1]} UTC",
        metadata=metadata,
    )


def _spec(store: CandleStore, symbol: str, timeframe: Timeframe) -> dg.AssetSpec:
    origin, fine = _origin(store, symbol, timeframe)
    bar = timedelta(seconds=BAR_SECONDS[timeframe])
    policy = dg.FreshnessPolicy.time_window(fail_window=FAIL_AFTER + bar, warn_window=WARN_AFTER + bar)
    return dg.AssetSpec(
        key=candle_key(symbol, timeframe),
        description=f"{timeframe} candles of {symbol}, {origin}",
        group_name=GROUP,
        kinds={"parquet"},
        deps=[candle_key(symbol, fine)] if fine else [],
        freshness_policy=policy if origin.startswith("from") else None,
    )


def _origin(store: CandleStore, symbol: str, timeframe: Timeframe) -> tuple[str, Timeframe | None]:
    """Where candles come from, in words, and the shorter ones of which they were made."""
    try:
        made = read_resampled(store.layout, symbol, timeframe)
        coverage = read_coverage(store.layout, symbol, timeframe)
    except CandlesError as error:
        return f"of unknown origin ({error})", None
    if made is not None:
        return f"made of {made.fine}", made.fine
    return (f"from {coverage.market} of {coverage.source}" if coverage else "imported"), None
