"""The first start of several processes on one DAGSTER_HOME at once."""

from __future__ import annotations

from dagster import DagsterInstance

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
