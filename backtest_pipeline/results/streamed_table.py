"""A Parquet file that is written a piece at a time, with the same bytes however the pieces were cut."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from backtest_pipeline.model.manifest import ResultFile


class StreamedTable:
    """Writes a table of a task's folder, durably, holding at most one row group and one piece.

    Args:
        folder: the folder of the task, or where it is staged.
        name: of the table; its file is `<name>.parquet`.
        rows_per_group: of each row group but the last.
        plain: columns whose values seldom repeat, for which no dictionary is tried.

    Raises:
        OSError: here or later, where the disk refuses.
    """

    def __init__(
        self, folder: Path, name: str, *, rows_per_group: int = 50_000, plain: frozenset[str] = frozenset()
    ) -> None:
        self._name = name
        self._path = folder / f"{name}.parquet"
        self._rows_per_group = rows_per_group
        self._plain = plain
        self._sink = _HashedFile(self._path)
        self._writer: pq.ParquetWriter | None = None
        self._pieces: list[pa.Table] = []
        self._held = 0
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._writer is not None:
            with suppress(OSError, ValueError, pa.ArrowException):
                self._writer.close()  # or it would write to a closed file when it is collected
        self._sink.close()

    def append(self, piece: pa.Table) -> None:
        """Adds rows; all pieces have the columns of the first."""
        self._pieces.append(piece)
        self._held += len(piece)
        while self._held >= self._rows_per_group:
            self._write(self._rows_per_group)
        if self._writer is None:
            self._open(piece.schema)

    def finish(self) -> ResultFile:
        """Writes what is left and waits until all is on disk; at least one piece has been added."""
        if self._held:
            self._write(self._held)
        if self._writer is None:
            raise ValueError(f"{self._name} has got no piece, so nobody knows its columns")
        self._writer.close()
        self._sink.sync()
        return ResultFile(
            name=self._name,
            path=self._path.name,
            kind="parquet",
            size_bytes=self._sink.size_bytes,
            sha256=self._sink.sha256,
            rows=self._rows,
        )

    def _write(self, rows: int) -> None:
        held = pa.concat_tables(self._pieces)
        writer = self._writer or self._open(held.schema)
        writer.write_table(held.slice(0, rows).combine_chunks(), row_group_size=rows)
        self._pieces = [held.slice(rows)]
        self._held -= rows
        self._rows += rows

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        with_dictionary = [name for name in schema.names if name not in self._plain]
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"), schema, compression="zstd", use_dictionary=with_dictionary
        )
        return self._writer


class _HashedFile:
    """A file that is written from its start to its end, and its checksum."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        self.closed = False

    def write(self, content: bytes) -> int:
        self._file.write(content)
        self._digest.update(content)
        self.size_bytes += len(content)
        return len(content)

    def tell(self) -> int:
        return self.size_bytes

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True
        self._file.close()

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()
