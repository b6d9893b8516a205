"""How to read a file: what its user says about it, what was read, and how a refusal is worded."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from backtest_pipeline.model.errors import CandleFileUnreadable, RequestInvalid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CODES = frozenset("YymbBdaAHIpMSfz")
ADVICE = "give a CSV or Parquet file"
NAME_THE_COLUMNS = "name its columns, e.g. --columns timestamp,open,high,low,close,volume (_ skips one)"


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the user knows about a file that it does not say itself.

    Attributes:
        encoding: of a file of text; `None`: recognised, or the file is refused.
        columns: names of the columns in their order, `_` for one to be skipped; empty: as the file says.
        only: the one symbol to import of a file with several.
        decimal: `.` or `,`, where a number such as `1,234` could be read in two ways.
        date_format: of dates, in the codes of `strptime`, where they could be read in several ways.
        no_volume: store 0 where the file has no volume.
    """

    encoding: str | None = None
    columns: tuple[str, ...] = ()
    only: str | None = None
    decimal: str | None = None
    date_format: str | None = None
    no_volume: bool = False

    def __post_init__(self) -> None:
        """Refuses what no file could be read by.

        Raises:
            RequestInvalid: with everything that is wrong.
        """
        problems = []
        if self.encoding is not None and not _is_encoding(self.encoding):
            problems.append(("encoding", f"{self.encoding!r} is no encoding; write one like utf-8 or cp949"))
        if self.decimal not in {None, ".", ","}:
            problems.append(("decimal", f"{self.decimal!r} is neither '.' nor ','"))
        if self.date_format is not None and not _is_date_format(self.date_format):
            problem = "is no format with year, month and day; write one like %d/%m/%y"
            problems.append(("date_format", f"{self.date_format!r} {problem}"))
        if problems:
            raise RequestInvalid(problems, heading="this file cannot be read so")


@dataclass(frozen=True, slots=True)
class Origin:
    """The file that is read, for messages."""

    symbol: str
    path: str | Path

    def refused(self, reason: str, advice: str = ADVICE) -> CandleFileUnreadable:
        """The error for this file."""
        return CandleFileUnreadable(self.symbol, self.path, reason, advice=advice)


@dataclass(frozen=True, slots=True)
class RawTable:
    """A file's table before anyone asks what its columns mean.

    Attributes:
        table: as read; the columns of a text are text, and names may repeat or be empty.
        assumptions: what was taken for granted in reading, each one sentence without a full stop.
        line_of: gives the file's line of a row, or `None` where the file has no lines.
        headerless: the columns have no names of their own.
        chosen: of several symbols, the one that the user wants was taken already.
    """

    table: pa.Table
    assumptions: list[str] = field(default_factory=list)
    line_of: Callable[[int], int] | None = None
    headerless: bool = False
    chosen: bool = False


def renamed(table: pa.Table, columns: tuple[str, ...], origin: Origin) -> pa.Table:
    """The table under the names that the user gave.

    Raises:
        CandleFileUnreadable: they are more or fewer than the columns.
    """
    if len(columns) != table.num_columns:
        raise origin.refused(
            f"--columns names {len(columns)} columns, the file has {table.num_columns}", NAME_THE_COLUMNS
        )
    return table.rename_columns(["" if name in {"_", "-"} else name for name in columns])


def _is_date_format(text: str) -> bool:
    codes = re.findall(r"%(.?)", text)
    days = sorted(
        {"Y": "y", "b": "m", "B": "m"}.get(code, code) for code in codes if code in "YymbBd" and code
    )
    return days == ["d", "m", "y"] and set(codes) <= CODES and len(codes) == len(set(codes))


def _is_encoding(name: str) -> bool:
    try:
        codecs.lookup(name)
        b"".decode(name)
    except (LookupError, UnicodeError, ValueError):
        return False
    return True
