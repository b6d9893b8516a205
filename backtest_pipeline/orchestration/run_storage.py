"""Dagster's storage of runs below its wrappings, where SQL is wanted that Dagster does not offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from dagster import DagsterInstance


def run_storage_of(instance: DagsterInstance) -> Any:
    """The storage that has the connections, of SQLite or PostgreSQL."""
    storage: Any = instance.run_storage
    storage = getattr(storage, "_storage", storage)  # a composite wraps its parts
    return getattr(storage, "run_storage", storage)


def is_postgres(storage: Any) -> bool:
    """Whether a storage is PostgreSQL's; SQLite's makes an engine for each connection and keeps none."""
    engine = getattr(storage, "_engine", None)
    return engine is not None and engine.dialect.name == "postgresql"


def is_of_database(error: BaseException) -> bool:
    """SQLAlchemy's errors, and the one that dagster-postgres, which need not be installed, makes of them."""
    return isinstance(error, SQLAlchemyError) or type(error).__module__.startswith("dagster_postgres")
