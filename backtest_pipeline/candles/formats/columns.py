"""Which column of a table is which: open times before others, one volume of several, one series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backtest_pipeline.candles.formats.column_names import (
    ALIASES,
    CLOCKS,
    CLOSE_TIMES,
    DAYS,
    OPEN_TIMES,
    SERIES_NAMES,
    TICK_VOLUMES,
    TIMES,
    plain_name,
    short_name,
    zoned_name,
)
from backtest_pipeline.candles.year_file import pandas_index

if TYPE_CHECKING:
    from backtest_pipeline.candles.formats.cells import Fault

QUOTES = (
    "USDT",
    "USDC",
    "BUSD",
    "TUSD",
    "FDUSD",
    "USD",
    "EUR",
    "GBP",
    "JPY",
    "KRW",
    "CNY",
    "TRY",
    "quote",
    "money",
)


@dataclass(frozen=True, slots=True)
class Found:
    """A table's columns under the names of the store.

    Attributes:
        columns: those that were found, of `timestamp`, `open` … `volume` and `adj close`.
        zone: of times without one, where the column's name says it.
        hint: what to know where one is missing.
    """

    columns: dict[str, pa.ChunkedArray]
    zone: str | None = None
    hint: str = ""


def find_columns(table: pa.Table, fault: Fault, assume: Callable[[str], None]) -> Found:
    """Finds the columns by their names.

    Raises:
        CandlesInvalid: made by `fault`: one of them is there twice, or one of several volumes must be chosen.
    """
    names = table.column_names
    found: dict[str, int] = {}
    for wanted, aliases in ALIASES.items():
        if wanted != "timestamp" and (at := _by_alias(names, aliases, plain_name, fault)) is not None:
            found[wanted] = at
    for wanted, aliases in ALIASES.items():
        if wanted not in {"timestamp", *found}:
            at = _by_alias(names, aliases, short_name, fault if wanted != "volume" else None)
            if at is not None and at not in found.values():
                found[wanted] = at
    if "close" in found and plain_name(names[found["close"]]) == "price":
        if {"open", "high", "low"} <= found.keys():
            assume(f"{names[found['close']]!r} was read as the close")
        else:
            del found["close"]
    if "volume" not in found or _volumes_in_brackets(names) > 1:
        _find_volume_of_a_unit(names, found, fault, assume)
    columns = {wanted: table.column(at) for wanted, at in found.items()}
    _choose_tick_volume(table, columns, assume)
    times, zone = _times(table, fault, assume)
    if times is not None:
        columns["timestamp"] = times
    closing = [name for name in names if zoned_name(name)[0] in CLOSE_TIMES]
    hint = f"; {closing[0]!r} says when bars close, a column of open times is needed" if closing else ""
    return Found(columns, zone, hint if times is None else "")


def series_columns(table: pa.Table) -> list[tuple[str, pa.ChunkedArray]]:
    """Columns that have one value in a file of one series: symbol, market, interval …, as text."""
    found = []
    for at, name in enumerate(table.column_names):
        if {plain_name(name), short_name(name)} & SERIES_NAMES:
            try:
                column = table.column(at).cast(pa.string())
            except pa.ArrowException:
                continue
            found.append((name, pc.utf8_trim_whitespace(column)))
    return found


def _by_alias(
    names: list[str], aliases: tuple[str, ...], plain: Callable[[str], str], fault: Fault | None
) -> int | None:
    for alias in aliases:
        at = [position for position, name in enumerate(names) if plain(name) == alias]
        if len(at) > 1 and fault:
            raise fault(f"{names[at[0]]!r} and {names[at[1]]!r} are the same column twice", None)
        if len(at) == 1:
            return at[0]
    return None


def _volumes_in_brackets(names: list[str]) -> int:
    return sum(short_name(name) == "volume" for name in names)


def _find_volume_of_a_unit(
    names: list[str], found: dict[str, int], fault: Fault, assume: Callable[[str], None]
) -> None:
    """`Volume BTC` beside `Volume USDT`: the one that is not money."""
    if "volume" in found and plain_name(names[found["volume"]]) == "volume":
        return
    volumes = [at for at, name in enumerate(names) if plain_name(name).startswith("volume")]
    volumes = [at for at in volumes if len(plain_name(names[at])) > len("volume")]
    ours = [
        at for at in volumes if not plain_name(names[at]).endswith(tuple(each.casefold() for each in QUOTES))
    ]
    if len(volumes) == 1:
        found["volume"] = volumes[0]
    elif len(ours) == 1:
        found["volume"] = ours[0]
    elif volumes:
        shown = ", ".join(repr(names[at]) for at in volumes)
        raise fault(
            f"there are several volumes, {shown}; name the columns by --columns, _ for those to skip", None
        )
    if volumes:
        assume(f"{names[found['volume']]!r} was read as the volume")


def _choose_tick_volume(
    table: pa.Table, columns: dict[str, pa.ChunkedArray], assume: Callable[[str], None]
) -> None:
    """MetaTrader writes a volume of zero where its broker knows the number of price changes only."""
    ticks = [at for at, name in enumerate(table.column_names) if plain_name(name) in TICK_VOLUMES]
    if not ticks or "volume" not in columns:
        return
    name = table.column_names[ticks[0]]
    if columns["volume"] is table.column(ticks[0]) or columns["volume"].equals(table.column(ticks[0])):
        assume(f"{name!r}, the number of price changes, was read as the volume")
        return
    try:
        traded = columns["volume"].cast(pa.float64()).to_numpy()
    except pa.ArrowException:
        return
    if len(traded) and not np.nan_to_num(traded).any():
        columns["volume"] = table.column(ticks[0])
        assume(f"the volume is 0 everywhere, so {name!r}, the number of price changes, was read instead")


def _times(
    table: pa.Table, fault: Fault, assume: Callable[[str], None]
) -> tuple[pa.ChunkedArray | None, str | None]:
    names = table.column_names
    zoned = [zoned_name(name) for name in names]
    plain = [name for name, _ in zoned]
    for alias in TIMES:
        at = [position for position, name in enumerate(plain) if name == alias]
        if not at:
            continue
        # Of the same moment in several zones, the one in UTC.
        best = min(at, key=lambda position: (zoned[position][1] != "UTC", zoned[position][1] is None))
        rivals = [position for position in at if zoned[position][1] == zoned[best][1]]
        if len(rivals) > 1:
            raise fault(f"{names[rivals[0]]!r} and {names[rivals[1]]!r} are the same column twice", None)
        zone = zoned[best][1]
        if two := day_and_clock(plain, alias):
            day, clock = two
            return _joined(table.column(day), table.column(clock)), zoned[day][1] or zoned[clock][1]
        if alias in OPEN_TIMES and {"timestamp", "date", "time"} & set(plain):
            assume(f"{names[best]!r} was read as the open time")
        if zone:
            assume(f"times of {names[best]!r} without a zone were read in {zone}")
        return table.column(best), zone
    index = pandas_index(table.schema)
    if index is not None:
        return table.column(table.schema.get_field_index(index)), None
    unnamed = [
        at for at, name in enumerate(names) if plain[at] in {"", "index", "unnamed0"} and "%" not in name
    ]
    if unnamed and _may_be_times(table.column(unnamed[0])):
        assume("the first column without a name was read as the open time")
        return table.column(unnamed[0]), None
    return None, None


def day_and_clock(plain: list[str], alias: str) -> tuple[int, int] | None:
    """Positions of a day and a time of day in two columns, where a column of this name is one of them.

    Args:
        plain: the columns' names as `plain_name` writes them.
        alias: the name of the one that was found.
    """
    if alias not in {*DAYS, *CLOCKS}:
        return None
    days, clocks = ([name for name in names if name in plain] for names in (DAYS, CLOCKS))
    return (plain.index(days[0]), plain.index(clocks[0])) if days and clocks else None


def _may_be_times(column: pa.ChunkedArray) -> bool:
    """Whether these are no row numbers."""
    if not len(column) or pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return True
    try:
        return bool(abs(float(column[0].as_py() or 0)) > 10_000_000)
    except (ValueError, TypeError):
        return True


def _joined(day: pa.ChunkedArray, clock: pa.ChunkedArray) -> pa.ChunkedArray:
    """A date and a time of day in one text; `930` is half past nine."""
    parts = [pc.utf8_trim_whitespace(part.cast(pa.string())) for part in (day, clock)]
    if len(clock) and pc.all(pc.match_substring_regex(parts[1], "^[0-9]{1,6}$")).as_py():
        longest = pc.max(pc.utf8_length(parts[1])).as_py()
        digits = pc.utf8_lpad(parts[1], 4 if longest <= 4 else 6, "0")
        parts[1] = pc.replace_substring_regex(digits, "^([0-9]{2})([0-9]{2})([0-9]{2})?$", r"\1:\2:\3")
        parts[1] = pc.replace_substring_regex(parts[1], ":$", "")
    return pc.binary_join_element_wise(*parts, " ")
