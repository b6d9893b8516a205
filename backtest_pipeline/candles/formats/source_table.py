"""A table of candles from somewhere: what its columns mean, their values, adjusting for splits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backtest_pipeline.candles.formats.cells import is_text, parsed_numbers
from backtest_pipeline.candles.formats.columns import Found, find_columns, series_columns
from backtest_pipeline.candles.formats.dates import parsed_times
from backtest_pipeline.candles.formats.numbers import plain_numbers
from backtest_pipeline.candles.formats.read_options import ReadOptions
from backtest_pipeline.candles.year_file import VALUE_COLUMNS
from backtest_pipeline.model.candle_rules import check_values
from backtest_pipeline.model.candles import PRICE_COLUMNS
from backtest_pipeline.model.errors import CandlesInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from backtest_pipeline.candles.year_file import Columns

    Floats = NDArray[np.float64]

HAIR_FRAC = 1e-9
MOST_SERIES_SHOWN = 8
NO_PRICES = ("", "null", "nan", "none", "n/a", "#n/a", "-")
ZERO = r"^[+-]?0+([.,]0*)?$"


@dataclass(frozen=True, slots=True)
class CandleSource:
    """A table of candles that someone wants in the store.

    Attributes:
        symbol: for messages.
        name: file or origin, for messages.
        zone: what times without a zone mean.
        table: as read, columns under their own names.
        options: what the user says about the file.
        assumptions: what was taken for granted in reading; reading the columns adds to it.
        line_of: gives the file's line of a row of the file, where it has lines.
        rows: where the table's rows stand in the file; `None`: at their own position.
    """

    symbol: str
    name: str
    zone: ZoneInfo
    table: pa.Table
    options: ReadOptions = field(default_factory=ReadOptions)
    assumptions: list[str] = field(default_factory=list)
    line_of: Callable[[int], int] | None = None
    rows: NDArray[np.int64] | None = None

    def of_one_series(self) -> CandleSource:
        """The rows of the one symbol (market, interval …) that is wanted.

        Raises:
            CandlesInvalid: there are several and none was chosen, or the chosen one is not there.
        """
        series = series_columns(self.table)
        only = self.options.only
        if only is None:
            for name, column in series:
                values = pc.unique(pc.drop_null(column)).to_pylist()
                if len(values) > 1:
                    shown = ", ".join(values[:MOST_SERIES_SHOWN])
                    more = " …" if len(values) > MOST_SERIES_SHOWN else ""
                    raise self.fault(
                        f"the column {name!r} has {len(values)} values ({shown}{more}); "
                        f"import one of them, e.g. --only {values[0]}"
                    )
            return self
        for _, column in series:
            chosen = pc.fill_null(pc.equal(column, only), fill_value=False)
            if pc.any(chosen).as_py():
                rows = self._taken(chosen)
                return replace(rows, options=replace(self.options, only=None)).of_one_series()
        names = ", ".join(repr(name) for name, _ in series) or "no column of symbols"
        raise self.fault(f"there is no {only!r} to import only; the file has {names}")

    def columns(self, *, adjust: bool) -> Columns:
        """The candles in the file's order, each row checked by itself.

        Args:
            adjust: scale the prices by adjusted close over close, and the volume by its inverse, so that
                the money traded (price times volume) stays what it was.

        Raises:
            CandlesInvalid: naming the first row that cannot be used.
        """
        found = find_columns(self.table, self.fault, self._assume)
        wanted = ("timestamp", *VALUE_COLUMNS, *(["adj close"] if adjust else []))
        missing = [name for name in wanted if name not in found.columns]
        if self.options.no_volume and missing == ["volume"]:
            found.columns["volume"] = pa.chunked_array([np.zeros(self.table.num_rows)])
            self._assume("there is no volume, 0 was stored")
        elif missing:
            raise self._missing(missing, found)
        if not self.table.num_rows:
            raise self.fault("there are no rows")
        zone = ZoneInfo(found.zone) if found.zone else self.zone
        timestamp = parsed_times(
            found.columns["timestamp"],
            zone,
            self.fault,
            date_format=self.options.date_format,
            assume=self._assume,
        )
        texts = {name: found.columns[name] for name in wanted[1:]}
        plain = plain_numbers(texts, self.options.decimal, self.fault, self._assume)
        numbers = {name: parsed_numbers(plain[name], name, self.fault) for name in wanted[1:]}
        # Adding zero turns -0.0 into 0.0, so that equal volumes are equal bytes.
        values = {name: numbers[name] + 0.0 for name in VALUE_COLUMNS}
        _widen_by_a_hair(values)
        self._check(timestamp, values)
        if adjust:
            self._adjust(values, numbers["adj close"])
            self._check(timestamp, values, ", adjusted")
        return {"timestamp": timestamp, **values}

    def with_prices(self) -> CandleSource:
        """Without rows that have no price at all, as of days on which a feed had none; as `with_trades`."""
        return self._with_any_price().with_trades()

    def with_trades(self) -> CandleSource:
        """Without rows of days on which nobody could trade.

        Where trading is suspended, Korean exports have the last close beside an open, high, low and volume
        of 0.
        """
        found = find_columns(self.table, self.fault, lambda _: None)
        names = ("open", "high", "low", "volume")
        if not self.table.num_rows or any(name not in found.columns for name in names):
            return self
        none = pa.scalar(value=True)
        for name in names:
            none = pc.and_(none, _is_zero(found.columns[name]))
        number = pc.sum(none).as_py() or 0
        if not number or number == self.table.num_rows:
            return self
        rows = "1 row" if number == 1 else f"{number} rows"
        self._assume(f"without a trade (open, high, low and volume are 0) and left out: {rows}")
        return self._taken(pc.invert(none))

    def _with_any_price(self) -> CandleSource:
        found = find_columns(self.table, self.fault, lambda _: None)
        prices = [found.columns[name] for name in PRICE_COLUMNS if name in found.columns]
        if len(prices) < len(PRICE_COLUMNS) or not self.table.num_rows:
            return self
        empty, number = pa.scalar(value=True), 0
        for column in prices:
            empty = pc.and_(empty, _without_value(column))
            number = pc.sum(empty).as_py() or 0
            if not number:
                return self
        if number == self.table.num_rows:
            return self
        rows = "1 row" if number == 1 else f"{number} rows"
        self._assume(f"without any price and left out: {rows}")
        return self._taken(pc.invert(empty))

    def fault(self, problem: str, row: int | None = None, about: str = "") -> CandlesInvalid:
        """The error for this table; `row` is one of the table's."""
        if row is not None and self.rows is not None:
            row = int(self.rows[row])
        line = self.line_of(row) if row is not None and self.line_of else None
        return CandlesInvalid(self.symbol, problem, source=f"{self.name}{about}", row=row, line=line)

    def place(self, row: int) -> str:
        """Where a row of the table stands in the file, for messages."""
        fault = self.fault("", row)
        return f"row {fault.row}" if fault.line is None else f"line {fault.line}"

    def _assume(self, sentence: str) -> None:
        if sentence not in self.assumptions:
            self.assumptions.append(sentence)

    def _missing(self, missing: list[str], found: Found) -> CandlesInvalid:
        has = ", ".join(self.table.column_names) or "none"
        cure = "; --no-volume stores 0" if missing == ["volume"] else ""
        if self.table.num_columns == 1 and " " in has.strip():
            cure = "; columns are separated by spaces: write commas or tabs between them"
        return self.fault(f"missing columns: {', '.join(missing)}; the file has {has}{found.hint}{cure}")

    def _taken(self, chosen: pa.ChunkedArray) -> CandleSource:
        positions = np.flatnonzero(chosen.to_numpy())
        rows = positions if self.rows is None else self.rows[positions]
        return replace(self, table=self.table.filter(chosen), rows=rows)

    def _check(self, timestamp: NDArray[np.datetime64], values: dict[str, Floats], about: str = "") -> None:
        try:
            check_values(self.symbol, timestamp, values, source=self.name)
        except CandlesInvalid as fault:
            raise self.fault(fault.problem, fault.row, about) from None

    def _adjust(self, values: dict[str, Floats], adjusted_close: Floats) -> None:
        wrong = ~((adjusted_close > 0) & (adjusted_close < np.inf))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise self.fault(f"adj close must be finite and positive: {adjusted_close[row]}", row)
        factor = adjusted_close / values["close"]
        for name in ("open", "high", "low"):
            values[name] = values[name] * factor
        values["close"] = adjusted_close
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # refused later, by name
            values["volume"] = values["volume"] / factor
        _widen_by_a_hair(values)


