"""The rules that candles keep, each with the message for the first row that breaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.errors import CandlesInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[np.float64]]

FIRST_MOMENT = np.datetime64("0001-01-02", "us")
LAST_MOMENT = np.datetime64("9999-12-30", "us")


def check_candles(
    symbol: str,
    timestamp: NDArray[np.datetime64],
    columns: Columns,
    *,
    source: str | Path,
    first_row: int = 0,
) -> None:
    """Refuses candles that no engine could use.

    Prices are finite and positive, `high` is the bar's highest and `low` its lowest price, volume is finite
    and not negative, timestamps increase strictly.

    Args:
        symbol: for the message.
        timestamp: shape (n,), `datetime64`.
        columns: `open`, `high`, `low`, `close` and `volume`, each of shape (n,), float64.
        source: file or frame, for the message.
        first_row: where the first of these rows stands in the source, for the message.

    Raises:
        CandlesInvalid: with the first row that breaks the first broken rule, its time and its value.
    """
    check_values(symbol, timestamp, columns, source=source, first_row=first_row)
    check_order(symbol, timestamp, source=source, first_row=first_row)


def check_values(
    symbol: str,
    timestamp: NDArray[np.datetime64],
    columns: Columns,
    *,
    source: str | Path,
    first_row: int = 0,
) -> None:
    """The rules of `check_candles` that look at one row at a time; rows may come in any order."""
    lengths = {name: len(column) for name, column in columns.items()}
    if set(lengths.values()) - {len(timestamp)}:
        raise CandlesInvalid(symbol, f"columns differ in length: {lengths}", source=source)
    for problem, broken, values in _broken_values(columns):
        if broken.any():
            row = int(np.argmax(broken))
            shown = "".join(f" {name} {column[row]!s}," for name, column in values.items())
            problem_at = f"{problem}:{shown} at {moment_label(timestamp[row])}"
            raise CandlesInvalid(symbol, problem_at, source=source, row=first_row + row)


def check_order(
    symbol: str, timestamp: NDArray[np.datetime64], *, source: str | Path, first_row: int = 0
) -> None:
    """The rules of `check_candles` for timestamps: none missing, each after the one before it."""
    missing = np.isnat(timestamp)
    if missing.any():
        row = first_row + int(np.argmax(missing))
        raise CandlesInvalid(symbol, "timestamp is missing", source=source, row=row)
    for problem, broken in (
        ("rows are not sorted by timestamp", timestamp[1:] < timestamp[:-1]),
        ("two rows have the same timestamp", timestamp[1:] == timestamp[:-1]),
    ):
        if broken.any():
            row = int(np.argmax(broken)) + 1
            problem_at = (
                f"{problem}: {moment_label(timestamp[row])} follows {moment_label(timestamp[row - 1])}"
            )
            raise CandlesInvalid(symbol, problem_at, source=source, row=first_row + row)
    for row in (0, len(timestamp) - 1) if len(timestamp) else ():
        if not FIRST_MOMENT <= timestamp[row] <= LAST_MOMENT:
            problem_at = f"timestamp must lie in the years 1 to 9999: {moment_label(timestamp[row])}"
            raise CandlesInvalid(symbol, problem_at, source=source, row=first_row + row)


def _broken_values(columns: Columns) -> Iterator[tuple[str, NDArray[np.bool_], Columns]]:
    """Yields, rule by rule, its name, the rows that break it and the columns that show why."""
    for name in ("open", "high", "low", "close"):
        column = columns[name]
        yield f"{name} must be finite and positive", ~((column > 0) & (column < np.inf)), {name: column}
    volume = columns["volume"]
    yield "volume must be finite and not negative", ~((volume >= 0) & (volume < np.inf)), {"volume": volume}

    high, low = columns["high"], columns["low"]
    for name in ("open", "close"):
        column = columns[name]
        yield f"high is below {name}", high < column, {"high": high, name: column}
        yield f"low is above {name}", low > column, {"low": low, name: column}


def moment_label(moment: np.datetime64) -> str:
    """A timestamp for messages, without microseconds that are zero."""
    return str(moment).removesuffix(".000000")
