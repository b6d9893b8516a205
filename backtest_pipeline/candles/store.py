"""The candles below `DATA_ROOT`: what there is, and loading it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.candles.funding_file import read_funding
from backtest_pipeline.candles.schedules import schedule_of, sessions_when_asked
from backtest_pipeline.candles.symbol_record import read_record, renewed_record
from backtest_pipeline.candles.warmup_rows import rows_before
from backtest_pipeline.candles.year_file import CandleFile, check_files_in_order
from backtest_pipeline.model.candles import CANDLE_COLUMNS, Candles
from backtest_pipeline.model.errors import CandlesMissing, RequestInvalid, SymbolsUnknown
from backtest_pipeline.model.exchanges import ALWAYS_OPEN
from backtest_pipeline.model.gaps import Gaps, find_gaps
from backtest_pipeline.model.span import Span, asked_text, moment_of, moment_text, span_of, zone_of
from backtest_pipeline.model.timeframe import TIMEFRAMES, Timeframe, symbol_problem
from backtest_pipeline.storage.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.funding_rates import FundingRates
    from backtest_pipeline.model.market import SymbolRecord
    from backtest_pipeline.model.schedule import Schedule

_YEAR_FILE = re.compile(r"(\d{4})\.parquet")


@dataclass(frozen=True, slots=True)
class CandleListing:
    """What the store has of one symbol in one timeframe.

    Attributes:
        rows: candles in all years.
        first, last: open times of the first and the last candle, UTC; `None` where the files hold no row.
        size_bytes: of all year files together.
    """

    symbol: str
    timeframe: Timeframe
    rows: int
    first: datetime | None
    last: datetime | None
    size_bytes: int


class CandleStore:
    """Candles in `DATA_ROOT/<SYMBOL>/<TIMEFRAME>/<year>.parquet`, of this store or the predecessor's.

    Reading takes no lock: imports replace files whole.
    """

    def __init__(self, data_root: str | Path, timezone: str = "UTC") -> None:
        """Opens a store; its folder need not exist yet.

        Args:
            data_root: the volume that holds everything.
            timezone: what a timestamp without a zone means, in files and in requests.

        Raises:
            RequestInvalid: there is no such time zone.
        """
        self.layout = Layout(Path(data_root))
        self.zone = zone_of(timezone)

    def load(
        self,
        symbols: Sequence[str],
        timeframe: Timeframe,
        start: date | datetime | None = None,
        end: date | datetime | None = None,
        warmup_bars: int | None = 0,
    ) -> dict[str, Candles]:
        """Loads candles, reading only the years, columns and row groups that the range needs.

        Args:
            symbols: at least one; a symbol named twice is loaded once.
            timeframe: length of a bar.
            start: first open time, inclusive; `None`: from the first candle.
            end: last open time, inclusive; a date includes that whole day; `None`: to the last candle.
            warmup_bars: how many candles before `start` to load as well, as far as there are so many;
                `None`: all of them.

        Raises:
            SymbolsUnknown: naming all symbols that the store lacks, before any file is read.
            CandlesMissing: a symbol has no candle in the range, whatever there is before it.
            CandlesInvalid: a row breaks a rule of `check_candles`.
            CandleFileUnreadable: a file is no Parquet file or damaged.
            SymbolRecordInvalid: a symbol's `symbol.json` cannot be used.
            RequestInvalid: a symbol, the timeframe, `start` or `end` is of the wrong kind.
        """
        span = span_of(start, end, self.zone)
        files = self._files_of_all(symbols, timeframe)
        asked = asked_text(start, end)
        return {
            symbol: self._loaded(symbol, timeframe, files[symbol], span, asked, warmup_bars)
            for symbol in files
        }

    def funding(self, symbols: Sequence[str]) -> dict[str, FundingRates]:
        """Loads all funding rates of symbols, those left out of which the store has none.

        Raises:
            CandleFileUnreadable: a file is there and cannot be used.
        """
        found = {symbol: read_funding(self.layout, symbol) for symbol in symbols}
        return {symbol: rates for symbol, rates in found.items() if len(rates)}

    def require(
        self,
        symbols: Sequence[str],
        timeframe: Timeframe,
        start: date | datetime | None = None,
        end: date | datetime | None = None,
    ) -> None:
        """Looks whether `load` may find candles, from the names and the metadata of files alone.

        A range that lies in a gap, and rows that break a rule, are noticed by `load` only.

        Raises:
            SymbolsUnknown, CandlesMissing, RequestInvalid: as for `load`.
            CandlesError: a file's metadata cannot be used.
        """
        span = span_of(start, end, self.zone)
        for symbol, files in self._files_of_all(symbols, timeframe).items():
            if span != Span() and not _may_hold(files, span):
                raise self._missing(symbol, timeframe, files, asked_text(start, end))

    def _files_of_all(self, symbols: Sequence[str], timeframe: Timeframe) -> dict[str, dict[int, CandleFile]]:
        """The files of symbols, of all of which there are some.

        Raises:
            SymbolsUnknown: naming all symbols that the store lacks, before any file is read.
        """
        files = {symbol: self.files(symbol, timeframe) for symbol in symbols}
        unknown = [symbol for symbol, years in files.items() if not years]
        if unknown:
            elsewhere = {symbol: self._timeframes([symbol]) for symbol in unknown}
            known = self.symbols(timeframe)
            raise SymbolsUnknown(unknown, timeframe, known, self._timeframes(self.folders()), elsewhere)
        return files

    def symbols(self, timeframe: Timeframe) -> list[str]:
        """Symbols of which there are candles in this timeframe, sorted."""
        return [symbol for symbol in self.folders() if self.files(symbol, timeframe)]

    def files(self, symbol: str, timeframe: Timeframe) -> dict[int, CandleFile]:
        """The symbol's year files, oldest first; empty where the store lacks the symbol."""
        if timeframe not in TIMEFRAMES:
            problem = f"there is no {timeframe!r}; choose one of {', '.join(TIMEFRAMES)}"
            raise RequestInvalid([("timeframe", problem)])
        folder = self.layout.timeframe_folder(symbol, timeframe)
        if not folder.is_dir():
            return {}
        names = (_YEAR_FILE.fullmatch(path.name) for path in folder.iterdir())
        years = sorted(int(name[1]) for name in names if name)
        return {year: self.file(symbol, timeframe, year) for year in years}

    def file(self, symbol: str, timeframe: Timeframe, year: int) -> CandleFile:
        """The file of one year, which need not exist."""
        return CandleFile(symbol, self.layout.candle_file(symbol, timeframe, year), self.zone)

    def inventory(self) -> list[CandleListing]:
        """What there is, by symbol and timeframe, from the files' metadata alone.

        Raises:
            CandlesError: a file's metadata cannot be used.
        """
        return [
            self._listing(symbol, timeframe, files)
            for symbol in self.folders()
            for timeframe in TIMEFRAMES
            if (files := self.files(symbol, timeframe))
        ]

    def record(self, symbol: str) -> SymbolRecord | None:
        """What is recorded of the symbol's market, or `None`.

        Raises:
            SymbolRecordInvalid: its `symbol.json` cannot be used.
        """
        return read_record(self.layout, symbol)

    def record_with(self, symbol: str, calendar: str | None) -> SymbolRecord | None:
        """The symbol's record as it will be once a calendar is recorded, which need be none.

        Raises:
            RequestInvalid: there is no such calendar.
            SymbolRecordInvalid: the record that is there cannot be used, and no calendar mends it.
        """
        if calendar is None:
            return self.record(symbol)
        return renewed_record(self.layout, symbol, calendar)

    def schedule(self, calendar: str | None, timestamp: NDArray[np.datetime64]) -> Schedule | None:
        """The sessions of an exchange over the time of some bars, or `None` where there are none to know.

        Args:
            calendar: an exchange's MIC, `24/7` or `None`.
            timestamp: shape (n,), `datetime64[us]`, UTC.
        """
        if calendar is None or calendar == ALWAYS_OPEN or not len(timestamp):
            return None
        return schedule_of(self.layout, calendar, timestamp[0], timestamp[-1])

    def gaps(self, candles: Candles, calendar: str | None = None) -> Gaps:
        """The candles' gaps; see `backtest_pipeline.model.gaps` for what counts as one.

        Args:
            candles: of one symbol.
            calendar: the market's; `None`: the recorded one.
        """
        return self.gaps_of(candles.timestamp, candles.timeframe, self.calendar(candles, calendar))

    def calendar(self, candles: Candles, asked: str | None = None) -> str | None:
        """Name of the candles' calendar: the one asked for, else the recorded one, or `None`."""
        return asked or candles.recorded_calendar

    def gaps_of(self, timestamp: NDArray[np.datetime64], timeframe: Timeframe, calendar: str | None) -> Gaps:
        """The gaps of bars of a market whose calendar is known, or `None`."""
        return find_gaps(
            timestamp, timeframe, self.schedule(calendar, timestamp), always_open=calendar == ALWAYS_OPEN
        )

    def folders(self) -> list[str]:
        """Symbols that have a folder, sorted, whether there are candles in it or not."""
        root = self.layout.data_root
        if not root.is_dir():
            return []
        return sorted(path.name for path in root.iterdir() if not symbol_problem(path.name))

    def _timeframes(self, symbols: Sequence[str]) -> list[str]:
        """Timeframes of which there are candles of any of these symbols."""
        return [name for name in TIMEFRAMES if any(self.files(symbol, name) for symbol in symbols)]

    def _listing(self, symbol: str, timeframe: Timeframe, files: dict[int, CandleFile]) -> CandleListing:
        extents = [extent for file in files.values() if (extent := file.extent()).rows]
        return CandleListing(
            symbol,
            timeframe,
            rows=sum(extent.rows for extent in extents),
            first=moment_of(min(extent.first_us for extent in extents)) if extents else None,
            last=moment_of(max(extent.last_us for extent in extents)) if extents else None,
            size_bytes=sum(file.path.stat().st_size for file in files.values()),
        )

    def _loaded(
        self,
        symbol: str,
        timeframe: Timeframe,
        files: dict[int, CandleFile],
        span: Span,
        asked: tuple[str, str],
        warmup_bars: int | None,
    ) -> Candles:
        first_year, last_year = span.years()
        years = [year for year in files if first_year <= year <= last_year]
        parts = [part for year in years if len(part := files[year].read(span))]
        if not parts:
            raise self._missing(symbol, timeframe, files, asked)
        parts = [*rows_before(files, span.first_us, warmup_bars), *parts]
        for before, after in pairwise(parts):
            check_files_in_order(symbol, before, after)
        # Concatenating copies, so that nobody gets Arrow's read-only memory.
        columns = {
            name: np.concatenate([part.columns[name] for part in parts], dtype=parts[0].columns[name].dtype)
            for name in CANDLE_COLUMNS
        }
        market = self.record(symbol)
        sessions = sessions_when_asked(self.layout, market, columns["timestamp"])
        return Candles(symbol, timeframe, **columns, record=market, sessions=sessions)

    def _missing(
        self, symbol: str, timeframe: Timeframe, files: dict[int, CandleFile], asked: tuple[str, str]
    ) -> CandlesMissing:
        listing = self._listing(symbol, timeframe, files)
        has = None
        if listing.first and listing.last:
            has = moment_text(listing.first, self.zone), moment_text(listing.last, self.zone)
        return CandlesMissing(symbol, timeframe, asked=asked, has=has)


def _may_hold(files: dict[int, CandleFile], span: Span) -> bool:
    """Whether candles from the first to the last of some year files reach into a span."""
    years = sorted(files)
    first = next((extent for year in years if (extent := files[year].extent()).rows), None)
    last = next((extent for year in reversed(years) if (extent := files[year].extent()).rows), None)
    if first is None or last is None:
        return False
    return first.first_us <= span.last_us and last.last_us >= span.first_us
