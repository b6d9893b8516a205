"""The ledger: every trial that anybody has run, kept for ever, whatever becomes of the tasks.

A row is a small file of its own, put in place in one step under a name that says which row it is. So any
number of writers on any number of machines need no lock, a writer that is killed leaves the row or none, and
a row that is written again is there once. `compact` gathers small files in Parquet files, and small ones of
those in larger ones: what it writes is whole before what it replaces goes. A row that lies in two files for
that time, or for good where the machine stopped in between, is read once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from backtest_pipeline.model.errors import LockNotAcquired
from backtest_pipeline.model.ledger_row import LedgerRow
from backtest_pipeline.results.ledger_table import KEY, of_rows, once
from backtest_pipeline.storage.atomic import make_folder, write_bytes_durably
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.storage.locks import file_lock

SMALL_FILES = 200
"""From how many on `compact` gathers them."""
FILES_PER_LEVEL = 10
_PREFIX, _NEW, _LOCK = "strategy-", "new", ".compact.lock"
_READS = 5
_log = logging.getLogger(__name__)


class Ledger:
    """The ledger of a data root; threads, processes and machines may share it."""

    def __init__(self, layout: Layout) -> None:
        """Looks at `DATA_ROOT/ledger`, which need not exist yet."""
        self._root = layout.ledger

    def append(self, row: LedgerRow) -> None:
        """Adds a row, durably; repeated, it replaces the row by the new one.

        Raises:
            OSError: the disk refuses; nothing is added.
        """
        folder = self._folder(row.strategy) / _NEW
        make_folder(folder)
        write_bytes_durably(folder / f"{row.name}.json", row.model_dump_json().encode())

    def strategies(self) -> list[str]:
        """Strategies that have rows, sorted."""
        found = self._root.glob(f"{_PREFIX}*")
        return sorted(unquote(folder.name.removeprefix(_PREFIX)) for folder in found)

    def table(
        self,
        strategy: str,
        columns: Iterable[str] | None = None,
        chosen: Callable[[pa.Table], pa.Table] = lambda part: part,
    ) -> pa.Table:
        """Rows of a strategy, each once, in no order.

        Args:
            strategy: its name; without rows the table is empty.
            columns: of `LEDGER_SCHEMA`; all by default.
            chosen: takes the wanted rows of a part of the table, by what never differs between two writings
                of a row, so that few rows need to be looked through for repeated ones.
        """
        wanted = None if columns is None else list(dict.fromkeys([KEY, *columns]))
        folder = self._folder(strategy)
        for reads_left in reversed(range(_READS)):
            # What is new is read first: a row that is gathered meanwhile is then seen twice, never missed.
            new = [row for _, row in _small(folder)]
            try:
                gathered = [chosen(_read(path, wanted)) for path in _segments(folder)]
            except FileNotFoundError:  # gathered in a larger one by now
                if not reads_left:
                    raise
            else:
                latest = of_rows(new)
                return once([*gathered, chosen(latest if wanted is None else latest.select(wanted))])
        raise AssertionError("the last read returns or raises")

    def compact(self, strategy: str) -> None:
        """Gathers a strategy's small files where there are many; does nothing where somebody else does.

        Raises:
            OSError: the disk refuses; no row is lost.
        """
        folder = self._folder(strategy)
        if not folder.is_dir():
            return
        with suppress(LockNotAcquired), file_lock(folder / _LOCK, "gathering the ledger", patience_s=0):
            small = list(_small(folder))
            if len(small) >= SMALL_FILES:
                _replace(folder, [path for path, _ in small], of_rows(row for _, row in small), level=0)
            level = 0
            while len(full := _segments(folder, level)) >= FILES_PER_LEVEL:
                tables = [_read(path) for path in full]
                level += 1
                _replace(folder, full, once(tables), level=level)

    def _folder(self, strategy: str) -> Path:
        return self._root / f"{_PREFIX}{quote(strategy, safe='')}"


def _small(folder: Path) -> Iterator[tuple[Path, LedgerRow]]:
    """Rows that lie alone; what is none is passed over."""
    for path in sorted((folder / _NEW).glob("[!.]*.json")):
        try:
            yield path, LedgerRow.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            continue  # gathered by now
        except ValidationError as error:
            _log.warning("%s is no row of the ledger: %s", path, error)


def _segments(folder: Path, level: int | None = None) -> list[Path]:
    """Files of gathered rows, the larger and so older ones first."""
    return sorted(folder.glob(f"rows-{'*' if level is None else level}-*.parquet"), reverse=True)


def _read(path: Path, columns: list[str] | None = None) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read(columns=columns, use_threads=False)


def _replace(folder: Path, paths: list[Path], table: pa.Table, *, level: int) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    target = folder / f"rows-{level}-{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    write_bytes_durably(target, content)
    for path in paths:
        if path != target:
            path.unlink(missing_ok=True)