def _without_value(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if is_text(column.type):
        plain = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
        return pc.fill_null(pc.is_in(plain, value_set=pa.array(NO_PRICES)), fill_value=True)
    return pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))


def _is_zero(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if is_text(column.type):
        plain = pc.utf8_trim_whitespace(column.cast(pa.string()))
        return pc.fill_null(pc.match_substring_regex(plain, ZERO), fill_value=False)
    try:
        return pc.fill_null(pc.equal(column.cast(pa.float64(), safe=False), 0.0), fill_value=False)
    except pa.ArrowException:  # refused later, by name
        return pa.chunked_array([pa.array([False] * len(column))])


def _widen_by_a_hair(values: dict[str, Floats]) -> None:
    """Lifts highs and lowers lows that floating-point rounding left a hair inside the bar's prices."""
    top = np.maximum.reduce([values[name] for name in PRICE_COLUMNS])
    bottom = np.minimum.reduce([values[name] for name in PRICE_COLUMNS])
    with np.errstate(invalid="ignore"):  # infinite prices are refused later, by name
        near_top = top - values["high"] <= HAIR_FRAC * top
        near_bottom = values["low"] - bottom <= HAIR_FRAC * bottom
    values["high"] = np.where(near_top, top, values["high"])
    values["low"] = np.where(near_bottom, bottom, values["low"])
