"""Candles and results for the tests of charts and pages."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtest_pipeline import BacktestRequest, BacktestResult, Candles, run_backtest
from backtest_pipeline.model.manifest import (
    CandleFingerprint,
    Environment,
    Manifest,
    ResultFile,
    Summary,
    Timestamps,
)
from backtest_pipeline.model.timeframe import BAR_SECONDS, Timeframe

TASK = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
OTHER_TASK = "1f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def moments(bars: int, timeframe: Timeframe = "1d", start: str = "2020-01-01") -> NDArray[np.datetime64]:
    """Open times of bars that follow one another without a gap."""
    return np.datetime64(start, "us") + np.arange(bars) * np.timedelta64(BAR_SECONDS[timeframe], "s")


def candles_of(
    closes: list[float] | NDArray[np.float64],
    symbol: str = "AAPL",
    timeframe: Timeframe = "1d",
    start: str = "2020-01-01",
) -> Candles:
    """Candles that open at the close before, with wicks of a hundredth."""
    close = np.asarray(closes, dtype=np.float64)
    opened = np.append(close[:1], close[:-1])
    columns: dict[str, NDArray[Any]] = {
        "timestamp": moments(len(close), timeframe, start),
        "open": opened,
        "high": np.maximum(opened, close) * 1.01,
        "low": np.minimum(opened, close) * 0.99,
        "close": close,
        "volume": np.full(len(close), 100.0),
    }
    return Candles.from_arrays(symbol, timeframe, columns)


def walk(bars: int, seed: int = 0, step: float = 0.01) -> NDArray[np.float64]:
    """Closes that wander, by a seed."""
    steps = np.random.default_rng(seed).normal(0.0, step, bars)
    return np.asarray(100.0 * np.exp(np.cumsum(steps)))


def backtest(candles: dict[str, Candles], **fields: Any) -> BacktestResult:
    """The result of a backtest of all these candles, of a crossing of averages unless told otherwise."""
    timeframe = next(iter(candles.values())).timeframe
    asked: dict[str, Any] = {
        "strategy": "sma_cross",
        "params": {"fast": 3, "slow": 8},
        "symbols": list(candles),
        "timeframe": timeframe,
    }
    if "strategy" in fields and "params" not in fields:
        asked["params"] = {}
    return run_backtest(candles, BacktestRequest(**{**asked, **fields}))


def manifest_of(
    result: BacktestResult,
    candles: dict[str, Candles],
    files: list[ResultFile] | None = None,
    *,
    task_id: str = TASK,
) -> Manifest:
    """The record of a task that saw these candles."""
    request = result.request
    seen = [
        CandleFingerprint(symbol=symbol, rows=len(own), first=NOON, last=NOON, sha256=own.fingerprint())
        for symbol, own in candles.items()
    ]
    return Manifest(
        task_id=task_id,
        status="completed",
        strategy_id=request.strategy,
        params=dict(request.params),
        symbols=list(request.symbols),
        timeframe=request.timeframe,
        start=None,
        end=None,
        request=request.to_dict(),
        request_digest=request.digest(),
        result_files=files or [],
        candles=seen,
        timestamps=Timestamps(submitted_at=NOON, started_at=NOON, finished_at=NOON, expires_at=None),
        duration_ms=12,
        attempt=1,
        run_ids=[task_id],
        summary=Summary(total_signals=0, total_trades=0, symbols_processed=1, symbols_failed=0),
        metrics=result.metrics,
        by_symbol=result.by_symbol,
        checks=result.checks,
        diagnostics=result.diagnostics,
        pinned=False,
        environment=Environment(**dict.fromkeys(Environment.model_fields, "1")),
        error=None,
    )


def without_translations(page: str) -> str:
    """A report's HTML without what its script translates by."""
    return re.sub(r'<script[^>]* id="korean">.*?</script>', "", page, flags=re.DOTALL)
