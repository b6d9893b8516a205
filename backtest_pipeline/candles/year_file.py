"""One year of a symbol's candles: a Parquet file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backtest_pipeline.model.candle_rules import check_order, check_values, moment_label
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.errors import CandleFileUnreadable, CandlesInvalid
from backtest_pipeline.model.local_times import to_utc
from backtest_pipeline.model.span import DAY_US, EPOCH, MICROSECOND, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = dict[str, NDArray[Any]]

VALUE_COLUMNS = CANDLE_COLUMNS[1:]
WHOLE_FILE = Span()
ROWS_PER_GROUP = 65_536
SCHEMA = pa.schema(
    [("timestamp", pa.timestamp("us", tz="UTC")), *((name, pa.float64()) for name in VALUE_COLUMNS)]
)


@dataclass(frozen=True, slots=True)
class Extent:
    """What a file holds: rows, and its first and last timestamp (microseconds, UTC; 0 without rows)."""

    rows: int
    first_us: int
    last_us: int


@dataclass(frozen=True, slots=True)
class CandleRows:
    """Checked rows of one file.

    Attributes:
        columns: `CANDLE_COLUMNS`, `timestamp` as `datetime64[us]` in UTC, the others float64.
        path: the file.
        first_row: where the first of the rows stands in the file, from zero.
    """

    columns: Columns
    path: Path
    first_row: int

    @property
    def timestamp(self) -> NDArray[np.datetime64]:
        """Open times, UTC."""
        return self.columns["timestamp"]

    def __len__(self) -> int:
        return len(self.timestamp)


@dataclass(frozen=True, slots=True)
class CandleFile:
    """A file of candles, of this store or of the predecessor's volume.

    `timestamp` is a column or the pandas index, with a zone or local to `zone`, of any resolution.
    Values are of any numeric type. Further columns are ignored.
    """

    symbol: str
    path: Path
    zone: ZoneInfo

    def read(self, span: Span = WHOLE_FILE) -> CandleRows:
        """Reads and checks the rows within a span; row groups outside it stay on disk.

        Raises:
            CandleFileUnreadable: this is no Parquet file or it is damaged.
            CandlesInvalid: a column is missing or has the wrong type, or a row breaks a rule.
        """
        with self._opened() as parquet:
            name = self._timestamp_name(parquet.schema_arrow)
            groups, first_row = self._groups_within(parquet, name, span)
            if not groups:
                return CandleRows(_no_columns(), self.path, 0)
            self._require_values(parquet.schema_arrow)
            table = parquet.read_row_groups(groups, columns=[name, *VALUE_COLUMNS], use_threads=False)
            timestamp = self._utc(table.column(name))
            check_order(self.symbol, timestamp, source=self.path, first_row=first_row)
            moments_us = timestamp.view(np.int64)
            begin = int(np.searchsorted(moments_us, span.first_us, side="left"))
            stop = int(np.searchsorted(moments_us, span.last_us, side="right"))
            table = table.slice(begin, stop - begin)
            values = {column: _floats(table.column(column)) for column in VALUE_COLUMNS}
        timestamp = timestamp[begin:stop]
        first_row += begin
        check_values(self.symbol, timestamp, values, source=self.path, first_row=first_row)
        return CandleRows({"timestamp": timestamp, **values}, self.path, first_row)

    def extent(self) -> Extent:
        """How many rows there are, and from when to when, from the file's statistics where it has them.

        Raises:
            CandleFileUnreadable: this is no Parquet file or it is damaged.
            CandlesInvalid: there is no timestamp column.
        """
        with self._opened() as parquet:
            rows = parquet.metadata.num_rows
            if not rows:
                return Extent(0, 0, 0)
            name = self._timestamp_name(parquet.schema_arrow)
            bounds = [bound for *_, bound in _groups(parquet, name)]
            known = [bound for bound in bounds if bound is not None]
            if len(known) == len(bounds):
                ends_us = [min(low for low, _ in known), max(high for _, high in known)]
                ends = np.array(ends_us, dtype=np.int64).view("datetime64[us]")
                utc = ends if parquet.schema_arrow.field(name).type.tz else to_utc(ends, self.zone)
            else:
                utc = self._utc(parquet.read(columns=[name], use_threads=False).column(name))
            first, last = utc.min(), utc.max()
            check_order(self.symbol, np.unique(np.array([first, last])), source=self.path)
            return Extent(rows, int(first.astype(np.int64)), int(last.astype(np.int64)))

    @contextmanager
    def _opened(self) -> Iterator[pq.ParquetFile]:
        """Opens the file without Arrow's threads: workers are forked from a process that has read before."""
        try:
            with pq.ParquetFile(self.path, page_checksum_verification=True, pre_buffer=False) as parquet:
                yield parquet
        except (OSError, ValueError, pa.ArrowException) as error:  # ValueError: names that are no UTF-8
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise CandleFileUnreadable(self.symbol, self.path, reason) from error

    def _timestamp_name(self, schema: pa.Schema) -> str:
        name = timestamp_column(schema)
        if name is None:
            raise self._invalid(f"missing columns: {', '.join(_missing(schema))}{_present(schema)}")
        kind = schema.field(name).type
        if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            raise self._invalid(f"{name} must hold times, not {kind}; use `backtest candles import`")
        return name

    def _require_values(self, schema: pa.Schema) -> None:
        missing = [name for name in _missing(schema) if name != "timestamp"]
        if missing:
            raise self._invalid(f"missing columns: {', '.join(missing)}{_present(schema)}")
        for name in VALUE_COLUMNS:
            if not is_numeric(kind := schema.field(name).type):
                raise self._invalid(f"{name} must hold numbers, not {kind}")

    def _groups_within(self, parquet: pq.ParquetFile, name: str, span: Span) -> tuple[list[int], int]:
        """Row groups from the first to the last that may hold rows of the span, and their first row."""
        kind = parquet.schema_arrow.field(name).type
        slack_us = 0 if pa.types.is_timestamp(kind) and kind.tz else DAY_US
        begin = span.first_us - slack_us
        end = span.last_us + slack_us
        groups = list(_groups(parquet, name))
        within = [
            group for group, _, bound in groups if bound is None or (bound[1] >= begin and bound[0] <= end)
        ]
        if not within:
            return [], 0
        return list(range(within[0], within[-1] + 1)), groups[within[0]][1]

    def _utc(self, column: pa.ChunkedArray) -> NDArray[np.datetime64]:
        kind = column.type
        zoned = pa.types.is_timestamp(kind) and kind.tz
        target = pa.timestamp("us", tz=kind.tz if zoned else None)
        stamps = column.cast(target, safe=False).to_numpy().astype("datetime64[us]", copy=False)
        return stamps if zoned else to_utc(stamps, self.zone)

    def _invalid(self, problem: str) -> CandlesInvalid:
        return CandlesInvalid(self.symbol, problem, source=self.path)


