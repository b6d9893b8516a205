"""Reading a sweep's tables: all of them, or the few rows that somebody looks at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRIALS_FILE = "trials.parquet"
BLOCKS_FILE = "blocks.parquet"


def frame_of(table: pa.Table) -> pd.DataFrame:
    """A table as pandas has it; whole numbers stay whole where some are missing."""
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame


def best_rows(folder: Path, count: int) -> list[dict[str, Any]]:
    """The rows of the best trials, the very best first.

    Args:
        folder: of a sweep's results.
        count: how many at most.
    """
    ranked = pq.read_table(
        folder / TRIALS_FILE, filters=pc.field("rank") <= count, use_threads=False, pre_buffer=False
    )
    rows: list[dict[str, Any]] = ranked.sort_by("rank").to_pylist()
    return rows


def trial_column(folder: Path, name: str) -> NDArray[np.float64]:
    """A metric of every trial, by number; NaN where it has none."""
    column = pq.read_table(folder / TRIALS_FILE, columns=[name], use_threads=False).column(name)
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return values


def trial_row(folder: Path, trial: int) -> pa.Table:
    """The row of one trial, a table of one; empty where there is none."""
    return pq.read_table(
        folder / TRIALS_FILE, filters=pc.field("trial") == trial, use_threads=False, pre_buffer=False
    )
