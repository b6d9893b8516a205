"""Dagster's storage of runs below its wrappings, where SQL is wanted that Dagster does not offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagster import __version__
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from sqlalchemy.exc import SQLAlchemyError

from backtest_pipeline.model.errors import InternalsChanged
from backtest_pipeline.orchestration.dagster_internals.compat import READ_IN

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


def is_of_database(error: BaseException) -> bool:
    """SQLAlchemy's errors, and the one that dagster-postgres, which need not be installed, makes of them."""
    return isinstance(error, SQLAlchemyError) or type(error).__module__.startswith("dagster_postgres")
