"""Zones behind times: offsets, names of places and the usual letters, read row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from backtest_pipeline.candles.formats.cells import first_true
from backtest_pipeline.model.time_zones import known_zone

if TYPE_CHECKING:
    from backtest_pipeline.candles.formats.cells import Fault

OFFSET = r"(:[0-9]{2}(\.[0-9]+)? ?[+-][0-9]{2}(:?[0-9]{2})?|Z|z| ?UTC| ?GMT)$"
# `… GMT+0100`, and in brackets what repeats the offset.
UTC_OFFSETS = (
    (r" ?(?:UTC|GMT) ?([+-][0-9]{2}):?([0-9]{2})$", r"\1:\2"),
    (r" ?(?:UTC|GMT) ?([+-][0-9]{2})$", r"\1:00"),
    (r" ?(?:UTC|GMT) ?([+-])([0-9])$", r"\10\2:00"),
)
WITH_LETTERS = r"UTC|GMT|[)\]]$"
REPEATED = r" ?[\[(][A-Za-z][A-Za-z_/ +0-9-]*[\])]$"
NAME = r" (?P<name>[A-Z][A-Za-z]+(?:/[A-Za-z_+-]+[0-9]*){1,2}|[A-Z]{2,5})$"
LETTERS = {
    "EST": "Etc/GMT+5",
    "EDT": "Etc/GMT+4",
    "CDT": "Etc/GMT+5",
    "MST": "Etc/GMT+7",
    "MDT": "Etc/GMT+6",
    "PST": "Etc/GMT+8",
    "PDT": "Etc/GMT+7",
    "CET": "Etc/GMT-1",
    "CEST": "Etc/GMT-2",
    "EET": "Etc/GMT-2",
    "EEST": "Etc/GMT-3",
    "MSK": "Etc/GMT-3",
    "HKT": "Etc/GMT-8",
    "SGT": "Etc/GMT-8",
    "KST": "Etc/GMT-9",
    "JST": "Etc/GMT-9",
    "AEST": "Etc/GMT-10",
    "AEDT": "Etc/GMT-11",
    "ET": "America/New_York",
}
NO_ZONES = {"AM", "PM"}


def with_plain_offsets(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts with offsets as `+09:00` or `Z` and without brackets behind them."""
    bracketed = pc.match_substring_regex(column, rf"[0-9Zz]{REPEATED}")
    column = pc.if_else(bracketed, pc.replace_substring_regex(column, REPEATED, ""), column)
    for written, plain in UTC_OFFSETS:
        column = pc.replace_substring_regex(column, written, plain)
    return column


def zone_names(
    column: pa.ChunkedArray, fault: Fault
) -> tuple[pa.ChunkedArray, list[tuple[ZoneInfo, pa.Array]]]:
    """The texts without a zone's name behind them, and for each zone which rows had it; empty without names.

    Raises:
        CandlesInvalid: made by `fault`: a name is no zone or could be several, or some rows have none.
    """
    named = pc.match_substring_regex(column, NAME)
    names = pc.struct_field(pc.extract_regex(column, NAME), "name")
    found = [each for each in pc.unique(names).to_pylist() if each is not None]
    if set(found) <= NO_ZONES | {"UTC", "GMT"}:
        return column, []
    zones = []
    for name in found:
        rows = pc.fill_null(pc.equal(names, name), fill_value=False)
        zones.append((_zone(name, first_true(rows), fault), rows))
    if not pc.all(named).as_py():
        row = first_true(pc.invert(named))
        raise fault(f"timestamp {column[row]} has no zone, others have one", row)
    return pc.replace_substring_regex(column, NAME, ""), zones


def _zone(name: str, row: int, fault: Fault) -> ZoneInfo:
    try:
        return known_zone(
            LETTERS.get(name) or ("UTC" if name in {"UTC", "GMT"} else name if "/" in name else "none")
        )
    except ValueError:
        problem = f"timestamp has a zone that could be several or none: {name!r}"
        raise fault(f"{problem}; write +09:00 or Asia/Seoul", row) from None
