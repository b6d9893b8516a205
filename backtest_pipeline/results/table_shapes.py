"""The shape of a result's tables: rows in order, finite numbers, bars and symbols that the candles have."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.timeframe import Timeframe


def shape_problems(
    manifest: Manifest, signals: pd.DataFrame, trades: pd.DataFrame, equity: pd.DataFrame
) -> list[str]:
    """Rows out of order, numbers that are none, and bars or symbols that the candles do not have."""
    problems = []
    if not len(equity):
        return ["equity.parquet: there is no bar"]
    for name, table, needed in (
        ("equity", equity, equity.columns[1:]),
        (
            "trades",
            trades,
            ["quantity", "entry_price", "exit_price", "fees", "slippage_cost", "pnl", "return_frac"],
        ),
    ):
        problems += [
            f"{name}.parquet: {column} holds a value that is no finite number"
            for column in needed
            if not np.isfinite(table[column].to_numpy(np.float64)).all()
        ]
    read = {*manifest.symbols, *([manifest.benchmark] if manifest.benchmark else [])}
    if sorted(seen.symbol for seen in manifest.candles) != sorted(read):
        problems.append("manifest.json: candles are not those of symbols and benchmark")
    for name, table in (("signals", signals), ("trades", trades)):
        strange = sorted(set(table["symbol"]) - set(manifest.symbols))
        problems += [f"{name}.parquet: {symbol} was not asked for" for symbol in strange]
    for name, table, column in (("equity", equity, "timestamp"), ("trades", trades, "entry_time")):
        if table[column].isna().any():
            problems.append(f"{name}.parquet: {column} has no value in a row")
    if trades["exit_time"].isna().any() or (trades["exit_time"] < trades["entry_time"]).any():
        problems.append("trades.parquet: a trade has no exit, or one before its entry")
    times = equity["timestamp"]
    if not times.is_monotonic_increasing or times.duplicated().any():
        problems.append("equity.parquet: bars are not in order")
    if manifest.traded_candles and not problems:
        problems += _bar_problems(manifest, equity)
    counts = {"total_signals": len(signals), "total_trades": len(trades)}
    stated = manifest.summary.model_dump(include=set(counts))
    return problems + [
        f"manifest.json: summary.{name} is {stated[name]}, the table has {counts[name]} rows"
        for name in counts
        if stated[name] != counts[name]
    ]


def _bar_problems(manifest: Manifest, equity: pd.DataFrame) -> list[str]:
    candles = manifest.traded_candles
    rows = [seen.rows for seen in candles]
    first, last = min(seen.first for seen in candles), max(seen.last for seen in candles)
    times = equity["timestamp"].dt.floor("ms")  # as exact as a manifest is
    if not max(rows) <= len(equity) <= sum(rows):
        return [
            f"equity.parquet: {len(equity):,} bars cannot come of candles of {', '.join(map(str, rows))} rows"
        ]
    # A row of several symbols stands at the latest of their opens, which lies within the bar of the earliest.
    late = bar_length(manifest) if len(candles) > 1 else pd.Timedelta(0)
    begins = pd.Timestamp(first).floor("ms")
    if not begins <= times.iloc[0] <= begins + late or times.iloc[-1] != pd.Timestamp(last).floor("ms"):
        return [
            f"equity.parquet: bars from {times.iloc[0]} to {times.iloc[-1]}, candles from {first} to {last}"
        ]
    return []


def bar_length(manifest: Manifest) -> pd.Timedelta:
    return pd.Timedelta(seconds=BAR_SECONDS[cast("Timeframe", manifest.timeframe)])
