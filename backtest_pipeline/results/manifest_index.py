"""An index over all tasks' manifests, so that a table of 100,000 tasks is filtered and sorted at once.

It is a SQLite file under `DATA_ROOT/.catalog` that may be deleted at any time: it holds nothing that the
manifests do not say. Processes may share it. Where it cannot be kept on disk it is kept in memory.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from backtest_pipeline.results.index_rows import COLUMNS, TABLE, VERSION, Look, row_of
from backtest_pipeline.results.task_filter import Order, TaskFilter
from backtest_pipeline.results.task_orders import TaskOrders
from backtest_pipeline.storage.layout import Layout

Row = Mapping[str, Any]
_BATCH = 500
_LOOK_AGAIN_S = 30.0
_WAIT_S = 0.05
_FIRST_WAIT_S = 1.0
_BUSY_S = 5.0
_PAGE_BYTES = 16_384
"""Rows have about 700 bytes; a look at all of them is three times as quick as with SQLite's own 4,096."""
_FAR = 1_000
"""From this row on, a page is cut out of the whole order."""
_UPSERT = f"INSERT OR REPLACE INTO tasks ({','.join(COLUMNS)}) VALUES ({','.join('?' * len(COLUMNS))})"  # noqa: S608  names of ours
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TaskRows:
    """One page of a table.

    Attributes:
        rows: the tasks of the page.
        total: how many tasks the filter lets through.
        complete: whether every manifest has been read once; `False` while the first look goes on.
        read: manifests of that first look that have been read.
        to_read: how many there are.
    """

    rows: list[Row]
    total: int
    complete: bool
    read: int = 0
    to_read: int = 0


