"""The shape of a table of positions: rows in order, finite numbers, symbols and times of the candles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.request import BacktestRequest


def position_shape_problems(
    manifest: Manifest, request: BacktestRequest, positions: pd.DataFrame | None
) -> list[str]:
    """What is wrong with the table by itself, as sentences; a shared account has one, others have none."""
    if (request.account == "shared") != (positions is not None):
        why = (
            "is not listed, and a shared account has one" if positions is None else "is of no shared account"
        )
        return [f"positions.parquet: {why}"]
    if positions is None:
        return []
    problems = [
        f"{symbol} was not asked for" for symbol in sorted(set(positions["symbol"]) - set(request.symbols))
    ]
    problems += [*_number_problems(positions), *_time_problems(manifest, positions)]
    return [f"positions.parquet: {problem}" for problem in problems]


def _number_problems(positions: pd.DataFrame) -> list[str]:
    quantity, *others = (positions[name].to_numpy(np.float64) for name in ("quantity", "value", "weight"))
    if not all(np.isfinite(own).all() for own in (quantity, *others)):
        return ["quantity, value or weight holds a value that is no finite number"]
    if not all(np.array_equal(np.sign(quantity), np.sign(own)) for own in others):
        return ["quantity, value and weight of a row differ in sign"]
    return []


def _time_problems(manifest: Manifest, positions: pd.DataFrame) -> list[str]:
    times = positions["timestamp"]
    if times.isna().any() or not times.is_monotonic_increasing:
        return ["rows are not in order"]
    candles = manifest.traded_candles
    if not len(times) or not candles:
        return []
    first, last = min(seen.first for seen in candles), max(seen.last for seen in candles)
    begin, end = times.iloc[0].floor("ms"), times.iloc[-1].floor("ms")  # as exact as a manifest is
    if begin < pd.Timestamp(first).floor("ms") or end > pd.Timestamp(last).floor("ms"):
        return [f"rows from {begin} to {end}, candles from {first} to {last}"]
    return []
