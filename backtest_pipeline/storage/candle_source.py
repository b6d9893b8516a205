"""Other people's candle files: finding the columns, reading the values, adjusting for splits."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from backtest_pipeline.model.candle_rules import check_values
from backtest_pipeline.model.candles import PRICE_COLUMNS
from backtest_pipeline.model.errors import CandleFileUnreadable, CandlesInvalid
from backtest_pipeline.storage.candle_cells import parsed_numbers
from backtest_pipeline.storage.candle_dates import parsed_times
from backtest_pipeline.storage.candle_file import VALUE_COLUMNS, timestamp_column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.storage.candle_file import Columns

    Floats = NDArray[np.float64]

# Compared in lower case, without anything but letters and digits; the first that the file has is used.
ALIASES = {
    "timestamp": (
        "timestamp",
        "datetime",
        "opentime",
        "unixtimestamp",
        "unix",
        "ts",
        "gmttime",
        "localtime",
        "date",
        "time",
        "dt",
        "t",
    ),
    "open": ("open", "openprice", "o"),
    "high": ("high", "highprice", "h"),
    "low": ("low", "lowprice", "l"),
    "close": ("close", "closeprice", "last", "c"),
    "volume": ("volume", "vol", "v"),
    "adj close": ("adjclose", "adjustedclose", "closeadj", "closeadjusted", "adjcloseprice", "adj"),
}
DELIMITERS = ",;\t|"
PARQUET_MAGIC = b"PAR1"
HAIR_FRAC = 1e-9
ADVICE = "give a CSV or Parquet file"


@dataclass(frozen=True, slots=True)
class CandleSource:
    """A table of candles that someone wants in the store.

    Attributes:
        symbol: for messages.
        name: file or origin, for messages.
        zone: what times without a zone mean.
        table: as read, columns under their own names.
    """

    symbol: str
    name: str
    zone: ZoneInfo
    table: pa.Table

    def columns(self, *, adjust: bool) -> Columns:
        """The candles in the file's order, each row checked by itself.

        Args:
            adjust: scale the prices by adjusted close over close, and the volume by its inverse, so that
                the money traded (price times volume) stays what it was.

        Raises:
            CandlesInvalid: naming the first row that cannot be used.
        """
        found = self._found()
        wanted = ("timestamp", *VALUE_COLUMNS, *(["adj close"] if adjust else []))
        missing = [name for name in wanted if name not in found]
        if missing:
            has = ", ".join(self.table.column_names) or "none"
            raise self.fault(f"missing columns: {', '.join(missing)}; the file has {has}")
        if not self.table.num_rows:
            raise self.fault("there are no rows")
        timestamp = parsed_times(found["timestamp"], self.zone, self.fault)
        numbers = {name: parsed_numbers(found[name], name, self.fault) for name in wanted[1:]}
        # Adding zero turns -0.0 into 0.0, so that equal volumes are equal bytes.
        values = {name: numbers[name] + 0.0 for name in VALUE_COLUMNS}
        _widen_by_a_hair(values)
        check_values(self.symbol, timestamp, values, source=self.name)
        if adjust:
            self._adjust(values, numbers["adj close"])
            check_values(self.symbol, timestamp, values, source=f"{self.name}, adjusted")
        return {"timestamp": timestamp, **values}

    def fault(self, problem: str, row: int | None = None) -> CandlesInvalid:
        """The error for this table."""
        return CandlesInvalid(self.symbol, problem, source=self.name, row=row)

    def _found(self) -> dict[str, pa.ChunkedArray]:
        """The file's columns under the names of the store."""
        by_name: dict[str, str] = {}
        for column in self.table.column_names:
            plain = re.sub(r"[^a-z0-9]", "", column.lower())
            if plain in by_name and any(plain in names for names in ALIASES.values()):
                raise self.fault(f"{by_name[plain]!r} and {column!r} are the same column twice")
            by_name.setdefault(plain, column)
        found = {
            name: self.table.column(by_name[alias])
            for name, aliases in ALIASES.items()
            for alias in reversed(aliases)
            if alias in by_name
        }
        if {"date", "time"} <= by_name.keys() and not {"timestamp", "datetime"} & by_name.keys():
            day, clock = (self.table.column(by_name[part]).cast(pa.string()) for part in ("date", "time"))
            found["timestamp"] = pc.binary_join_element_wise(
                pc.utf8_trim_whitespace(day), pc.utf8_trim_whitespace(clock), " "
            )
        index = timestamp_column(self.table.schema)
        if "timestamp" not in found and index:
            found["timestamp"] = self.table.column(index)
        return found

    def _adjust(self, values: dict[str, Floats], adjusted_close: Floats) -> None:
        wrong = ~((adjusted_close > 0) & (adjusted_close < np.inf))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise self.fault(f"adj close must be finite and positive: {adjusted_close[row]}", row)
        factor = adjusted_close / values["close"]
        for name in ("open", "high", "low"):
            values[name] = values[name] * factor
        values["close"] = adjusted_close
        values["volume"] = values["volume"] / factor
        _widen_by_a_hair(values)


def read_source(path: Path, symbol: str, zone: ZoneInfo) -> CandleSource:
    """Reads a CSV file (also compressed, any of the usual delimiters) or a Parquet file.

    Raises:
        CandleFileUnreadable: it is neither, or damaged.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(PARQUET_MAGIC))
        table = pq.ParquetFile(path).read() if magic == PARQUET_MAGIC else _csv_table(path)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise CandleFileUnreadable(symbol, path, reason, advice=ADVICE) from error
    return CandleSource(symbol, str(path), zone, table)


def _csv_table(path: Path) -> pa.Table:
    """All columns as text: numbers and dates are read later, where a fault can name its row."""
    with pa.input_stream(path, compression="detect") as stream:
        head = stream.read(65_536).decode("utf-8-sig", errors="replace")
    header = next((line for line in head.splitlines() if line.strip()), "")
    delimiter = max(DELIMITERS, key=header.count)
    names = next(csv.reader([header], delimiter=delimiter), [])
    return arrow_csv.read_csv(
        path,
        # One thread counts rows, so that Arrow's complaints name them.
        read_options=arrow_csv.ReadOptions(use_threads=False),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter),
        convert_options=arrow_csv.ConvertOptions(
            column_types={name: pa.string() for name in names}, strings_can_be_null=False
        ),
    )


def _widen_by_a_hair(values: dict[str, Floats]) -> None:
    """Lifts highs and lowers lows that floating-point rounding left a hair inside the bar's prices."""
    top = np.maximum.reduce([values[name] for name in PRICE_COLUMNS])
    bottom = np.minimum.reduce([values[name] for name in PRICE_COLUMNS])
    with np.errstate(invalid="ignore"):  # infinite prices are refused later, by name
        near_top = top - values["high"] <= HAIR_FRAC * top
        near_bottom = values["low"] - bottom <= HAIR_FRAC * bottom
    values["high"] = np.where(near_top, top, values["high"])
    values["low"] = np.where(near_bottom, bottom, values["low"])
