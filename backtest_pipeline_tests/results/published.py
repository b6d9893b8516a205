"""Tasks as a worker leaves them: computed by the engine, published through the store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from backtest_pipeline import BacktestRequest, BacktestResult, Candles, run_backtest
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.candles.year_file import parquet_bytes
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.manifest import Environment, Manifest, Summary, Timestamps
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.strategies.registry import code_sha256_of
from backtest_pipeline.workflows.execution_data import ExecutionData, load_execution_data, times_of
from backtest_pipeline.workflows.needed_candles import needed_candles

TASK = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
OTHER = "1f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def wandering(symbol: str = "ACME", bars: int = 200, *, seed: int = 1, start: str = "2020-01-01") -> Candles:
    """Candles whose price wanders about."""
    chance = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(chance.normal(0, 0.03, bars)))
    open_ = np.concatenate([close[:1], close[:-1]])
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range(start, periods=bars, tz="UTC"),
            "open": open_,
            "high": np.maximum(open_, close) * 1.01,
            "low": np.minimum(open_, close) * 0.99,
            "close": close,
            "volume": chance.uniform(1, 1_000, bars),
        }
    )
    return Candles.from_frame(frame, symbol=symbol, timeframe="1d")


def store_candles(data_root: Path, *candles: Candles) -> None:
    """Puts candles into the store, a file a year."""
    for own in candles:
        years = own.timestamp.astype("datetime64[Y]").astype(int) + 1970
        for year in np.unique(years):
            path = Layout(data_root).candle_file(own.symbol, own.timeframe, int(year))
            path.parent.mkdir(parents=True, exist_ok=True)
            columns = {name: getattr(own, name)[years == year] for name in CANDLE_COLUMNS}
            path.write_bytes(parquet_bytes(columns))


def loaded_for(data_root: Path, request: BacktestRequest) -> dict[str, Candles]:
    """The candles of the store that a run of the request loads."""
    [needed] = needed_candles(request, ZoneInfo("UTC"))
    return needed.load(CandleStore(data_root))


def execution_data_for(data_root: Path, request: BacktestRequest, *candles: Candles) -> ExecutionData:
    """The finer candles and funding rates of the store that a run of the request on these candles loads."""
    return load_execution_data(CandleStore(data_root), request, times_of(candles))


def manifest_of(
    result: BacktestResult, candles: Sequence[Candles], task_id: str = TASK, **changes: Any
) -> Manifest:
    request = result.request
    [needed] = needed_candles(request, ZoneInfo("UTC"))
    fields: dict[str, Any] = {
        "task_id": task_id,
        "status": "completed",
        "strategy_id": request.strategy,
        **{name: request.to_dict()[name] for name in ("params", "symbols", "timeframe", "start", "end")},
        "request": request.to_dict(),
        "request_digest": request.digest(),
        "result_files": [],
        "candles": [needed.fingerprint(own, ZoneInfo("UTC")) for own in candles],
        "timestamps": Timestamps(submitted_at=NOON, started_at=NOON, finished_at=NOON, expires_at=None),
        "duration_ms": 12,
        "attempt": 1,
        "run_ids": [task_id],
        "summary": Summary(
            total_signals=len(result.signals),
            total_trades=len(result.trades),
            symbols_processed=len(request.symbols),
            symbols_failed=0,
        ),
        "metrics": result.metrics,
        "by_symbol": result.by_symbol,
        "calendars": result.calendars,
        "checks": result.checks,
        "diagnostics": result.diagnostics,
        "pinned": request.pinned,
        "environment": Environment(
            **{
                **dict.fromkeys(Environment.model_fields, "1"),
                "backtest_pipeline": version("backtest-pipeline"),
                "code_sha256": code_sha256_of(request.strategy),
            }
        ),
        "error": None,
    }
    return Manifest(**{**fields, **changes})


def publish(
    data_root: Path,
    *candles: Candles,
    task_id: str = TASK,
    request: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Manifest:
    """Runs a backtest of the given candles and publishes it; `changes` replace fields of the manifest."""
    fields = {"strategy": "sma_cross", "params": {"fast": 3, "slow": 8}, **(request or {})}
    asked = BacktestRequest(**{"symbols": [own.symbol for own in candles], **fields})
    data = execution_data_for(data_root, asked, *candles)
    result = run_backtest({own.symbol: own for own in candles}, asked, **data.of(asked))
    seen = {"detail_candles": data.detail_fingerprints(), "funding_rates": data.funding_fingerprints()}
    store = TaskStore(data_root)
    with store.staging(task_id) as staged:
        files = store.write_tables(staged, result)
        manifest = manifest_of(result, candles, task_id, **{"result_files": files, **seen, **changes})
        store.publish(manifest, staged)
    return manifest


def rewrite(data_root: Path, change: Callable[[dict[str, Any]], object], task_id: str = TASK) -> None:
    """Changes a published manifest."""
    path = Layout(data_root).manifest(task_id)
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def forge(
    data_root: Path, table: str, change: Callable[[pd.DataFrame], pd.DataFrame], task_id: str = TASK
) -> None:
    """Changes a published table and signs it anew, as somebody would who knows about checksums."""
    path = Layout(data_root).task(task_id) / f"{table}.parquet"
    schema = pq.read_schema(path)
    frame = change(pq.read_table(path).to_pandas())
    pq.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False), path)
    sign(data_root, table, task_id)


def sign(data_root: Path, table: str, task_id: str = TASK) -> None:
    """Makes the manifest list a table as it lies there now."""
    content = (Layout(data_root).task(task_id) / f"{table}.parquet").read_bytes()

    def relist(manifest: dict[str, Any]) -> None:
        for file in manifest["result_files"]:
            if file["name"] == table:
                file |= {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    rewrite(data_root, relist, task_id)
