"""One lock around "is a slot free" and "start a run", shared by all processes that start runs.

Without it the web server and the daemon could each find the last slot free. On PostgreSQL it is an advisory
lock, which other machines respect as well; otherwise a locked file in DAGSTER_HOME.
"""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import DagsterInstance
from sqlalchemy import text

from backtest_pipeline.orchestration.run_storage import is_postgres, run_storage_of

_ADVISORY_KEY = 0x6261_636B_7465_7374  # "backtest" in ASCII
_in_process = threading.Lock()


@contextmanager
def launch_lock(instance: DagsterInstance, *, wait: bool) -> Iterator[bool]:
    """Holds the lock for the block.

    Args:
        instance: whose runs are to be started.
        wait: wait for the lock; otherwise the block is told False where somebody else holds it.

    Yields:
        Whether the lock is held.
    """
    if not _in_process.acquire(blocking=wait):
        yield False
        return
    try:
        storage = run_storage_of(instance)
        held = _advisory_lock(storage, wait=wait) if is_postgres(storage) else _file_lock(instance, wait=wait)
        with held as locked:
            yield locked
    finally:
        _in_process.release()


@contextmanager
def _advisory_lock(storage: Any, *, wait: bool) -> Iterator[bool]:
    with storage.connect() as connection:
        if wait:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_KEY})
            locked = True
        else:
            answer = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": _ADVISORY_KEY})
            locked = bool(answer.scalar())
        try:
            yield locked
        finally:
            if locked:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_KEY})


@contextmanager
def _file_lock(instance: DagsterInstance, *, wait: bool) -> Iterator[bool]:
    with (Path(instance.root_directory) / ".launch.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
