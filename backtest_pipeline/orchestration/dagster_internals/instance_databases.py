"""How a process talks to its instance's databases, and the first start of several processes at once."""

from __future__ import annotations

from dagster import DagsterInstance

from backtest_pipeline.orchestration.dagster_internals import (
    migration_scripts,
    pooled_postgres,
    pooled_sqlite,
)
from backtest_pipeline.orchestration.dagster_internals.run_writes import write_one_at_a_time
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.locks import file_lock


def create_databases() -> None:
    """Create the instance's databases where they are not there yet, one process after another.

    Dagster creates the tables of an SQLite database when it first opens it, and a process that does so while
    another does ends with "table already exists".
    """
    home = get_settings().dagster_home
    home.mkdir(parents=True, exist_ok=True)
    with file_lock(home / "databases.lock", "the databases"), DagsterInstance.get():
        pass


def use_databases_well(*, each_commit_lasts: bool = True) -> None:
    """Makes the instances of this process keep their connections, and write a run's row one at a time.

    Args:
        each_commit_lasts: as of `pooled_sqlite`; no for a worker, whose run begins again after a power cut.

    Raises:
        InternalsChanged: Dagster talks to its databases another way.
    """
    pooled_sqlite.keep_connections(each_commit_lasts=each_commit_lasts)
    pooled_postgres.keep_connections()
    migration_scripts.read_once()
    write_one_at_a_time()
