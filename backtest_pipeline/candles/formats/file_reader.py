"""Reading other people's candle files, of whatever kind they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from backtest_pipeline.candles.formats.delimited_text import text_table
from backtest_pipeline.candles.formats.encoding import decoded
from backtest_pipeline.candles.formats.file_kinds import unread_kind
from backtest_pipeline.candles.formats.json_tables import json_table
from backtest_pipeline.candles.formats.layouts import named_by_layout
from backtest_pipeline.candles.formats.read_options import Origin, RawTable, ReadOptions, renamed
from backtest_pipeline.candles.formats.source_table import CandleSource
from backtest_pipeline.candles.formats.unpack import MOST_BYTES, unpacked

if TYPE_CHECKING:
    from pathlib import Path
    from zoneinfo import ZoneInfo

PARQUET_MAGIC = b"PAR1"
ARROW_MAGIC = b"ARROW1"
MOST_ROWS = 200_000_000
AS_READ = ReadOptions()


def read_source(path: Path, symbol: str, zone: ZoneInfo, options: ReadOptions = AS_READ) -> CandleSource:
    """Reads a text (CSV and its like), JSON, Parquet or Feather file, also compressed or alone in an archive.

    Args:
        path: the file.
        symbol: what the candles are of, for messages.
        zone: what times without a zone mean.
        options: what the user says about the file.

    Raises:
        CandleFileUnreadable: it is none of these, or damaged; with what to do.
    """
    origin = Origin(symbol, path)
    assumptions: list[str] = []
    try:
        if path.stat().st_size > MOST_BYTES:
            with path.open("rb") as file:
                if file.read(len(PARQUET_MAGIC)) != PARQUET_MAGIC:
                    raise origin.refused(f"more than {MOST_BYTES} bytes", "cut it into years")
        data = path.read_bytes()
    except OSError as error:
        raise origin.refused(error.strerror or str(error)) from error
    raw = _raw_table(unpacked(data, origin, assumptions), options, origin, assumptions)
    if raw.headerless:
        raw = RawTable(named_by_layout(raw.table, origin, assumptions), assumptions, raw.line_of)
    source = CandleSource(symbol, str(path), zone, raw.table, options, assumptions, raw.line_of)
    return source if raw.chosen else source.of_one_series()


def _raw_table(data: bytes, options: ReadOptions, origin: Origin, assumptions: list[str]) -> RawTable:
    if data.startswith((PARQUET_MAGIC, ARROW_MAGIC)):
        table = _binary_table(data, origin)
        return RawTable(renamed(table, options.columns, origin) if options.columns else table, assumptions)
    if kind := unread_kind(data):
        name, advice = kind
        raise origin.refused(f"this is {name}", advice)
    text = decoded(data, options.encoding, origin, assumptions)
    if text.lstrip()[:1] in {b"[", b"{"}:
        return json_table(text, options, origin, assumptions)
    return text_table(text, options, origin, assumptions)


def _binary_table(data: bytes, origin: Origin) -> pa.Table:
    try:
        buffer = pa.BufferReader(data)
        if data.startswith(PARQUET_MAGIC):
            with pq.ParquetFile(buffer) as parquet:
                _refuse_too_many(parquet.metadata.num_rows, origin)
                table = parquet.read()
        else:
            with pa.ipc.open_file(buffer) as feather:
                table = feather.read_all()
        _refuse_too_many(table.num_rows, origin)
        table.validate(full=True)
    except (OSError, ValueError, OverflowError, MemoryError, pa.ArrowException) as error:
        raise origin.refused(str(error).partition("\n")[0] or type(error).__name__) from error
    return table


def _refuse_too_many(rows: int, origin: Origin) -> None:
    if rows > MOST_ROWS:
        raise origin.refused(f"it claims to have {rows} rows", "cut it into years")
