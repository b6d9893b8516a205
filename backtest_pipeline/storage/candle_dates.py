"""Dates and times as people's files write them, turned into UTC."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from backtest_pipeline.model.candle_rules import FIRST_MOMENT, LAST_MOMENT
from backtest_pipeline.storage.candle_cells import Fault, cleaned, first_true, is_text, parsed_numbers
from backtest_pipeline.storage.candle_times import to_utc

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Stamps = NDArray[np.datetime64]

DATES = (
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y%m%d",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m-%d-%Y",
    "%d-%m-%Y",
    "%d.%m.%Y",
    "%m/%d/%y",
    "%d/%m/%y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%d %b %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")
FORMATS = ("ISO8601", *("".join(parts) for parts in product(DATES, TIMES)))
DIGIT_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
NUMBER = r"^[+-]?[0-9]+(\.[0-9]*)?$"
ZONE = r"(:[0-9]{2}(\.[0-9]+)? ?[+-][0-9]{2}(:?[0-9]{2})?|Z|z| ?UTC| ?GMT)$"
SMALLEST_EPOCH_S = 1e8
EPOCH_UNITS = ((1e11, 1_000_000.0), (1e14, 1_000.0), (1e17, 1.0))


def parsed_times(column: pa.ChunkedArray, zone: ZoneInfo, fault: Fault) -> Stamps:
    """Reads a column of times as `datetime64[us]` in UTC.

    Times, dates, ISO 8601 and other usual texts, and numbers: seconds, milli-, micro- or nanoseconds since
    1970 (told apart by their size, always UTC), or `20240501` and `202405010930`. A time without a zone is
    local to `zone`.

    Args:
        column: as read from the file, at least one row.
        zone: see above.
        fault: makes the error, given what is wrong and the row.

    Raises:
        CandlesInvalid: made by `fault`.
    """
    column = cleaned(column, "timestamp", fault)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        stamps = _typed(column, zone)
    elif is_text(column.type) and not _is_number(column[0].as_py()):
        stamps = _from_text(column, zone, fault)
    else:
        stamps = _from_numbers(column, zone, fault)
    outside = (stamps < FIRST_MOMENT) | (stamps > LAST_MOMENT)
    if outside.any():
        row = int(np.argmax(outside))
        raise fault(f"timestamp must lie in the years 1 to 9999: {column[row]}", row)
    return stamps


def _typed(column: pa.ChunkedArray, zone: ZoneInfo) -> Stamps:
    zoned = pa.types.is_timestamp(column.type) and column.type.tz
    target = pa.timestamp("us", tz=column.type.tz if zoned else None)
    stamps: Stamps = column.cast(target, safe=False).to_numpy().astype("datetime64[us]", copy=False)
    return stamps if zoned else to_utc(stamps, zone)


def _from_numbers(column: pa.ChunkedArray, zone: ZoneInfo, fault: Fault) -> Stamps:
    numbers = parsed_numbers(column, "timestamp", fault)
    if not np.isfinite(numbers).all():
        raise fault("timestamp is missing", int(np.argmax(~np.isfinite(numbers))))
    whole = _whole_numbers(column)
    if whole is not None and (date_format := _digit_format(int(whole[0].as_py()))):
        return to_utc(_in_format(whole.cast(pa.string()), date_format, fault), zone)

    largest = float(np.abs(numbers).max())
    if largest < SMALLEST_EPOCH_S:
        problem = "timestamp is neither a date nor seconds, milli-, micro- or nanoseconds since 1970"
        raise fault(f"{problem}: {column[0]}", 0)
    factor = next((factor for limit, factor in EPOCH_UNITS if largest < limit), None)
    if whole is None:
        moments_us = np.round(numbers * (factor or 1e-3)).astype(np.int64)
    else:
        exact = whole.to_numpy().astype(np.int64)
        moments_us = exact * int(factor) if factor else exact // 1_000
    return moments_us.view("datetime64[us]")


def _digit_format(number: int) -> str | None:
    digits = str(number)
    plausible = "1700" <= digits[:4] <= "2200"
    return DIGIT_FORMATS.get(len(digits)) if plausible else None


def _whole_numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return None


def _from_text(column: pa.ChunkedArray, zone: ZoneInfo, fault: Fault) -> Stamps:
    zoned = pc.match_substring_regex(column, ZONE)
    zones = pc.sum(zoned).as_py()
    if 0 < zones < len(column):
        row = first_true(pc.not_equal(zoned, zoned[0]))
        problem = f"timestamp {column[row]} has {'a' if zoned[row].as_py() else 'no'} zone, those before"
        raise fault(f"{problem} {'have none' if zoned[row].as_py() else 'have one'}", row)
    if zones:
        column = pc.replace_substring_regex(column, r"( ?UTC| ?GMT|z)$", "Z")
        column = pc.replace_substring_regex(column, r" ([+-][0-9:]+)$", r"\1")
    suffix = "%z" if zones else ""
    first = column[:1]
    formats = [name if name == "ISO8601" else name + suffix for name in FORMATS]
    fitting = [name for name in formats if not np.isnat(_parsed(first, name)[0])]
    if not fitting:
        raise fault(f"timestamp is no date or time: {column[0].as_py()!r}; write 2024-05-01T09:30", 0)
    stamps = _agreed(column, fitting, fault)
    return stamps if zones else to_utc(stamps, zone)


def _agreed(column: pa.ChunkedArray, formats: list[str], fault: Fault) -> Stamps:
    """The times, where only one reading of all rows is possible."""
    readings = {}
    for name in formats:
        readings[name] = _parsed(column, name)
        if name == "ISO8601" and not np.isnat(readings[name]).any():
            return readings[name]
    whole = [stamps for stamps in readings.values() if not np.isnat(stamps).any()]
    if not whole:
        farthest = max(readings.values(), key=lambda stamps: int(np.argmax(np.isnat(stamps))))
        row = int(np.argmax(np.isnat(farthest)))
        raise fault(f"timestamp {column[row].as_py()!r} is no date or time like those before it", row)
    for other in whole[1:]:
        if (other != whole[0]).any():
            row = int(np.argmax(other != whole[0]))
            problem = f"timestamp {column[row].as_py()!r} may be month first or day first"
            raise fault(f"{problem}; write 2024-05-01", row)
    return whole[0]


def _in_format(column: pa.ChunkedArray, name: str, fault: Fault) -> Stamps:
    stamps = _parsed(column, name)
    if np.isnat(stamps).any():
        row = int(np.argmax(np.isnat(stamps)))
        raise fault(f"timestamp {column[row].as_py()!r} is no date or time", row)
    return stamps


def _parsed(column: pa.ChunkedArray, name: str) -> Stamps:
    zoned = name.endswith("%z") or name == "ISO8601"
    texts = column.to_numpy(zero_copy_only=False)
    stamps = pd.to_datetime(pd.Index(texts, dtype=object), format=name, errors="coerce", utc=zoned)
    naive = stamps.tz_localize(None) if stamps.tz is not None else stamps
    parsed: Stamps = naive.to_numpy().astype("datetime64[us]", copy=False)
    return parsed


def _is_number(text: str) -> bool:
    return bool(pc.match_substring_regex(pa.scalar(text), NUMBER).as_py())
