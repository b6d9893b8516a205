"""Rows without names: which of the known layouts they can have, judged by the prices themselves.

A layout is taken only where the prices allow no other with other values: the high is the highest of the four
and the low the lowest in every row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backtest_pipeline.candles.formats.read_options import NAME_THE_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.candles.formats.read_options import Origin

    Prices = list[NDArray[np.float64]]

CLOCK = r"^ *[0-9]{1,2}:[0-9]{2}(:[0-9]{2})? *$"
ORDERS = (
    ("open", "high", "low", "close"),  # nearly everyone
    ("low", "high", "open", "close"),  # Coinbase
    ("open", "close", "high", "low"),  # Bithumb, Bitfinex, KuCoin
)
# Columns behind the prices, by how many there are: where the volume is among them is known.
KRAKEN_API = 3  # volume-weighted price, volume, trades
BINANCE = 7  # volume, close time, money, trades, two of takers, nothing
VOLUME_FIRST = {1, 2, 4, BINANCE}
HISTDATA = r"^[0-9]{8} [0-9]{6}$"


def named_by_layout(table: pa.Table, origin: Origin, assumptions: list[str]) -> pa.Table:
    """The table with the names of the one layout that fits.

    Raises:
        CandleFileUnreadable: none fits, or two that give different candles.
    """
    columns = table.columns
    times = ["date", "time"] if len(columns) > 1 and _all_match(columns[1], CLOCK) else ["timestamp"]
    behind = len(columns) - len(times) - 4
    numbers = [_floats(column) for column in columns[len(times) :]]
    prices = [each for each in numbers[:4] if each is not None]
    if len(prices) < 4 or behind < 1:
        raise origin.refused("there is no header", NAME_THE_COLUMNS)
    rest = _names_behind(behind, prices, numbers[4:])
    fitting = [order for order in ORDERS if _fits(dict(zip(order, prices, strict=True)))]
    readings = {tuple(prices[order.index(name)].tobytes() for name in ORDERS[0]) for order in fitting}
    if rest is None or len(readings) != 1:
        problem = (
            "there is no header, and no one order of columns fits" if not fitting or rest is None else None
        )
        raise origin.refused(
            problem or "there is no header, and several orders of columns fit", NAME_THE_COLUMNS
        )
    names = [*times, *fitting[0], *rest]
    assumptions.append(
        f"without a header, the columns were read as {', '.join(name for name in names if name)}"
    )
    if _all_match(columns[0], HISTDATA):
        assumptions.append(
            "this looks like HistData's, whose times are EST all year: CANDLE_TIMEZONE=Etc/GMT+5"
        )
    return table.rename_columns(names)


def _names_behind(behind: int, prices: Prices, rest: list[NDArray[np.float64] | None]) -> list[str] | None:
    if behind == KRAKEN_API:
        middle = rest[0]
        top, bottom = np.maximum.reduce(prices), np.minimum.reduce(prices)
        # Kraken writes 0 where nothing was traded.
        if middle is not None and (((middle >= bottom) & (middle <= top)) | (middle == 0)).all():
            return ["", "volume", ""]
        return None
    return ["volume", *[""] * (behind - 1)] if behind in VOLUME_FIRST else None


def _fits(prices: dict[str, NDArray[np.float64]]) -> bool:
    high, low = prices["high"], prices["low"]
    return all(bool(((each <= high) & (each >= low)).all()) for each in prices.values())


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    try:
        numbers: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    except pa.ArrowException:
        return None
    return numbers


def _all_match(column: pa.ChunkedArray, pattern: str) -> bool:
    return bool(len(column) and pc.all(pc.match_substring_regex(column.cast(pa.string()), pattern)).as_py())