def timestamp_column(schema: pa.Schema) -> str | None:
    """Name of the column that holds the timestamps: `timestamp`, or else the pandas index of times."""
    return "timestamp" if "timestamp" in schema.names else pandas_index(schema)


def pandas_index(schema: pa.Schema) -> str | None:
    """Name of the column that is the pandas index of times, if there is one."""
    described = (schema.metadata or {}).get(b"pandas")
    try:
        names = json.loads(described)["index_columns"] if described else []
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    for name in names if isinstance(names, list) else []:
        if isinstance(name, str) and name in schema.names and pa.types.is_timestamp(schema.field(name).type):
            return name
    return None


def is_numeric(kind: pa.DataType) -> bool:
    """Whether a column of this type can be read as float64."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def parquet_bytes(columns: Columns) -> bytes:
    """The candles as this store writes them; the same candles give the same bytes."""
    table = pa.table([columns[name] for name in CANDLE_COLUMNS], schema=SCHEMA)
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        row_group_size=ROWS_PER_GROUP,
        use_dictionary=list(VALUE_COLUMNS),
        column_encoding={"timestamp": "DELTA_BINARY_PACKED"},
        write_page_checksum=True,
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _groups(parquet: pq.ParquetFile, name: str) -> Iterator[tuple[int, int, tuple[int, int] | None]]:
    """Yields each row group, its first row, and its lowest and highest stored timestamp where known."""
    metadata = parquet.metadata
    columns = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
    first_row = 0
    for group in range(metadata.num_row_groups):
        described = metadata.row_group(group)
        statistics = described.column(columns.index(name)).statistics
        yield group, first_row, _bounds_us(statistics)
        first_row += described.num_rows


def _bounds_us(statistics: Any) -> tuple[int, int] | None:
    if statistics is None or not statistics.has_min_max:
        return None
    try:
        return _stored_us(statistics.min), _stored_us(statistics.max)
    except (ValueError, OverflowError):  # before year 1 or after 9999: the rows themselves show it
        return None


def _stored_us(moment: date | datetime) -> int:
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time.min)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int((aware - EPOCH) // MICROSECOND)


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    return values


def _no_columns() -> Columns:
    return {"timestamp": np.empty(0, "datetime64[us]"), **{name: np.empty(0) for name in VALUE_COLUMNS}}


def _missing(schema: pa.Schema) -> list[str]:
    return [name for name in CANDLE_COLUMNS if name not in schema.names]


def _present(schema: pa.Schema) -> str:
    return f"; the file has {', '.join(schema.names) or 'none'}"


def check_files_in_order(symbol: str, before: CandleRows, after: CandleRows) -> None:
    """Refuses rows of one file that do not follow those of the file before it.

    Raises:
        CandlesInvalid: naming the first row of the later file.
    """
    last, first = before.timestamp[-1], after.timestamp[0]
    if first <= last:
        what = "two rows have the same timestamp" if first == last else "rows are not sorted by timestamp"
        problem = f"{what}: {moment_label(first)} follows {moment_label(last)} of {before.path.name}"
        raise CandlesInvalid(symbol, problem, source=after.path, row=after.first_row)
