"""The lock under which task folders are put in place, changed or taken away."""

from __future__ import annotations

import fcntl  # not filelock, which makes a folder anew that somebody has deleted, and waits by looking
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from backtest_pipeline.storage.layout import Layout


@contextmanager
def publishing(layout: Layout) -> Iterator[Callable[[], bool]]:
    """Holds the lock of a data root for the block; other processes wait, and a dead one's lock is free.

    Yields:
        A function that says whether the lock is still the one that others see. Where somebody deletes or
        replaces the tasks' folder meanwhile, others take a lock of another file.

    Raises:
        OSError: the tasks' folder cannot be written.
    """
    lock = _locked(layout.publish_lock)
    try:
        yield lambda: _is_at(lock, layout.publish_lock)
    finally:
        lock.close()


def _locked(path: Path) -> IO[str]:
    """Opens and locks the file that has the name once it is locked: its predecessor may have been deleted."""
    while True:
        lock = path.open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_at(lock, path):
                return lock
        except BaseException:
            lock.close()
            raise
        lock.close()


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
