"""`DATA_ROOT/<SYMBOL>/funding.parquet`: a perpetual's funding rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtest_pipeline.model.errors import CandleFileUnreadable
from backtest_pipeline.model.funding_rates import FundingRates
from backtest_pipeline.storage.atomic import make_folder_durably, write_bytes_durably

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.storage.layout import Layout

_SCHEMA = pa.schema([("timestamp", pa.timestamp("us", tz="UTC")), ("rate", pa.float64())])


def read_funding(layout: Layout, symbol: str) -> FundingRates:
    """A symbol's funding rates; empty where there are none.

    Raises:
        CandleFileUnreadable: the file is there and cannot be used.
    """
    path = layout.funding(symbol)
    if not path.exists():
        return FundingRates(symbol, np.empty(0, "datetime64[us]"), np.empty(0))
    try:
        table = pq.read_table(path, columns=["timestamp", "rate"], use_threads=False, pre_buffer=False)
        moments = table["timestamp"].cast(pa.timestamp("us", tz="UTC")).to_numpy().astype("datetime64[us]")
        rates = table["rate"].cast(pa.float64()).to_numpy()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise CandleFileUnreadable(symbol, path, reason, advice="delete it and download again") from error
    if not (moments[1:] > moments[:-1]).all() or not np.isfinite(rates).all():
        reason = "its moments do not increase, or a rate is no number"
        raise CandleFileUnreadable(symbol, path, reason, advice="delete it and download again")
    return FundingRates(symbol, moments, rates)


def write_funding(
    layout: Layout, symbol: str, moments: NDArray[np.datetime64], rates: NDArray[np.float64]
) -> None:
    """Write a symbol's funding rates in one step; the same rates give the same bytes.

    Args:
        layout: where.
        symbol: whose.
        moments: shape (n,), `datetime64[us]`, UTC, increasing.
        rates: shape (n,).
    """
    sink = pa.BufferOutputStream()
    table = pa.table([moments, rates], schema=_SCHEMA)
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    path = layout.funding(symbol)
    make_folder_durably(path.parent)
    write_bytes_durably(path, sink.getvalue().to_pybytes())
