"""The top of a delimited text: where its rows begin, what separates columns, and what they are called."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backtest_pipeline.candles.formats.column_names import ALIASES, TIMES, plain_name, zoned_name

if TYPE_CHECKING:
    from backtest_pipeline.candles.formats.read_options import Origin, ReadOptions

# A tab, semicolon or bar in every line separates; a comma may as well be a decimal sign.
DELIMITERS = "\t;|,"
HEAD_LINES = 80
HEAD_BYTES = 1 << 18
LONGEST_NUMBER = 40
MOST_SYMBOLS_SHOWN = 8
NUMBER = re.compile(
    r"[^\w+.,-]{0,3}[+-]?[.,]?\d[\d.,' \u00a0\u202f]*([eE][+-]?\d{1,3})?[KMBTkmbt%]?[^\w.,-]{0,3}"
)
KNOWN_NAMES = frozenset(alias for aliases in ALIASES.values() for alias in aliases)


@dataclass(frozen=True, slots=True)
class Head:
    """What the top of a text says about the rest.

    Attributes:
        delimiter: between the columns.
        names: of the columns; empty ones where there is no header.
        headerless: there is no header.
        body_at: where the rows begin, in bytes.
        first_line: the line of the first row, counted from 1.
        header_line: the header as it stands in the file, or nothing.
        chosen: the header names several symbols, and the columns of one were taken.
    """

    delimiter: str
    names: tuple[str, ...]
    headerless: bool
    body_at: int
    first_line: int
    header_line: bytes = b""
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    begin: int
    end: int
    text: str


def head_of(data: bytes, options: ReadOptions, origin: Origin, assumptions: list[str]) -> Head:
    """Finds header and first row.

    Raises:
        CandleFileUnreadable: the header speaks of several symbols and none was chosen.
    """
    lines = _first_lines(data)
    stated = _stated_delimiter(lines[0].text)
    if stated:
        lines = lines[1:]
        if not lines:
            raise origin.refused("Empty CSV file")
    delimiter = stated or _delimiter(lines)
    cells = [split_cells(line.text, delimiter) for line in lines]
    first = next((at for at, row in enumerate(cells) if _is_row(row)), None)
    header = _header_at(cells, first)
    if header is None and first is not None:
        width = len(cells[first])
        _note_preamble(lines[:first], assumptions)
        return Head(
            delimiter,
            ("",) * width,
            headerless=True,
            body_at=lines[first].begin,
            first_line=lines[first].number,
        )
    at = header or 0
    begin = _end_of_header(cells, at)
    names = _names(cells, at, begin, options, origin, assumptions)
    _note_preamble(
        [line for line, row in zip(lines[:at], cells, strict=False) if not _tickers(row)], assumptions
    )
    last = lines[begin - 1]
    width = len(cells[begin]) if begin < len(cells) else len(names)
    return Head(
        delimiter,
        _fitted(names, width, cells[begin] if begin < len(cells) else []),
        headerless=False,
        body_at=last.end + 1,
        first_line=last.number + 1,
        header_line=data[lines[at].begin : lines[at].end],
        chosen=options.only is not None and any(options.only in _tickers(row) for row in cells[:begin]),
    )


def split_cells(line: str, delimiter: str) -> list[str]:
    """The cells of a line, without spaces around them."""
    try:
        row = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        row = line.split(delimiter)
    return [cell.strip().strip('"').strip() for cell in row]


def is_number(cell: str) -> bool:
    """Whether a cell may be a price or a volume, however written."""
    return len(cell) <= LONGEST_NUMBER and NUMBER.fullmatch(cell.strip()) is not None


def _first_lines(data: bytes) -> list[_Line]:
    lines: list[_Line] = []
    at, number = 0, 1
    while at < min(len(data), HEAD_BYTES) and len(lines) < HEAD_LINES:
        end = data.find(b"\n", at)
        text = data[at:end].decode()
        if text.strip(' \t,;|"'):
            lines.append(_Line(number, at, end, text))
        at, number = end + 1, number + 1
    return lines


def _stated_delimiter(line: str) -> str | None:
    """What a spreadsheet's first line `sep=;` says."""
    stated = line.strip(" ").strip('"')
    return stated[4] if stated[:4].casefold() == "sep=" and stated[4:] in set(DELIMITERS) else None


