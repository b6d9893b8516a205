"""Bytes of a text turned into UTF-8 with plain line ends: the encoding is given, recognised or refused."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

from backtest_pipeline.candles.formats.column_names import HEADER_WORDS, short_name

if TYPE_CHECKING:
    from backtest_pipeline.candles.formats.read_options import Origin

BOM = codecs.BOM_UTF8
BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as the mark of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Distinguished by the header: read by the wrong one, its words are none that a header has.
REGIONAL = ("cp949", "shift_jis", "gb18030", "big5", "cp1252")
HEAD_BYTES = 4_096
SEPARATORS = str.maketrans(dict.fromkeys(";\t|\r\n\"'", ","))
CURE = "name its encoding, e.g. --encoding cp949, or export it as UTF-8"


def decoded(data: bytes, encoding: str | None, origin: Origin, assumptions: list[str]) -> bytes:
    """The text in UTF-8, without byte order marks, its lines ended by line feeds.

    Raises:
        CandleFileUnreadable: the encoding is not the one that was given, or cannot be recognised.
    """
    found, known = _without_mark(data, encoding)
    if known is None:
        known = _recognised(found)
        if known is None:
            raise origin.refused(_not_utf8(found), f"{CURE}; give a CSV or Parquet file")
        if known != "utf-8":
            assumptions.append(f"the text was read as {known}")
    try:
        text = found.decode(known)
        recoded = found if known == "utf-8" else text.encode()
    except UnicodeError as error:
        at = f" (line {_line_at(found, error.start)})" if isinstance(error, UnicodeDecodeError) else ""
        advice = CURE if encoding else f"it may be damaged; {CURE}"
        raise origin.refused(f"this is not {known}{at}", advice) from error
    if b"\0" in recoded:
        line = recoded[: recoded.index(b"\0")].count(b"\n") + 1
        raise origin.refused(f"line {line} holds a NUL byte", "fetch it again, or give a CSV or Parquet file")
    if b"\r" in recoded:
        recoded = recoded.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    # Files that were joined have a mark at the beginning of each part.
    return recoded.removeprefix(BOM).replace(b"\n" + BOM, b"\n")


def _without_mark(data: bytes, encoding: str | None) -> tuple[bytes, str | None]:
    """The bytes behind a byte order mark, and the encoding that is known by it or by the user."""
    if encoding is not None:
        return data, codecs.lookup(encoding).name
    for mark, name in BOMS:
        if data.startswith(mark):
            return data[len(mark) :], name
    return data, None


def _recognised(data: bytes) -> str | None:
    head = data[:HEAD_BYTES]
    if wide := _utf16_by_zeros(head):
        return wide
    if _decodes(data, "utf-8"):
        return "utf-8"
    words = {name: _header_words(head, name) for name in REGIONAL}
    foreign = {name: sum(not word.isascii() for word in found) for name, found in words.items()}
    best = max(foreign, key=lambda name: foreign[name])
    unique = list(foreign.values()).count(foreign[best]) == 1
    return best if foreign[best] and unique and len(words[best]) >= 3 else None


def _utf16_by_zeros(head: bytes) -> str | None:
    """UTF-16 of mostly ASCII has a zero in every other byte."""
    pairs = len(head) // 2
    even, odd = head[0 : 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if pairs >= 4 and max(even, odd) >= 0.6 * pairs and min(even, odd) <= 0.05 * pairs:
        return "utf-16-be" if even > odd else "utf-16-le"
    return None


def _header_words(head: bytes, encoding: str) -> set[str]:
    """Names of columns that the text has if this is its encoding."""
    cells = head.decode(encoding, errors="replace").translate(SEPARATORS).split(",")
    return {short_name(cell) for cell in cells} & HEADER_WORDS


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeError:
        return False
    return True


def _not_utf8(data: bytes) -> str:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"invalid UTF8 data in line {_line_at(data, error.start)}"
    return "invalid UTF8 data"


def _line_at(data: bytes, position: int) -> int:
    return data[:position].count(b"\n") + 1
