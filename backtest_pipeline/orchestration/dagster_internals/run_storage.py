"""Dagster's storage of runs below its wrappings, where SQL is wanted that Dagster does not offer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dagster import __version__
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backtest_pipeline.model.errors import InternalsChanged, LockNotAcquired
from backtest_pipeline.orchestration.dagster_internals.compat import READ_IN
from backtest_pipeline.storage.locks import LOOK_EVERY_S

if TYPE_CHECKING:
    from dagster import DagsterInstance


def run_storage_of(instance: DagsterInstance) -> Any:
    """The storage that has the connections, of SQLite or PostgreSQL.

    Raises:
        InternalsChanged: it is wrapped in a way that is not known; nothing may be locked or counted then.
    """
    storage: Any = instance.run_storage
    storage = getattr(storage, "_storage", storage)  # a composite wraps its parts
    storage = getattr(storage, "run_storage", storage)
    if not isinstance(storage, SqlRunStorage):
        found, known = type(storage).__qualname__, READ_IN["dagster"]
        raise InternalsChanged(
            f"DagsterInstance.run_storage ({found})", "is no SQL storage", "dagster", __version__, known
        )
    return storage


def is_postgres(storage: Any) -> bool:
    """Whether a storage is PostgreSQL's; SQLite's makes an engine for each connection and keeps none."""
    if isinstance(storage, SqliteRunStorage):
        return False
    return bool(storage._engine.dialect.name == "postgresql")  # noqa: SLF001  there is no public name


@contextmanager
def advisory_lock(storage: Any, key: int, purpose: str, *, patience_s: float) -> Iterator[None]:
    """Holds a lock of PostgreSQL for the block, which other machines respect as well.

    Asks again and again: a question that waits would run into the web server's limit for them.

    Args:
        storage: of PostgreSQL.
        key: the lock's number, of 64 bits with a sign.
        purpose: what the lock is for, as the error says it.
        patience_s: how long to wait where somebody else has it.

    Raises:
        LockNotAcquired: somebody else has it; the block is not begun.
    """
    give_up_s = time.monotonic() + patience_s
    asked = {"key": key}
    with storage.connect() as connection:
        while not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), asked).scalar():
            if time.monotonic() >= give_up_s:
                raise LockNotAcquired(purpose, patience_s)
            time.sleep(LOOK_EVERY_S)
        try:
            yield
        finally:
            try:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), asked)
            except SQLAlchemyError:
                connection.invalidate()  # the lock goes with its session


def is_of_database(error: BaseException) -> bool:
    """SQLAlchemy's errors, and the one that dagster-postgres, which need not be installed, makes of them."""
    return isinstance(error, SQLAlchemyError) or type(error).__module__.startswith("dagster_postgres")
