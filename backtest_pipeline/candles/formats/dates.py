"""Dates and times as people's files write them, turned into UTC."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from backtest_pipeline.candles.formats.cells import Fault, cleaned, first_true, is_text, parsed_numbers
from backtest_pipeline.candles.formats.zones import NAME, OFFSET, WITH_LETTERS, with_plain_offsets, zone_names
from backtest_pipeline.model.candle_rules import FIRST_MOMENT, LAST_MOMENT
from backtest_pipeline.model.epochs import epoch_us
from backtest_pipeline.model.local_times import to_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Stamps = NDArray[np.datetime64]

# Points are written between day, month and year, never month first.
TWO_DIGIT_YEARS = (
    *("%y/%m/%d", "%d/%m/%y", "%m/%d/%y"),
    *("%y-%m-%d", "%d-%m-%y", "%m-%d-%y"),
    *("%y.%m.%d", "%d.%m.%y"),
)
DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%d.%m.%Y"),
    *TWO_DIGIT_YEARS,
    *("%d-%b-%Y", "%d-%b-%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
ISO = "ISO8601"
FORMATS = (ISO, *("".join(parts) for parts in product(DATES, TIMES)))
# pandas takes a lone year as well, and `now` in any format.
ISO_PATTERN = (
    r"^([0-9]{4}-[0-9]{1,2}-[0-9]{1,2}|[0-9]{8})"
    r"([T ]([0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?|[0-9]{4}|[0-9]{6}))?"
    r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?$"
)
DIGIT_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
SIX_DIGITS = ("%y%m%d", "%d%m%y", "%m%d%y")
NUMBER = r"^[+-]?[0-9]+(\.[0-9]*)?$"
SCIENTIFIC = r"^[0-9](\.[0-9]+)?[eE]\+?[0-9]+$"
# `2024년 1월 2일`, `2024- 01- 02`, `Tue Jan 02 2024`: what is written, and what is meant.
SPELLINGS = (
    (r"^([0-9]{4})(?:년|年) ?([0-9]{1,2})(?:월|月) ?([0-9]{1,2})(?:일|日)", r"\1-\2-\3"),
    (r"^([0-9]{4})([-./]) ([0-9]{1,2})[-./] ([0-9]{1,2})\.?", r"\1-\3-\4"),
    (r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6},? ", ""),
)
# `오전 9:30` and `9:30 a.m.` are `9:30 AM`, each row by itself.
HALF_OF_DAY = r"오전|오후|午前|午後|上午|下午|[0-9] ?[AaPp]\.?[Mm]\.?$"
HALVES = (
    (r"(?:오전|午前|上午) ?([0-9:]+)$", r"\1 AM"),
    (r"(?:오후|午後|下午) ?([0-9:]+)$", r"\1 PM"),
    (r"([0-9:]+) ?[Aa]\.?[Mm]\.?$", r"\1 AM"),
    (r"([0-9:]+) ?[Pp]\.?[Mm]\.?$", r"\1 PM"),
)
LAST_HOUR = re.compile(r"[ T]24(:00){1,2}$")


def parsed_times(
    column: pa.ChunkedArray,
    zone: ZoneInfo,
    fault: Fault,
    *,
    date_format: str | None = None,
    assume: Callable[[str], None] = lambda _: None,
) -> Stamps:
    """Reads a column of times as `datetime64[us]` in UTC.

    Times, dates, ISO 8601 and other usual texts, and numbers: seconds, milli-, micro- or nanoseconds since
    1970 (distinguished by their size, always UTC), or `20240501` and `202405010930`. A time without a zone is
    local to `zone`.

    Args:
        column: as read from the file, at least one row.
        zone: see above.
        fault: makes the error, given what is wrong and the row.
        date_format: of texts, in the codes of `strptime`; `None`: the one that fits all of them.
        assume: takes what was assumed.

    Raises:
        CandlesInvalid: made by `fault`.
    """
    column = cleaned(column, "timestamp", fault)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        stamps = _typed(column, zone, fault)
    elif date_format:
        stamps = _from_text(column.cast(pa.string()), zone, fault, [date_format])
    elif is_text(column.type) and not _matches(column, NUMBER):
        stamps = _from_text(column, zone, fault, FORMATS, assume)
    else:
        stamps = _from_numbers(column, zone, fault, assume)
    outside = ~((stamps >= FIRST_MOMENT) & (stamps <= LAST_MOMENT))
    if outside.any():
        row = int(np.argmax(outside))
        raise fault(f"timestamp must lie in the years 1 to 9999: {column[row]}", row)
    return stamps


def _typed(column: pa.ChunkedArray, zone: ZoneInfo, fault: Fault) -> Stamps:
    zoned = pa.types.is_timestamp(column.type) and column.type.tz
    exact = not (pa.types.is_timestamp(column.type) and column.type.unit == "ns")
    try:
        utc = column.cast(pa.timestamp("us", tz=column.type.tz if zoned else None), safe=exact)
    except pa.ArrowException:
        raise fault("timestamp must lie in the years 1 to 9999", None) from None
    stamps: Stamps = utc.to_numpy().astype("datetime64[us]", copy=False)
    inside = (stamps >= FIRST_MOMENT) & (stamps <= LAST_MOMENT)
    return stamps if zoned or not inside.all() else to_utc(stamps, zone)


def _from_numbers(
    column: pa.ChunkedArray, zone: ZoneInfo, fault: Fault, assume: Callable[[str], None]
) -> Stamps:
    numbers = parsed_numbers(column, "timestamp", fault)
    if not np.isfinite(numbers).all():
        raise fault("timestamp is missing", int(np.argmax(~np.isfinite(numbers))))
    whole = _whole_numbers(column)
    if whole is not None:
        digits = column if is_text(column.type) else whole.cast(pa.string())
        first = digits[0].as_py()
        if "1700" <= first[:4] <= "2200" and len(first) in DIGIT_FORMATS:
            return to_utc(_in_format(digits, DIGIT_FORMATS[len(first)], fault, len(first)), zone)
        if len(first) == 6 and pc.all(pc.match_substring_regex(digits, "^[0-9]{6}$")).as_py():
            return to_utc(_agreed(digits, SIX_DIGITS, fault, assume), zone)
    exact = None if whole is None else whole.to_numpy().astype(np.int64)
    return epoch_us(numbers, exact, fault, assume).view("datetime64[us]")


def _whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    try:
        return column.cast(pa.int64())
    except pa.ArrowException:
        return None


def _from_text(
    column: pa.ChunkedArray,
    zone: ZoneInfo,
    fault: Fault,
    formats: Sequence[str],
    assume: Callable[[str], None] = lambda _: None,
) -> Stamps:
    if _matches(column, SCIENTIFIC):
        problem = f"timestamp {column[0]} has lost its last digits, as in a spreadsheet"
        raise fault(f"{problem}; export the file again without opening it there", 0)
    written = column
    for spelling, meant in SPELLINGS:
        if _matches(column, spelling):
            column = pc.replace_substring_regex(column, spelling, meant)
    if _matches(column, HALF_OF_DAY):
        for spelling, meant in HALVES:
            column = pc.replace_substring_regex(column, spelling, meant)
    if _matches(column, WITH_LETTERS):
        column = with_plain_offsets(column)
    zones: list[tuple[ZoneInfo, pa.Array]] = []
    if _matches(column, NAME):
        column, zones = zone_names(column, fault)
    if not zones:
        return _from_zoned_text(column, written, zone, fault, formats, assume)
    local = _agreed(column, _fitting(column, written, formats, fault), fault, assume, written)
    stamps = local.copy()
    for named, rows in zones:
        chosen = rows.to_numpy(zero_copy_only=False) if isinstance(rows, pa.Array) else rows.to_numpy()
        stamps[chosen] = to_utc(local[chosen], named)
    return stamps


def _from_zoned_text(
    column: pa.ChunkedArray,
    written: pa.ChunkedArray,
    zone: ZoneInfo,
    fault: Fault,
    formats: Sequence[str],
    assume: Callable[[str], None],
) -> Stamps:
    zoned = pc.match_substring_regex(column, OFFSET)
    zones = pc.sum(zoned).as_py()
    if 0 < zones < len(column):
        row = first_true(pc.not_equal(zoned, zoned[0]))
        problem = f"timestamp {column[row]} has {'a' if zoned[row].as_py() else 'no'} zone, those before"
        raise fault(f"{problem} {'have none' if zoned[row].as_py() else 'have one'}", row)
    if zones:
        column = pc.replace_substring_regex(column, r"( ?UTC| ?GMT|z)$", "Z")
        column = pc.replace_substring_regex(column, r" ([+-][0-9:]+)$", r"\1")
        formats = [name if name == ISO or name.endswith("%z") else name + "%z" for name in formats]
    stamps = _agreed(column, _fitting(column, written, formats, fault), fault, assume, written)
    return stamps if zones else to_utc(stamps, zone)


def _fitting(
    column: pa.ChunkedArray, written: pa.ChunkedArray, formats: Sequence[str], fault: Fault
) -> list[str]:
    """The formats in which the first text can be read."""
    first = column[:1]
    fitting = [name for name in formats if not np.isnat(_parsed(first, name)[0])]
    if not fitting:
        problem = f"timestamp is no date or time: {written[0].as_py()!r}"
        raise fault(_with_cure(problem, written[0].as_py(), "write 2024-05-01T09:30"), 0)
    return fitting


def _with_cure(problem: str, text: str, cure: str = "") -> str:
    if LAST_HOUR.search(text):  # the end of a bar, whose open lies a bar before
        cure = "hour 24 is a day's end, so these are closing times; a column of open times is needed"
    return f"{problem}; {cure}" if cure else problem


def _agreed(
    column: pa.ChunkedArray,
    formats: Sequence[str],
    fault: Fault,
    assume: Callable[[str], None],
    written: pa.ChunkedArray | None = None,
) -> Stamps:
    """The times, where only one reading of all rows is possible."""
    shown = column if written is None else written
    readings = {}
    for name in formats:
        readings[name] = _parsed(column, name)
        if name == ISO and not np.isnat(readings[name]).any():
            return readings[name]
    whole = {name: stamps for name, stamps in readings.items() if not np.isnat(stamps).any()}
    if not whole:
        farthest = max(readings.values(), key=lambda stamps: int(np.argmax(np.isnat(stamps))))
        row = int(np.argmax(np.isnat(farthest)))
        text = shown[row].as_py()
        raise fault(_with_cure(f"timestamp {text!r} is no date or time like those before it", text), row)
    first, *others = whole
    for other in others:
        if (whole[other] != whole[first]).any():
            row = int(np.argmax(whole[other] != whole[first]))
            if "%y" in first + other:
                days = [str(whole[name][row])[:10] for name in (first, other)]
                problem = f"may be {days[0]} or {days[1]}"
            else:
                problem = "may be month first or day first"
            cure = f"write 2024-05-01, or name the order, e.g. --date-format '{first}'"
            raise fault(f"timestamp {shown[row].as_py()!r} {problem}; {cure}", row)
    if "%y" in first:
        assume(f"years of two digits were read in the order {first}")
    return whole[first]


def _in_format(column: pa.ChunkedArray, name: str, fault: Fault, digits: int) -> Stamps:
    stamps = _parsed(column, name)
    wrong = np.isnat(stamps) | (pc.utf8_length(column).to_numpy() != digits)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise fault(f"timestamp {column[row].as_py()!r} is no date or time", row)
    return stamps


def _parsed(column: pa.ChunkedArray, name: str) -> Stamps:
    zoned = "%z" in name or name == ISO
    pattern = ISO_PATTERN if name == ISO else "[0-9]"
    column = pc.if_else(pc.match_substring_regex(column, pattern), column, None)
    texts = column.to_numpy(zero_copy_only=False)
    stamps = pd.to_datetime(pd.Index(texts, dtype=object), format=name, errors="coerce", utc=zoned)
    naive = stamps.tz_localize(None) if stamps.tz is not None else stamps
    parsed: Stamps = naive.to_numpy().astype("datetime64[us]", copy=False)
    return parsed


def _matches(column: pa.ChunkedArray, pattern: str) -> bool:
    """Whether the first text has this form; those behind it are held to the first's."""
    return bool(pc.match_substring_regex(column[:1].cast(pa.string()), pattern)[0].as_py())
