"""A folder of candle files that grows: what some other program writes, of any kind that can be imported.

`<SYMBOL>-<TIMEFRAME>…`, as `BTCUSDT-1h.csv` or `BTCUSDT-1h-2024-01.zip`, says what is in a file. A line that
is still being written, one without its line break, is left for the next time; so is the candle in progress.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from backtest_pipeline.candles.formats.file_reader import read_source
from backtest_pipeline.candles.sources.exchange_rows import page_columns
from backtest_pipeline.candles.sources.market_data import Market, MarketDataSource, Page, bar_ms
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.errors import CandlesError, SourceLacks, SourceUnreachable
from backtest_pipeline.model.timeframe import TIMEFRAMES, Timeframe, symbol_problem

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from backtest_pipeline.candles.sources.market_data import Clock

    Rows = dict[int, list[float]]

PREFIX = "folder:"
_TIMEFRAME = re.compile(rf"[-_]({'|'.join(TIMEFRAMES)})(?=[-_.]|\Z)", re.IGNORECASE)
_TEXTS = {".csv", ".tsv", ".txt"}
# Longer than any history: a folder gives all that it has at once.
_ALL_BARS = 1_000_000_000


class FolderSource(MarketDataSource):
    """The files of one folder; see `MarketDataSource`."""

    whole_each_time = True

    def __init__(self, folder: Path, zone: ZoneInfo, clock: Clock) -> None:
        """Prepare to read a folder; nothing is read yet.

        Args:
            folder: with the files.
            zone: what times without a zone mean.
            clock: to tell complete candles from the one in progress.
        """
        self.name = f"{PREFIX}{folder.absolute()}"
        self._folder = folder
        self._zone = zone
        self._clock = clock
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[tuple[int, int], Rows]] = {}

    def series(self) -> list[tuple[Market, Timeframe]]:
        """What there are files of, by their names."""
        found = {(symbol, timeframe) for symbol, timeframe, _ in self._files()}
        ordered = sorted(found, key=lambda one: (one[0], TIMEFRAMES.index(one[1])))
        return [(_market(symbol), timeframe) for symbol, timeframe in ordered]

    def fingerprint(self) -> tuple[tuple[str, int, int], ...]:
        """What changes when a file does."""
        return tuple((str(path), *_state(path)) for *_, path in self._files())

    def markets(self, asked: Sequence[str]) -> list[Market | None]:
        """Find markets by their symbols."""
        known = set(self.market_names())
        return [_market(symbol) if symbol in known else None for symbol in asked]

    def market_names(self) -> list[str]:
        """Symbols that there are files of."""
        return sorted({symbol for symbol, *_ in self._files()})

    def require(self, timeframe: Timeframe) -> None:
        """As `MarketDataSource.require`."""
        has = {own for _, own, _ in self._files()}
        if timeframe not in has:
            raise SourceLacks(self.name, f"{timeframe} candles", [one for one in TIMEFRAMES if one in has])

    def page_bars(self) -> int:
        """All that there may be."""
        return _ALL_BARS

    def first_ms(self, market: Market, timeframe: Timeframe) -> int | None:
        """The first candle of all files."""
        return min(self._rows(market.name, timeframe), default=None)

    def page(self, market: Market, timeframe: Timeframe, first_ms: int, stop_ms: int) -> Page:
        """As `MarketDataSource.page`; of files with a candle of one time, the later name's is taken."""
        complete_until_ms = self._clock.now_ms() - bar_ms(timeframe) + 1
        rows = self._rows(market.name, timeframe)
        within = [rows[at] for at in sorted(rows) if first_ms <= at < min(stop_ms, complete_until_ms)]
        columns, left_out = page_columns(f"{market.name} in {self._folder}", within, bar_ms(timeframe))
        return Page(columns, complete_until_ms, left_out, requests=1)

    def _files(self) -> list[tuple[str, Timeframe, Path]]:
        try:
            paths = sorted(path for path in self._folder.iterdir() if not path.name.startswith("."))
        except OSError as error:
            raise SourceUnreachable(self.name, f"the folder cannot be read: {error.strerror}", 1) from error
        found = []
        for path in paths:
            timeframe = _TIMEFRAME.search(path.name, 1)  # what stands before it names the symbol
            if timeframe is None:
                continue
            symbol = path.name[: timeframe.start()].upper()
            if not symbol_problem(symbol) and path.is_file():
                found.append((symbol, cast(Timeframe, timeframe[1].lower()), path))
        return found

    def _rows(self, symbol: str, timeframe: Timeframe) -> Rows:
        rows: Rows = {}
        for own, length, path in self._files():
            if (own, length) == (symbol, timeframe):
                rows |= self._rows_of(path, symbol)
        return rows

    def _rows_of(self, path: Path, symbol: str) -> Rows:
        """A file's candles by time, read again where the file has changed."""
        with self._lock:
            state = _state(path)
            kept = self._read.get(path)
            if kept is None or kept[0] != state:
                try:
                    kept = state, _read_rows(path, symbol, self._zone)
                except CandlesError as error:
                    raise SourceUnreachable(self.name, str(error), 1) from error
                self._read[path] = kept
            return kept[1]


def _market(symbol: str) -> Market:
    return Market(symbol, symbol, calendar=None)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def _read_rows(path: Path, symbol: str, zone: ZoneInfo) -> Rows:
    if path.suffix.lower() in _TEXTS:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        if whole.count(b"\n") < 1:  # no row below the header yet
            return {}
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            copy.write_bytes(whole + b"\n")
            return _table_rows(copy, symbol, zone)
    return _table_rows(path, symbol, zone)


def _table_rows(path: Path, symbol: str, zone: ZoneInfo) -> Rows:
    columns = read_source(path, symbol, zone).with_prices().columns(adjust=False)
    moments_ms = columns["timestamp"].astype("datetime64[ms]").astype(np.int64)
    table = np.column_stack([moments_ms, *(columns[name] for name in CANDLE_COLUMNS[1:])])
    return {int(at): row for at, row in zip(moments_ms, table.tolist(), strict=True)}