class ManifestIndex:
    """Finds tasks by what their manifests say; threads may share one."""

    def __init__(self, layout: Layout, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepares; nothing is read yet.

        Args:
            layout: where the tasks are.
            clock: seconds that only grow.
        """
        self._database: sqlite3.Connection | None = None
        self._layout = layout
        self._path = layout.data_root / ".catalog" / "tasks.sqlite"
        self._clock = clock
        self._lock = threading.Lock()  # of the connection
        self._looking = threading.Lock()  # held by the one thread that looks at the folders
        self._inode: int | None = None
        self._signature: object = None
        self._looked_s = float("-inf")
        self._complete = False
        self._read, self._to_read = 0, 0
        self._names: dict[str, list[str]] = {}
        self._orders = TaskOrders()

    def __del__(self) -> None:
        """Closes the file, as nobody asks any more."""
        if self._database is not None:
            self._database.close()

    def find(self, wanted: TaskFilter, order: Order, *, offset: int = 0, limit: int = 50) -> TaskRows:
        """One page of the tasks that a filter lets through.

        What was published a moment ago may be missing while a look at very many folders goes on.
        """
        self.look_if_needed()
        so_far = (self._complete, self._read, self._to_read)  # before the rows, which may be more by then
        where, values = wanted.where()
        with self._lock:
            if offset >= _FAR:
                rows, total = self._far_page(where, values, order, offset, limit)
                return TaskRows(rows, total, *so_far)
            total = self._ask(f"SELECT count(*) FROM tasks WHERE {where}", values)[0][0]  # noqa: S608  made of our names
            chosen = f"SELECT task_id FROM tasks WHERE {where} ORDER BY {order.clause()} LIMIT ? OFFSET ?"  # noqa: S608  as above
            found = self._ask(
                f"SELECT * FROM tasks WHERE task_id IN ({chosen}) ORDER BY {order.clause()}",  # noqa: S608  as above
                [*values, limit, offset],
            )
        return TaskRows([dict(row) for row in found], total, *so_far)

    def _far_page(
        self, where: str, values: list[Any], order: Order, offset: int, limit: int
    ) -> tuple[list[Row], int]:
        """A page far behind the first, and how many tasks there are."""
        database = self._opened()
        [[version]] = self._ask("PRAGMA data_version", [])  # of what other processes write
        state = (id(database), database.total_changes, version)
        numbers = self._orders.of(database, state, where, values, order.clause())
        page = numbers[offset : offset + limit].tolist()
        marks = ",".join("?" * len(page))
        found = self._ask(f"SELECT rowid, * FROM tasks WHERE rowid IN ({marks})", page)  # noqa: S608  marks alone
        by_number = {row[0]: {name: row[name] for name in COLUMNS} for row in found}
        return [by_number[number] for number in page if number in by_number], len(numbers)

    def rows_of(self, task_ids: Iterable[str]) -> dict[str, Row]:
        """Rows of some tasks, by id, in the order asked; what is unknown is left out."""
        self.look_if_needed()
        found: dict[str, Row] = {}
        with self._lock:
            for task_id in task_ids:
                for row in self._ask("SELECT * FROM tasks WHERE task_id = ?", [task_id]):
                    found[task_id] = dict(row)
        return found

    def names(self, column: Literal["strategy", "user"]) -> list[str]:
        """The strategies that tasks have, or the users who submitted them, sorted."""
        statement = f"SELECT DISTINCT {column} FROM tasks WHERE problem IS NULL AND {column} > '' ORDER BY 1"  # noqa: S608  names of ours
        with self._lock:
            if column not in self._names:
                self._names[column] = [row[0] for row in self._ask(statement, [])]
            return self._names[column]

    def look_if_needed(self) -> None:
        """Begins to look at the folders where something may have changed; waits for a moment only."""
        with self._lock:
            self._opened()  # one that was lost is missed here, before anybody is answered by it
        signature = self._now_signature()
        if signature == self._signature and self._clock() - self._looked_s < _LOOK_AGAIN_S:
            return
        if self._looking.acquire(blocking=False):
            self._looking.release()
            worker = threading.Thread(target=self.look, name="manifest-index", daemon=True)
            worker.start()
            worker.join(_WAIT_S if self._complete else _FIRST_WAIT_S)

    def look(self) -> None:
        """Reads the manifests that are new or have changed, and forgets those that are gone."""
        if not self._looking.acquire(blocking=False):
            return
        try:
            signature = self._now_signature()  # before the look: what changes meanwhile is seen next time
            with self._lock:
                known = {
                    row[0]: (row[1], row[2])
                    for row in self._ask("SELECT task_id, mtime_ns, size FROM tasks", [])
                }
            looks = dict(_manifests(self._layout))
            changed = [task_id for task_id, look in looks.items() if known.get(task_id) != look]
            self._to_read = len(looks)
            for first in range(0, len(changed), _BATCH):
                self._read = len(looks) - len(changed) + first
                batch = changed[first : first + _BATCH]
                rows = [row for task_id in batch if (row := row_of(self._layout, task_id, looks[task_id]))]
                self._write(_UPSERT, rows)
            self._write(
                "DELETE FROM tasks WHERE task_id = ?", [(one,) for one in known.keys() - looks.keys()]
            )
            self._signature, self._looked_s, self._complete = signature, self._clock(), True
            self._names.clear()
        except (
            sqlite3.Error
        ) as error:  # another process writes, or the disk is full; the next look tries again
            _log.warning("the index of results could not be written: %s", error)
            self._looked_s = self._clock()
        finally:
            self._looking.release()

    def close(self) -> None:
        """Gives the file back."""
        with self._lock:
            self._drop()

    def _write(self, statement: str, rows: list[Any]) -> None:
        if not rows:
            return
        with self._lock:
            database = self._opened()
            with database:
                database.executemany(statement, rows)

    def _ask(self, statement: str, values: list[Any]) -> list[sqlite3.Row]:
        """Answers by the file as it is; one that is damaged is deleted and made anew."""
        try:
            return self._opened().execute(statement, values).fetchall()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            _log.warning("the index of results is damaged and is made anew: %s", error)
            self._discard()
            return self._opened().execute(statement, values).fetchall()

    def _opened(self) -> sqlite3.Connection:
        if self._database is not None and self._inode is not None and self._inode != _inode_of(self._path):
            self._drop()  # somebody has deleted or replaced the file
        if self._database is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._database = _database(self._path)
                self._inode = _inode_of(self._path)
            except (OSError, sqlite3.OperationalError) as error:
                _log.warning("the index of results is kept in memory: %s", error)
                self._database, self._inode = _database(None), None
            except sqlite3.DatabaseError:
                self._discard()
                self._database = _database(self._path)
                self._inode = _inode_of(self._path)
        return self._database

    def _discard(self) -> None:
        self._drop()
        for suffix in ("", "-journal"):
            Path(f"{self._path}{suffix}").unlink(missing_ok=True)

    def _drop(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database, self._inode = None, None
        self._signature, self._complete = None, False
        self._names.clear()

    def _now_signature(self) -> object:
        """Changes whenever a task is published or deleted, or its results are pinned."""
        return _mark(self._layout.tasks), _mark(self._layout.result_log)


def _database(path: Path | None) -> sqlite3.Connection:
    database = sqlite3.connect(path or ":memory:", timeout=_BUSY_S, check_same_thread=False)
    try:
        database.row_factory = sqlite3.Row
        database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a file that is made now
        database.execute("PRAGMA cache_size = -131072")  # kilobytes: 100,000 tasks whole
        database.execute("PRAGMA synchronous = OFF")  # what a crash takes is read again from the manifests
        if database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            with database:
                database.execute("DROP TABLE IF EXISTS tasks")
                database.execute(TABLE)
                database.execute(f"PRAGMA user_version = {VERSION}")
        database.execute("SELECT count(*) FROM tasks WHERE task_id = ''")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _manifests(layout: Layout) -> Iterator[tuple[str, Look]]:
    """Every manifest there is, with what says whether it has changed."""
    try:
        with os.scandir(layout.tasks) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                try:
                    seen = os.stat(f"{entry.path}/manifest.json")  # noqa: PTH116  100,000 of them
                except OSError:
                    continue
                yield entry.name, (seen.st_mtime_ns, seen.st_size)
    except OSError:
        return


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_size


def _inode_of(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None
