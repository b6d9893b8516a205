"""Candles in memory: one symbol, one timeframe, six arrays of the same length."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.errors import CandlesInvalid, RequestInvalid
from backtest_pipeline.model.timeframe import TIMEFRAMES, symbol_problem
from backtest_pipeline.quick_imports import ImportedWhenUsed

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from backtest_pipeline.model.closed_candles import ClosedCandles
    from backtest_pipeline.model.market import SymbolRecord
    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.model.timeframe import Timeframe
else:  # strategies name the class; whoever only checks their parameters needs no arrays
    np = ImportedWhenUsed("numpy")
    pd = ImportedWhenUsed("pandas")

PRICE_COLUMNS = ("open", "high", "low", "close")
CANDLE_COLUMNS = ("timestamp", *PRICE_COLUMNS, "volume")


def no_sessions() -> None:
    """Of candles whose exchange's sessions are not known."""


@dataclass(frozen=True, eq=False, slots=True)
class Candles:
    """Candles of one symbol, oldest first, checked.

    Attributes:
        symbol: as in the store, e.g. `AAPL`.
        timeframe: length of a bar, e.g. `1d`.
        timestamp: shape (n,), `datetime64[us]`, UTC, the bar's open time, strictly increasing.
        open, high, low, close: shape (n,), float64, finite and positive, in quote currency.
        volume: shape (n,), float64, finite and not negative, in units of the symbol.
        record: what the store has recorded of the symbol's market, or `None`.
        sessions: gives the sessions of its exchange, or `None` where they are not known.
    """

    symbol: str
    timeframe: Timeframe
    timestamp: NDArray[np.datetime64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]
    record: SymbolRecord | None = None
    sessions: Callable[[], Schedule | None] = no_sessions

    @property
    def recorded_calendar(self) -> str | None:
        """The calendar that the store has recorded of the symbol."""
        return self.record.calendar if self.record else None

    @classmethod
    def from_arrays(
        cls, symbol: str, timeframe: Timeframe, columns: dict[str, NDArray[Any]], *, source: str = "arrays"
    ) -> Candles:
        """Builds candles from the six columns, copying only what has another dtype or layout.

        Args:
            symbol: the candles' symbol.
            timeframe: the candles' timeframe.
            columns: an array for each of `CANDLE_COLUMNS`; `timestamp` is `datetime64`, in UTC.
            source: where the columns come from, for error messages.

        Raises:
            CandlesInvalid: a column is missing or a row breaks a rule of `check_candles`.
        """
        from backtest_pipeline.model.candle_rules import check_candles  # noqa: PLC0415  needs NumPy

        missing = [name for name in CANDLE_COLUMNS if name not in columns]
        if missing:
            raise CandlesInvalid(symbol, f"missing columns: {', '.join(missing)}", source=source)
        timestamp = np.ascontiguousarray(columns["timestamp"], dtype="datetime64[us]")
        values = {name: np.ascontiguousarray(columns[name], dtype=np.float64) for name in CANDLE_COLUMNS[1:]}
        check_candles(symbol, timestamp, values, source=source)
        return cls(symbol, timeframe, timestamp, record=None, sessions=no_sessions, **values)

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, *, symbol: str, timeframe: Timeframe, source: str = "frame"
    ) -> Candles:
        """Builds candles from a pandas frame with the six columns; further columns are ignored.

        Args:
            frame: one row a bar, oldest first. `timestamp` is a column or the index: moments, numbers since
                1970 (seconds to nanoseconds, by their size), or text in ISO 8601; without a zone it means
                UTC.
            symbol: the candles' symbol.
            timeframe: the candles' timeframe.
            source: where the frame comes from, for error messages.

        Raises:
            CandlesInvalid: this is no frame, a column is missing or cannot be read, a row breaks a rule of
                `check_candles`, or the bars are of another length.
            RequestInvalid: this is no symbol or timeframe.
        """
        from backtest_pipeline.model.frame_columns import columns_of  # noqa: PLC0415  needs pandas
        from backtest_pipeline.model.time_grid import grid_fault  # noqa: PLC0415  needs pandas

        if problems := _name_problems(symbol, timeframe):
            raise RequestInvalid(problems, heading="these candles cannot be made")
        candles = cls.from_arrays(
            symbol, timeframe, columns_of(frame, CANDLE_COLUMNS, symbol, source), source=source
        )
        if fault := grid_fault(candles.timestamp, timeframe):
            raise CandlesInvalid(symbol, fault.problem, source=source, row=fault.row)
        return candles

    def __len__(self) -> int:
        return len(self.timestamp)

    def slice(self, start: int, stop: int) -> Candles:
        """Candles of the bars `start` to `stop` (excluded), sharing memory with these."""
        cut = slice(start, stop)
        return Candles(
            self.symbol,
            self.timeframe,
            self.timestamp[cut],
            self.open[cut],
            self.high[cut],
            self.low[cut],
            self.close[cut],
            self.volume[cut],
            self.record,
            self.sessions,
        )

    def resampled(self, timeframe: Timeframe) -> ClosedCandles:
        """Candles of a longer timeframe, as they are known bar by bar: see `closed_candles`.

        At each bar stands the newest longer candle that had closed when the bar did, NaN before the first;
        so a strategy may compare bars with days and cannot look ahead.

        Args:
            timeframe: a multiple of the bars'; theirs yields the bars themselves.

        Returns:
            `timestamp`, `open`, `high`, `low`, `close` and `volume`, each as long as these.

        Raises:
            RequestInvalid: such candles cannot be made of these.
        """
        from backtest_pipeline.model.closed_candles import closed_candles  # noqa: PLC0415  needs NumPy

        return closed_candles(self, timeframe)

    def closes_known_at(self, timestamp: NDArray[np.datetime64]) -> NDArray[np.float64]:
        """At each moment, the close of the newest bar that opened then or before; the first close until then.

        Of bars of one length, such a bar has ended by the time that a bar which opens at the moment has.

        Args:
            timestamp: shape (n,), `datetime64[us]`, UTC.

        Returns:
            Shape (n,).
        """
        newest = np.searchsorted(self.timestamp, timestamp, side="right") - 1
        return self.close[np.maximum(newest, 0)]

    def to_frame(self) -> pd.DataFrame:
        """A frame with the six columns; `timestamp` is in UTC."""
        frame = pd.DataFrame({name: getattr(self, name) for name in CANDLE_COLUMNS})
        frame["timestamp"] = frame["timestamp"].dt.tz_localize("UTC")
        return frame

    def fingerprint(self) -> str:
        """SHA-256 over timestamps (microseconds since 1970, int64) and the five columns, little-endian."""
        digest = hashlib.sha256()
        digest.update(self.timestamp.astype("<i8", copy=False).data)
        for name in CANDLE_COLUMNS[1:]:
            digest.update(getattr(self, name).astype("<f8", copy=False).data)
        return digest.hexdigest()


def _name_problems(symbol: str, timeframe: str) -> list[tuple[str, str]]:
    problems = []
    if problem := symbol_problem(symbol):
        problems.append(("symbol", problem))
    if timeframe not in TIMEFRAMES:
        problems.append(("timeframe", f"{timeframe!r} is no timeframe; write one of {', '.join(TIMEFRAMES)}"))
    return problems
