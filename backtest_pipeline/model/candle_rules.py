"""The rules that candles keep, each with the message for the first row that breaks it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.errors import CandlesInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[np.float64]]


def check_candles(symbol: str, timestamp: NDArray[np.datetime64], columns: Columns, *, source: str) -> None:
    """Refuses candles that no engine could use.

    Prices are finite and positive, `high` is the bar's highest and `low` its lowest price, volume is finite
    and not negative, timestamps increase strictly.

    Args:
        symbol: for the message.
        timestamp: shape (n,), `datetime64`.
        columns: `open`, `high`, `low`, `close` and `volume`, each of shape (n,), float64.
        source: file or frame, for the message.

    Raises:
        CandlesInvalid: with the first row that breaks the first broken rule, its time and its value.
    """
    lengths = {name: len(column) for name, column in columns.items()}
    if set(lengths.values()) - {len(timestamp)}:
        raise CandlesInvalid(symbol, f"columns differ in length: {lengths}", source=source)
    for problem, broken, values in _broken_rules(timestamp, columns):
        if broken.any():
            row = int(np.argmax(broken))
            shown = "".join(f" {name} {column[row]!s}," for name, column in values.items())
            raise CandlesInvalid(symbol, f"{problem}:{shown} at {timestamp[row]}", source=source, row=row)


def _broken_rules(
    timestamp: NDArray[np.datetime64], columns: Columns
) -> Iterator[tuple[str, NDArray[np.bool_], Columns]]:
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

    yield "timestamp is missing", np.isnat(timestamp), {}
    backwards = np.zeros(len(timestamp), dtype=np.bool_)
    backwards[1:] = timestamp[1:] < timestamp[:-1]
    yield "rows are not sorted by timestamp", backwards, {}
    twice = np.zeros(len(timestamp), dtype=np.bool_)
    twice[1:] = timestamp[1:] == timestamp[:-1]
    yield "two rows have the same timestamp", twice, {}