def _delimiter(lines: list[_Line]) -> str:
    best, most = ",", 0
    for delimiter in DELIMITERS:
        counts = Counter(len(split_cells(line.text, delimiter)) for line in lines)
        width, times = counts.most_common(1)[0]
        if width >= 5 and times * 2 >= len(lines):
            return delimiter
        widest = max(counts)
        if widest > most:
            best, most = delimiter, widest
    return best


def _is_row(cells: list[str]) -> bool:
    return sum(is_number(cell) for cell in cells) >= 4


def _hits(cells: list[str]) -> int:
    """How many of the cells are names of columns that candles have."""
    return sum(bool({plain_name(cell), zoned_name(cell)[0]} & KNOWN_NAMES) for cell in cells)


def _header_at(cells: list[list[str]], first_row: int | None) -> int | None:
    above = cells if first_row is None else cells[:first_row]
    if not above:
        return None
    hits = [_hits(row) for row in above]
    best = max(range(len(above)), key=lambda at: hits[at])
    if hits[best] >= 3 or first_row is None:
        return best if hits[best] >= 3 else None
    return first_row - 1 if len(cells[first_row - 1]) == len(cells[first_row]) else None


def _tickers(cells: list[str]) -> list[str]:
    """The symbols of a header line of its own, as yfinance writes it."""
    names = {cell for cell in cells[1:] if cell}
    label = plain_name(cells[0]) if cells else ""
    if label in {"ticker", "tickers", "symbol", "symbols"} and names and not _is_row(cells):
        return cells[1:]
    return []


def _end_of_header(cells: list[list[str]], header: int) -> int:
    """The line behind the header and what belongs to it: the tickers, and the first column's name."""
    at = header + 1
    while at < len(cells):
        row = cells[at]
        name_only = plain_name(row[0]) in TIMES and not any(row[1:])
        unnamed_tickers = at == header + 1 and not row[0] and len(set(row[1:])) == 1 and not is_number(row[1])
        if not (_tickers(row) or name_only or (unnamed_tickers and len(row) > 1)):
            break
        at += 1
    return at


def _names(
    cells: list[list[str]],
    header: int,
    begin: int,
    options: ReadOptions,
    origin: Origin,
    assumptions: list[str],
) -> list[str]:
    names = list(cells[header])
    around = [*cells[max(0, header - 1) : header], *cells[header + 1 : begin]]
    tickers = next((found for row in around if (found := _tickers(row))), [])
    if not tickers and begin == header + 1:
        return names
    first_names = [row[0] for row in around if plain_name(row[0]) in TIMES and not any(row[1:])]
    names[0] = first_names[0] if first_names else ""
    symbols = list(dict.fromkeys(each for each in tickers if each))
    if len(symbols) > 1 and options.only not in symbols:
        shown = ", ".join(symbols[:MOST_SYMBOLS_SHOWN])
        raise origin.refused(
            f"the header names {len(symbols)} symbols ({shown})",
            f"import one of them, e.g. --only {symbols[0]}",
        )
    if len(symbols) > 1:
        names[1:] = [
            name if each == options.only else f"{each} {name}"
            for name, each in zip(names[1:], tickers, strict=False)
        ]
    elif symbols:
        assumptions.append(f"several header lines were read as one, of {symbols[0]}")
    return names


def _fitted(names: list[str], width: int, first_row: list[str]) -> tuple[str, ...]:
    """The names, one for each column, where header or rows end with a delimiter too much."""
    if width == len(names) + 1 and first_row and not first_row[-1]:
        return (*names, "")
    if width == len(names) - 1 and not names[-1]:
        return tuple(names[:-1])
    return tuple(names)


def _note_preamble(lines: list[_Line], assumptions: list[str]) -> None:
    if lines:
        many = "1 line was" if len(lines) == 1 else f"{len(lines)} lines were"
        assumptions.append(f"above the rows, {many} left out: {lines[0].text.strip()[:40]!r}")
