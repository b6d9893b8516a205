"""The tables of a result as Parquet files: fixed schemas, the same bytes for the same rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from backtest_pipeline.model.manifest import ResultFile

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.result import BacktestResult

_TIME = pa.timestamp("us", tz="UTC")

TABLES: dict[str, pa.Schema] = {
    "signals": pa.schema(
        {
            "symbol": pa.string(),
            "timestamp": _TIME,
            "side": pa.string(),
            "price": pa.float64(),
            "confidence": pa.float64(),
            "exit_timestamp": _TIME,
            "exit_price": pa.float64(),
            "return_frac": pa.float64(),
            "complete": pa.bool_(),
        }
    ),
    "trades": pa.schema(
        {
            "symbol": pa.string(),
            "side": pa.string(),
            "quantity": pa.float64(),
            "entry_time": _TIME,
            "entry_price": pa.float64(),
            "exit_time": _TIME,
            "exit_price": pa.float64(),
            "fees": pa.float64(),
            "slippage_cost": pa.float64(),
            "pnl": pa.float64(),
            "return_frac": pa.float64(),
            "bars_held": pa.int64(),
            "exit_reason": pa.string(),
            "mae_frac": pa.float64(),
            "mfe_frac": pa.float64(),
        }
    ),
    "equity": pa.schema(
        {
            "timestamp": _TIME,
            "equity": pa.float64(),
            "cash": pa.float64(),
            "exposure_frac": pa.float64(),
            "drawdown_frac": pa.float64(),
        }
    ),
}
"""Those that every result has."""
POSITIONS = "positions"
SCHEMAS: dict[str, pa.Schema] = {
    **TABLES,
    POSITIONS: pa.schema(
        {
            "timestamp": _TIME,
            "symbol": pa.string(),
            "quantity": pa.float64(),
            "value": pa.float64(),
            "weight": pa.float64(),
        }
    ),
}
"""Also the one that a shared account has beside them."""


def tables_of(result: BacktestResult) -> dict[str, pd.DataFrame]:
    """A result's tables by name, in the order of `SCHEMAS`."""
    found = {name: getattr(result, name) for name in SCHEMAS}
    return {name: table for name, table in found.items() if table is not None}


def write_table(folder: Path, name: str, frame: pd.DataFrame, *, below: Path | None = None) -> ResultFile:
    """Writes one of `SCHEMAS` as `folder/<name>.parquet` of a staged task: on disk once that is published.

    Args:
        folder: where it goes.
        name: which table.
        frame: its rows.
        below: the task's folder, where `folder` is one within it; then name and path begin with that.

    Raises:
        OSError: the disk refuses.
    """
    table = pa.Table.from_pandas(frame, schema=SCHEMAS[name], preserve_index=False).replace_schema_metadata(
        None
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    path = folder / f"{name}.parquet"
    path.write_bytes(content)
    prefix = "" if below is None else f"{folder.relative_to(below)}/"
    return ResultFile(
        name=f"{prefix}{name}",
        path=f"{prefix}{path.name}",
        kind="parquet",
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        rows=table.num_rows,
    )


def read_tables(folder: Path, manifest: Manifest, below: str = "") -> dict[str, Any]:
    """Reads the tables of the result that a task has, or has in a folder `below` its own, by name.

    Those that it does not list are not there.
    """
    listed = {file.name: file for file in manifest.result_files}
    return {
        name: read_table(folder / listed[f"{below}{name}"].path)
        for name in SCHEMAS
        if f"{below}{name}" in listed
    }


def read_table(path: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Reads a result table, or some of its columns, as a pandas frame.

    No threads are started: the process that workers are forked from reads tables too.
    """
    with pq.ParquetFile(path, pre_buffer=False) as file:
        frame: pd.DataFrame = file.read(columns, use_threads=False).to_pandas(use_threads=False)
    return frame
