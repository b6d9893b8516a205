"""Delimited text turned into a table: what stands above, between and below the rows is recognised."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from backtest_pipeline.candles.formats.headers import Head, head_of, is_number, split_cells
from backtest_pipeline.candles.formats.read_options import ADVICE, NAME_THE_COLUMNS, RawTable, renamed

if TYPE_CHECKING:
    from backtest_pipeline.candles.formats.read_options import Origin, ReadOptions

MOST_FOOTER_LINES = 12
BLANK_LINES = re.compile(rb"^[ \t,;|\"]*\n", re.MULTILINE)
BLANK_STARTS = (b"\n", b" ", b"\t", b",", b";", b"|", b'"')
BLANK = b' \t,;|"'
SUMMARY_WORDS = {"total", "totals", "sum", "average", "avg", "mean", "합계", "평균", "合計", "平均", "合计"}
LABEL = re.compile(r"\b[^\W\d]{3,20}( [^\W\d]{1,20}){0,3} ?:")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# Arrow wants a row inside one block.
LONGEST_LINE_BYTES = 100_000


def text_table(data: bytes, options: ReadOptions, origin: Origin, assumptions: list[str]) -> RawTable:
    """The rows of a text, all cells as text: numbers and dates are read later, where a fault names its row.

    Args:
        data: UTF-8, lines ended by a line feed.
        options: columns and the one symbol, where the user names them.
        origin: the file.
        assumptions: gets what was left out.

    Raises:
        CandleFileUnreadable: there is no table in it, or a row has more or fewer cells than the others.
    """
    if not data.strip():
        raise origin.refused("Empty CSV file")
    if not data.endswith(b"\n"):
        data += b"\n"
    _refuse_odd_lines(data, origin)
    head = head_of(data, options, origin, assumptions)
    body = data[head.body_at :]
    stop = _footer_at(body, head, assumptions)
    packed = body[:stop]
    if any(packed.startswith(each) or b"\n" + each in packed for each in BLANK_STARTS):
        packed = BLANK_LINES.sub(b"", packed)
    repeated = _header_again(packed, head)
    if repeated:
        packed = repeated.sub(b"", packed)
        assumptions.append("lines that repeat the header were left out")
    line_of = _LineFinder(body[:stop], head, repeated)
    table = _parsed(packed, head, origin, line_of)
    if options.columns:
        table = renamed(table, options.columns, origin)
    return RawTable(
        table, assumptions, line_of, headerless=head.headerless and not options.columns, chosen=head.chosen
    )


def _refuse_odd_lines(data: bytes, origin: Origin) -> None:
    """Quotes end in the line where they begin, so that a line is a row, and no line is endless."""
    letters = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    lengths = np.diff(ends, prepend=-1)
    if (lengths > LONGEST_LINE_BYTES).any():
        line = int(np.argmax(lengths > LONGEST_LINE_BYTES)) + 1
        raise origin.refused(f"line {line} has {lengths[line - 1]} bytes, no candle has so many")
    if b'"' in data:
        quotes = np.bincount(np.searchsorted(ends, np.flatnonzero(letters == ord('"'))))
        if (quotes % 2).any():
            line = int(np.argmax(quotes % 2)) + 1
            raise origin.refused(f"line {line} opens a quote and does not close it")


def _footer_at(body: bytes, head: Head, assumptions: list[str]) -> int:
    """Where the rows end and totals, notes and the like begin."""
    stop = len(body)
    left_out: list[str] = []
    for _ in range(MOST_FOOTER_LINES):
        begin = body.rfind(b"\n", 0, stop - 1) + 1 if stop else 0
        line = body[begin:stop].strip(BLANK + b"\n")
        if stop and line and not _is_footer(line.decode(), head):
            break
        if stop and line:
            left_out.append(line.decode()[:40])
        stop = begin
        if not stop:
            break
    if left_out:
        assumptions.append(f"below the rows, {_lines(len(left_out))} left out: {left_out[-1]!r}")
    return stop


def _is_footer(line: str, head: Head) -> bool:
    cells = [cell for cell in split_cells(line, head.delimiter) if cell]
    if not cells:
        return True
    first = cells[0].strip().casefold()
    if sum(is_number(cell) for cell in cells) >= 4:
        return first in SUMMARY_WORDS
    if first[:3] in MONTHS or not first or first[0].isdigit():
        return False
    has_digit = any(letter.isdigit() for letter in first)
    return not has_digit or len(cells) == 1 or LABEL.match(first) is not None


def _header_again(packed: bytes, head: Head) -> re.Pattern[bytes] | None:
    """Finds the header's own line among the rows, as where two exports were joined."""
    if not head.header_line or (b"\n" + head.header_line + b"\n") not in b"\n" + packed:
        return None
    return re.compile(rb"^" + re.escape(head.header_line) + rb"\n", re.MULTILINE)


class _LineFinder:
    """Gives the file's line of a row."""

    def __init__(self, body: bytes, head: Head, repeated: re.Pattern[bytes] | None) -> None:
        self._body = body
        self._first_line = head.first_line
        self._header = head.header_line if repeated else None

    def __call__(self, row: int) -> int:
        at, line, seen = 0, self._first_line, -1
        while at < len(self._body):
            end = self._body.find(b"\n", at)
            text = self._body[at:end]
            if text.strip(BLANK) and text != self._header:
                seen += 1
                if seen == row:
                    return line
            at, line = end + 1, line + 1
        return line


def _parsed(packed: bytes, head: Head, origin: Origin, line_of: _LineFinder) -> pa.Table:
    width = len(head.names)
    positions = [str(at) for at in range(width)]
    ragged: list[arrow_csv.InvalidRow] = []

    def note_ragged(row: arrow_csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    if not packed:
        return pa.table([pa.array([], pa.string())] * width, names=list(head.names))
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(packed),
            # One thread counts rows, so that Arrow's complaints name them.
            read_options=arrow_csv.ReadOptions(use_threads=False, column_names=positions),
            parse_options=arrow_csv.ParseOptions(delimiter=head.delimiter, invalid_row_handler=note_ragged),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(positions, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException as error:
        if not ragged:
            raise origin.refused(str(error).partition("\n")[0]) from error
        row = ragged[0]
        line = line_of(row.number - 1)
        problem = f"CSV parse error: Row #{line}: Expected {width} columns, got {row.actual_columns}"
        commas = head.delimiter == "," and row.actual_columns > width + 2
        hint = "separate columns by semicolons where commas are in the numbers; " if commas else ""
        hint = f"{NAME_THE_COLUMNS}; " if head.headerless else hint
        raise origin.refused(problem, hint + ADVICE) from error
    return table.rename_columns(list(head.names))


def _lines(number: int) -> str:
    return "1 line was" if number == 1 else f"{number} lines were"
