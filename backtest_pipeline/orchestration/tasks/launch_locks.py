"""Locks shared by all processes that submit or start runs: one around "is a slot free" and "start a run".

Without it the web server and the daemon could each find the last slot free. A second one is around "is this
key new" and "queue the run", so that a submission never waits for somebody else's start. On PostgreSQL they
are advisory locks, which other machines respect as well; otherwise locked files in DAGSTER_HOME.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from dagster import DagsterInstance

from backtest_pipeline.model.errors import LockNotAcquired
from backtest_pipeline.orchestration.dagster_internals.run_storage import (
    advisory_lock,
    is_postgres,
    run_storage_of,
)
from backtest_pipeline.storage.locks import file_lock

PATIENCE_S = 60.0
CLAIM_PATIENCE_S = 10.0


@dataclass(frozen=True)
class _Lock:
    purpose: str
    file: str
    advisory_key: int
    in_process: threading.Lock = field(default_factory=threading.Lock)


_LAUNCH = _Lock("starting runs", ".launch.lock", 0x6261_636B_7465_7374)  # "backtest" in ASCII
_SUBMIT = _Lock("submitting runs", ".submit.lock", 0x6261_636B_7465_7375)
_WORKERS = _Lock("the list of workers", ".workers.lock", 0x6261_636B_7465_7376)
_CLAIMS = _Lock("claiming runs", ".claims.lock", 0)  # on PostgreSQL a lock a run


@contextmanager
def launch_lock(instance: DagsterInstance, *, wait: bool) -> Iterator[None]:
    """Holds the lock of those who start runs for the block.

    Args:
        instance: whose runs are to be started.
        wait: wait for the lock, for a minute at most; otherwise it must be free now.

    Raises:
        LockNotAcquired: somebody else has it; the block is not begun.
    """
    with _held(_LAUNCH, instance, PATIENCE_S if wait else 0.0):
        yield


@contextmanager
def submit_lock(instance: DagsterInstance) -> Iterator[None]:
    """Holds the lock of those who submit runs for the block, of a few milliseconds.

    Raises:
        LockNotAcquired: somebody else has had it for a minute; the block is not begun.
    """
    with _held(_SUBMIT, instance, PATIENCE_S):
        yield


@contextmanager
def worker_lock(instance: DagsterInstance) -> Iterator[None]:
    """Holds the lock of those who change the list of workers for the block.

    Raises:
        LockNotAcquired: somebody else has had it for a minute; the block is not begun.
    """
    with _held(_WORKERS, instance, PATIENCE_S):
        yield


@contextmanager
def claim_lock(instance: DagsterInstance, run_id: str) -> Iterator[None]:
    """Holds the lock of those who decide who executes a run for the block.

    Raises:
        LockNotAcquired: somebody else has had it for seconds; the block is not begun.
    """
    key = int.from_bytes(sha256(f"claim {run_id}".encode()).digest()[:8], signed=True)
    lock = replace(_CLAIMS, advisory_key=key, in_process=threading.Lock())
    with _held(lock, instance, CLAIM_PATIENCE_S):
        yield


@contextmanager
def _held(lock: _Lock, instance: DagsterInstance, patience_s: float) -> Iterator[None]:
    give_up_s = time.monotonic() + patience_s
    if not lock.in_process.acquire(timeout=patience_s):
        raise LockNotAcquired(lock.purpose, patience_s)
    try:
        storage, left_s = run_storage_of(instance), max(give_up_s - time.monotonic(), 0.0)
        with (
            advisory_lock(storage, lock.advisory_key, lock.purpose, patience_s=left_s)
            if is_postgres(storage)
            else file_lock(Path(instance.root_directory) / lock.file, lock.purpose, patience_s=left_s)
        ):
            yield
    finally:
        lock.in_process.release()
