"""Kinds of files that are not read, recognised by their first bytes, each with what to do."""

from __future__ import annotations

AS_CSV = "save it as CSV (in the spreadsheet: File, Save as, CSV UTF-8) and import that"
FROM_PYTHON = "write it as Parquet from Python (frame.to_parquet) and import that"
EXPORT_DATA = "download the data itself, as CSV or JSON"

KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "an Excel or OpenDocument spreadsheet", AS_CSV),
    (b"PK\x05\x06", "an empty zip archive", "fetch it again"),
    (b"\xd0\xcf\x11\xe0", "an old Excel spreadsheet", AS_CSV),
    (b"FEA1", "a Feather file of version 1", FROM_PYTHON),
    (b"\x89HDF", "an HDF5 file", FROM_PYTHON),
    (b"\x93NUMPY", "a NumPy file", FROM_PYTHON),
    (b"SQLite format 3", "an SQLite database", "write its table as CSV and import that"),
    (b"ORC", "an ORC file", FROM_PYTHON),
    (b"Obj\x01", "an Avro file", FROM_PYTHON),
    (b"%PDF", "a PDF document", EXPORT_DATA),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first"),
    (b"Rar!", "a rar archive", "unpack it first"),
    (b"]\x00\x00", "an lzma file, such as Dukascopy's ticks", "export candles as CSV and import those"),
    *((bytes([0x80, version]), "a pickle, which could run code", FROM_PYTHON) for version in range(2, 6)),
)
PAGES = (b"<!doctype", b"<html", b"<head", b"<table", b"<?xml", b"<svg")
TAR_MAGIC = slice(257, 262)


def unread_kind(data: bytes) -> tuple[str, str] | None:
    """What a file is that cannot be read, and what to do with it; `None` where it may be text."""
    for magic, kind, advice in KINDS:
        if data.startswith(magic):
            return kind, advice
    if data[TAR_MAGIC] == b"ustar":
        return "a tar archive", "unpack it first"
    if data[:200].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        return "a web page or XML, not a table", EXPORT_DATA
    return None
