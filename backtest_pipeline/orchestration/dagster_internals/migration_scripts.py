"""The scripts that migrate Dagster's tables, read once a process.

Whoever opens an instance compares each SQLite database's revision with the newest script's. To know that one,
all scripts are loaded, some ninety files for each of two databases: a tenth of a second for each backtest's
worker, and again for each worker that the code server buries.
"""

from __future__ import annotations

from functools import cache

from alembic.config import Config
from alembic.script import ScriptDirectory
from dagster._core.storage import sql

from backtest_pipeline.orchestration.dagster_internals.compat import replace


class _ScriptsReadOnce:
    """Stands for the class of alembic where Dagster asks for the newest revision."""

    @staticmethod
    def from_config(config: Config) -> ScriptDirectory:
        """Return the scripts of a configuration, the same object each time."""
        places = config.get_section(config.config_ini_section) or {}
        return _scripts(tuple(sorted(places.items())))


def read_once() -> None:
    """Makes the instances that this process opens share what they read of the scripts.

    The scripts belong to the installed package and change with it alone. A process that is forked later has
    what its parent has read.

    Raises:
        InternalsChanged: Dagster finds the newest revision another way.
    """
    replace(sql, "ScriptDirectory", _ScriptsReadOnce, used_by=sql.check_alembic_revision)


@cache
def _scripts(places: tuple[tuple[str, str], ...]) -> ScriptDirectory:
    config = Config()
    for option, value in places:
        config.set_main_option(option, value)
    return ScriptDirectory.from_config(config)
