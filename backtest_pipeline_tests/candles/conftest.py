"""Candles to put into stores, and the folder they go to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline.candles.store import CandleStore

MakeFrame = Callable[..., pd.DataFrame]
Put = Callable[..., Path]


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data_root: Path) -> CandleStore:
    return CandleStore(data_root)


@pytest.fixture
def candle_frame() -> MakeFrame:
    """Valid candles: closes of 100, 101, 102 … and a volume of 1000, 1001 …"""

    def make(start: str, periods: int, freq: str = "1D", tz: str | None = "UTC") -> pd.DataFrame:
        close = 100.0 + np.arange(periods)
        return pd.DataFrame(
            {
                "timestamp": pd.date_range(start, periods=periods, freq=freq, tz=tz, unit="us"),
                "open": close - 0.5,
                "high": close + 1,
                "low": close - 1,
                "close": close,
                "volume": 1_000.0 + np.arange(periods),
            }
        )

    return make


@pytest.fixture
def put(data_root: Path) -> Put:
    """Writes a frame as pandas does, the way the predecessor's volume was filled."""

    def write(frame: pd.DataFrame, where: str = "ACME/1D/2020.parquet", **options: Any) -> Path:
        path = data_root / where
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.to_parquet(path, **options)
        return path

    return write
