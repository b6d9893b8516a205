"""One pool of connections for all that a process asks of PostgreSQL.

Dagster connects anew for each question, in each of an instance's three storages, and a connection costs
both sides milliseconds. A worker has some eighty questions, and the daemon asks ten times a second what
waits. All instances of a process share the pool, so that none leaves connections behind.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from backtest_pipeline.orchestration.dagster_internals.compat import replace, uses

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

_STORAGES = {
    "dagster_postgres.run_storage.run_storage": "PostgresRunStorage",
    "dagster_postgres.event_log.event_log": "PostgresEventLogStorage",
    "dagster_postgres.schedule_storage.schedule_storage": "PostgresScheduleStorage",
}


_AT_ONCE = 3
_KEEPALIVES = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"


def keep_connections() -> None:
    """Makes the storages that this process creates share a pool; without PostgreSQL it does nothing.

    Raises:
        InternalsChanged: the storages create their connections another way.
    """
    if not os.environ.get("DAGSTER_PG_HOST") and "dagster_postgres" not in sys.modules:
        return
    for name, storage in _STORAGES.items():
        module = import_module(name)
        uses(module, storage)
        replace(module, "create_pg_engine", _pooled, used_by=getattr(module, storage).__init__)


def keep_those_of_a_launch() -> None:
    """Has the web server keep as many connections of each storage as a launch needs at once.

    Dagster keeps one, and limits how long it is waited for an answer. A launch holds a lock by one connection
    while it writes by another, so each of its questions made a connection anew. Without PostgreSQL it does
    nothing.

    Raises:
        InternalsChanged: the web server's connections are made another way.
    """
    if not os.environ.get("DAGSTER_PG_HOST"):
        return
    for name, storage in _STORAGES.items():
        module = import_module(name)
        used_by = getattr(module, storage).optimize_for_webserver
        replace(module, "create_pg_engine", _of_a_launch, used_by=used_by)


def _of_a_launch(url: str, token_provider: Any = None, **options: Any) -> Engine:
    from dagster_postgres.utils import create_pg_engine  # noqa: PLC0415  as below

    if options.get("pool_size") == 1:
        options["pool_size"] = _AT_ONCE
    return create_pg_engine(url, token_provider, **options)


def _pooled(url: str, token_provider: Any = None, **options: Any) -> Engine:
    """An engine in the place of the one that Dagster would create."""
    from dagster_postgres.utils import create_pg_engine  # noqa: PLC0415  an extra, which need not be there

    if token_provider is not None:  # short-lived passwords: Dagster knows best when to connect
        return create_pg_engine(url, token_provider, **options)
    return _engine(url, options.get("isolation_level", "AUTOCOMMIT"))


@cache
def _engine(url: str, isolation_level: str) -> Engine:
    from sqlalchemy import create_engine  # noqa: PLC0415  comes with dagster, and takes its time

    # A connection that the server has closed meanwhile is noticed and replaced. One whose machine has
    # vanished is noticed by the server, which frees the locks that it holds.
    return create_engine(
        url,
        isolation_level=isolation_level,
        pool_size=2,
        max_overflow=20,
        pool_pre_ping=True,
        connect_args={"options": _KEEPALIVES},
    )
