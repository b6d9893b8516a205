"""Files inside files: gzip, zip and their like, one member, within limits."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import zipfile
import zlib
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

    from backtest_pipeline.candles.formats.read_options import Origin

MOST_BYTES = 2 << 30
# Candles shrink to a tenth or so; what shrinks to less than this is made to fill the memory.
SUSPICIOUS_BYTES = 64 << 20
SUSPICIOUS_RATIO = 200
MOST_LAYERS = 3
CHUNK_BYTES = 1 << 20
ZIP = b"PK\x03\x04"
NOT_DATA = {".txt", ".md", ".pdf", ".htm", ".html", ".checksum", ".sha256", ".md5"}
OPENERS: dict[bytes, Callable[[bytes], Any]] = {
    b"\x1f\x8b": lambda data: gzip.GzipFile(fileobj=io.BytesIO(data)),
    b"BZh": lambda data: bz2.BZ2File(io.BytesIO(data)),
    b"\xfd7zXZ\x00": lambda data: lzma.LZMAFile(io.BytesIO(data)),  # noqa: SIM115  `_whole` closes it
    b"\x28\xb5\x2f\xfd": lambda data: pa.input_stream(io.BytesIO(data), compression="zstd"),
    b"\x04\x22\x4d\x18": lambda data: pa.input_stream(io.BytesIO(data), compression="lz4"),
}
DAMAGE = (
    OSError,  # gzip.BadGzipFile
    EOFError,
    ValueError,  # UnicodeDecodeError
    RuntimeError,  # NotImplementedError, and an encrypted member
    KeyError,
    IndexError,
    OverflowError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    pa.ArrowException,
)


def unpacked(data: bytes, origin: Origin, assumptions: list[str]) -> bytes:
    """The one file inside a compressed file or archive, or `data` itself where it is neither.

    Raises:
        CandleFileUnreadable: the file is damaged, encrypted, swells beyond reason or has several members.
    """
    for _ in range(MOST_LAYERS):
        opener = next((opener for magic, opener in OPENERS.items() if data.startswith(magic)), None)
        if opener:
            data = _whole(partial(opener, data), len(data), origin)
        elif data.startswith(ZIP) and not _is_spreadsheet(data):
            data = _member(data, origin, assumptions)
        else:
            return data
    raise origin.refused(f"more than {MOST_LAYERS} archives inside each other", "unpack it first")


def _is_spreadsheet(data: bytes) -> bool:
    try:
        names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    except DAMAGE:
        return False
    return bool({"[Content_Types].xml", "content.xml"} & set(names))


def _member(data: bytes, origin: Origin, assumptions: list[str]) -> bytes:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        members = [member for member in archive.infolist() if not _is_clutter(member)]
    except DAMAGE as error:
        raise origin.refused(f"a damaged zip archive ({_first_line(error)})", "fetch it again") from error
    if not members:
        raise origin.refused("an empty zip archive")
    candidates = [each for each in members if _suffix(each) not in NOT_DATA] or members
    if len(candidates) > 1:
        shown = ", ".join(member.filename for member in candidates[:5])
        more = f" and {len(candidates) - 5} more" if len(candidates) > 5 else ""
        raise origin.refused(
            f"a zip archive of {len(candidates)} files: {shown}{more}", "unpack it and import each by itself"
        )
    member = candidates[0]
    if member.flag_bits & 1:
        raise origin.refused("an encrypted zip archive", "unpack it first")
    if len(members) > 1:
        assumptions.append(f"of the archive, {member.filename} was read")
    return _whole(lambda: archive.open(member), len(data), origin)


def _is_clutter(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    return member.is_dir() or path.name.startswith(".") or "__MACOSX" in path.parts


def _suffix(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename).suffix.lower()


def _whole(opened: Callable[[], Any], packed_bytes: int, origin: Origin) -> bytes:
    chunks: list[bytes] = []
    total = 0
    try:
        with opened() as stream:
            while chunk := stream.read(CHUNK_BYTES):
                chunks.append(chunk)
                total += len(chunk)
                swollen = total > SUSPICIOUS_BYTES and total > SUSPICIOUS_RATIO * packed_bytes
                if swollen or total > MOST_BYTES:
                    problem = f"it swells from {packed_bytes} bytes to more than {total}"
                    raise origin.refused(problem, "unpack it first, if you trust it")
    except DAMAGE as error:
        raise origin.refused(f"damaged ({_first_line(error)})", "fetch it again") from error
    return b"".join(chunks)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
