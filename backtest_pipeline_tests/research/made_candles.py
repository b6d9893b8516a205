"""Candles for sweeps: walks with gaps, and rows of tables as metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from backtest_pipeline import Candles
from backtest_pipeline.engine.metrics.account_metrics import METRIC_NAMES
from backtest_pipeline.model.timeframe import BAR_SECONDS, Timeframe


def walk(symbol: str, bars: int, seed: int = 0, timeframe: Timeframe = "1d", *, skip: float = 0.0) -> Candles:
    """A random walk whose bars open where the last one closed; a share of them is left out."""
    rng = np.random.default_rng([seed, *symbol.encode()])
    close = 100 * np.exp(np.cumsum(rng.normal(0.0003, 0.012, bars)))
    open_ = np.concatenate([close[:1], close[:-1]])
    wick = 1 + np.abs(rng.normal(0, 0.004, bars))
    columns = {
        "timestamp": np.datetime64("2015-01-05", "us")
        + np.arange(bars) * np.timedelta64(BAR_SECONDS[timeframe], "s"),
        "open": open_,
        "high": np.maximum(open_, close) * wick,
        "low": np.minimum(open_, close) / wick,
        "close": close,
        "volume": rng.lognormal(5, 1, bars),
    }
    kept = rng.random(bars) >= skip
    kept[0] = True
    return Candles.from_arrays(symbol, timeframe, {name: own[kept] for name, own in columns.items()})


def metrics_of(row: Any) -> dict[str, float | None]:
    """A row's metrics as a backtest has them: none for missing."""
    return {name: None if pd.isna(row[name]) else row[name] for name in METRIC_NAMES}
