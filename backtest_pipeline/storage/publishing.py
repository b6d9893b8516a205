"""The lock under which task folders are put in place, changed or taken away."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from backtest_pipeline.storage.layout import Layout


@contextmanager
def publishing(layout: Layout) -> Iterator[None]:
    """Holds the lock of a data root for the block; other processes wait, and a dead one's lock is free.

    Raises:
        OSError: the tasks' folder cannot be written.
    """
    with layout.publish_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
