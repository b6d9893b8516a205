"""A task's archive as a stream: members are written and read one after another, and none is trusted.

`tarfile` reads and writes the format. What it knows beyond the regular files of the old one (links, devices,
extended headers, sparse files) it cannot use here: for a header it gets one block, for a file what the
manifest says, and what it asks for beyond that ends the import.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from backtest_pipeline.model.errors import ArchiveRefused

_BLOCK = tarfile.BLOCKSIZE
_CHUNK, _PIECE = 1 << 20, 64 << 10
_MOST_PADDING = 64 << 10


class ArchiveWriter:
    """Writes regular files, always with the same header."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar

    def add(self, name: str, content: IO[bytes], size_bytes: int) -> None:
        """Adds a file.

        Raises:
            OSError: the content is shorter, or the disk refuses.
        """
        member = tarfile.TarInfo(name)
        member.size, member.mode = size_bytes, 0o644
        self._tar.addfile(member, content)


@contextmanager
def written_archive(path: Path) -> Iterator[ArchiveWriter]:
    """Opens an archive for writing; what was added is whole when the block ends without an error."""
    with (
        pa.CompressedOutputStream(str(path), "zstd") as sink,
        tarfile.open(fileobj=sink, mode="w|", format=tarfile.USTAR_FORMAT) as tar,
    ):
        yield ArchiveWriter(tar)


class ArchiveReader:
    """Reads the members that are expected, in their order, and refuses all others."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._allowed_bytes = 0
        self._tar: tarfile.TarFile | None = None

    def read(self, size_bytes: int) -> bytes:
        """What tarfile is given of the decompressed stream; fewer bytes than asked for only at the end.

        Raises:
            ArchiveRefused: tarfile asks for more than the next header or file has.
        """
        if not self._allowed_bytes:
            raise ArchiveRefused(self._path, "it has a member with an extended header where a file must come")
        parts, missing = [], min(size_bytes, self._allowed_bytes)
        while missing:
            part: bytes = self._stream.read(min(missing, _CHUNK))
            if not part:
                break
            parts.append(part)
            missing -= len(part)
            self._allowed_bytes -= len(part)
        return b"".join(parts)

    def member(self, name: str) -> tarfile.TarInfo:
        """The next member, of which only the header was read.

        Raises:
            ArchiveRefused: it is not the regular file `name`.
        """
        self._allowed_bytes = _BLOCK
        try:
            if self._tar is None:
                source: Any = self  # it is asked to read and nothing else, as for every `r|`
                self._tar = tarfile.open(  # noqa: SIM115  there is nothing to close but the stream
                    fileobj=source, mode="r|", bufsize=_PIECE, encoding="utf-8", errors="surrogateescape"
                )
            member = self._tar.next()
        except tarfile.TarError as error:
            raise ArchiveRefused(self._path, f"this is no archive of a task ({error})") from None
        if member is None:
            raise ArchiveRefused(self._path, f"it has no {name}, or ends before it")
        if member.name != name or member.type != tarfile.REGTYPE or member.linkname or member.size < 0:
            kind = "file" if member.type == tarfile.REGTYPE else "member that is no regular file"
            raise ArchiveRefused(self._path, f"it has a {kind} {member.name!r} where {name} must come")
        return member

    def content(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        """Yields what the member holds, which must have been read before the next one.

        Raises:
            ArchiveRefused: the archive ends within it.
        """
        self._allowed_bytes = -(-member.size // _BLOCK) * _BLOCK
        file = self._tar.extractfile(member) if self._tar is not None else None
        try:
            while file is not None and (chunk := file.read(_CHUNK)):
                yield chunk
        except tarfile.ReadError:
            raise ArchiveRefused(self._path, f"it ends within {member.name}") from None

    def require_end(self) -> None:
        """What follows the last file is an end mark and padding, nothing else.

        Raises:
            ArchiveRefused: there is no end mark, or something behind it.
        """
        self._allowed_bytes = _MOST_PADDING
        rest = self.read(_MOST_PADDING)
        if len(rest) < 2 * _BLOCK:
            raise ArchiveRefused(self._path, "it has no end mark")
        if any(rest) or self._stream.read(1):
            raise ArchiveRefused(self._path, "it holds more than its manifest lists")


@contextmanager
def opened_archive(path: Path) -> Iterator[ArchiveReader]:
    """Opens an archive for reading.

    Raises:
        ArchiveRefused: it is no archive, or damaged.
        OSError: the disk refuses, or there is no such file.
    """
    with path.open("rb") as file:
        try:
            with pa.CompressedInputStream(pa.PythonFile(file), "zstd") as stream:
                yield ArchiveReader(stream, path)
        except pa.ArrowException as error:
            raise ArchiveRefused(path, f"this is no zstd archive, or it is damaged ({error})") from error
        except OSError as error:
            if error.errno is not None:  # the disk's own; Arrow's have no number
                raise
            raise ArchiveRefused(path, f"this is no zstd archive, or it is damaged ({error})") from error
