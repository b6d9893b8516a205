"""Locked files: one holder at a time among all threads and processes of this machine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from backtest_pipeline.model.errors import LockNotAcquired

LOOK_EVERY_S = 0.02


@contextmanager
def file_lock(path: Path, purpose: str, *, patience_s: float = math.inf) -> Iterator[None]:
    """Hold a file's lock for the block; the file stays, and a dead process's lock is free.

    Processes that are forked meanwhile do not hold it. What the file contains is the holder's business.

    Args:
        path: the file, made where there is none.
        purpose: what the lock is for, as the error says it.
        patience_s: how long to wait where somebody else has it; 0 refuses at once.

    Raises:
        LockNotAcquired: somebody else has it; the block is not begun.
        OSError: the file cannot be written, or its file system has no locks.
    """
    # Without flock the library would fall back to a file that a killed process leaves behind for good.
    lock = FileLock(path, thread_local=False, poll_interval=LOOK_EVERY_S, fallback_to_soft=False)
    try:
        lock.acquire(timeout=patience_s)
    except Timeout:
        raise LockNotAcquired(purpose, patience_s) from None
    try:
        yield
    finally:
        lock.release()
