"""The ledger's rows as a table, each row once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

if TYPE_CHECKING:
    from backtest_pipeline.model.ledger_row import LedgerRow

KEY = "key"
"""Column of a number that says which row it is: of task and timeframe."""
SETTINGS = "settings"
"""Column of a number that says what was tried: of settings and code."""
SEPARATOR = ","

_MOMENT, _NAME = pa.timestamp("us", tz="UTC"), pa.dictionary(pa.int32(), pa.string())
LEDGER_SCHEMA = pa.schema(
    {
        KEY: pa.int64(),
        SETTINGS: pa.int64(),
        "at": _MOMENT,
        "task_id": pa.string(),
        "kind": _NAME,
        "user": _NAME,
        "strategy": _NAME,
        "code_sha256": _NAME,
        "settings_sha256": pa.string(),
        "symbols": _NAME,
        "timeframe": _NAME,
        "first": _MOMENT,
        "last": _MOMENT,
        "trials": pa.int64(),
        "sharpe": pa.float64(),
        "skewness": pa.float64(),
        "kurtosis": pa.float64(),
        "bars": pa.int64(),
        "rated": pa.int64(),
        "mean_sharpe": pa.float64(),
        "sharpe_variance": pa.float64(),
    }
)


def of_rows(rows: Iterable[LedgerRow]) -> pa.Table:
    """The table of some rows, `symbols` joined by commas."""
    return pa.Table.from_pylist([_fields(row) for row in rows], schema=LEDGER_SCHEMA)


def once(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables one after the other, the last of the rows that have the same key."""
    table = pa.concat_tables(tables).unify_dictionaries()
    keys = pd.Series(table.column(KEY).to_numpy())
    repeated = keys.duplicated(keep="last").to_numpy()
    return table.filter(pa.array(~repeated)) if repeated.any() else table


def _fields(row: LedgerRow) -> dict[str, Any]:
    return row.model_dump() | {
        KEY: _number(row.name),
        SETTINGS: _number(f"{row.settings_sha256} {row.code_sha256} {row.timeframe}"),
        "symbols": SEPARATOR.join(row.symbols),
    }


def _number(text: str) -> int:
    """The first 64 bits of a digest, with sign; two of a million rows meet once in 36 million ledgers."""
    return int(np.frombuffer(hashlib.sha256(text.encode()).digest()[:8], dtype=np.int64)[0])
