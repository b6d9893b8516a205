"""Finished chunks of a sweep on disk, which outlive their process: tables with checksums, whole or not there.

Nothing is synced: after a power cut a part may be torn, its checksum says so, and it is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from backtest_pipeline.storage.atomic import make_folder

LOCK = ".lock"


class PartDamaged(Exception):
    """A part is gone, or is not what was written; never seen outside, as it is made again.

    Attributes:
        name: the part's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)

    def __str__(self) -> str:
        return f"part {self.name} of a sweep is gone or damaged"


class SweepParts:
    """The parts of one sweep: each a name and some tables.

    Several processes may write at once, the same part too: of equal parts any one will do.

    Args:
        folder: where they lie; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keeps the folder from being deleted by others for as long as the block, or this process, lasts.

        Raises:
            OSError: the folder cannot be made or written.
        """
        make_folder(self.folder)
        with (self.folder / LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield

    def write(self, name: str, tables: Mapping[str, pa.Table]) -> None:
        """Writes a part; its record, without which nothing of it counts, comes last.

        Raises:
            OSError: the disk refuses; nothing of the part counts.
        """
        record = {}
        for table_name, table in tables.items():
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink, compression="lz4", use_dictionary=False, write_statistics=False)
            content = sink.getvalue()
            self._write(_file(name, table_name), content)
            record[table_name] = hashlib.sha256(content).hexdigest()
        self._write(_record(name), json.dumps(record).encode())

    def names(self) -> list[str]:
        """Names of the parts whose record is there, sorted; whether they are whole, reading tells."""
        return sorted(path.stem for path in self.folder.glob("[!.]*.json"))

    def tables(self, name: str) -> list[str]:
        """Names of a part's tables.

        Raises:
            PartDamaged: the record is gone or cannot be read.
        """
        return list(self._checksums(name))

    def read(self, name: str, table: str) -> pa.Table:
        """Reads a table of a part.

        Raises:
            PartDamaged: it is gone, or its bytes are not those that were written.
        """
        checksum = self._checksums(name).get(table)
        try:
            content = (self.folder / _file(name, table)).read_bytes()
        except FileNotFoundError:
            raise PartDamaged(name) from None
        if hashlib.sha256(content).hexdigest() != checksum:
            raise PartDamaged(name)
        return pq.read_table(pa.BufferReader(content), use_threads=False)

    def drop(self, name: str) -> None:
        """Forgets a part, as one that is damaged."""
        (self.folder / _record(name)).unlink(missing_ok=True)

    def used(self) -> bool:
        """Whether somebody uses the parts now."""
        try:
            with (self.folder / LOCK).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def delete(self) -> None:
        """Deletes all parts unless somebody uses them."""
        if not self.used():
            shutil.rmtree(self.folder, ignore_errors=True)

    def _checksums(self, name: str) -> dict[str, str]:
        try:
            record = json.loads((self.folder / _record(name)).read_bytes())
        except (FileNotFoundError, ValueError):
            raise PartDamaged(name) from None
        if not isinstance(record, dict):
            raise PartDamaged(name)
        return record

    def _write(self, file: str, content: pa.Buffer | bytes) -> None:
        tmp = self.folder / f".{file}.{os.getpid()}-{threading.get_ident()}.tmp"
        make_folder(self.folder)
        try:
            tmp.write_bytes(content)
            tmp.rename(self.folder / file)
        finally:
            tmp.unlink(missing_ok=True)


def _file(name: str, table: str) -> str:
    return f"{name}.{table}.parquet"


def _record(name: str) -> str:
    return f"{name}.json"
