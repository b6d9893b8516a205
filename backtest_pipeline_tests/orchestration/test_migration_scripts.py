"""What opening an instance reads of the scripts that migrate Dagster's tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from alembic.script import ScriptDirectory
from dagster._core.storage import sql

from backtest_pipeline.orchestration.dagster_internals import migration_scripts


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sql, "ScriptDirectory", ScriptDirectory)  # put back after the test
    migration_scripts.read_once()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with dg.DagsterInstance.get():
        pass
    return tmp_path


@pytest.mark.usefixtures("home")
def test_only_the_first_instance_of_a_process_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_again(*_: object) -> None:
        raise AssertionError("the scripts are read again")

    monkeypatch.setattr(ScriptDirectory, "_load_revisions", read_again)
    with dg.DagsterInstance.get() as instance:
        assert instance.get_runs() == []


def test_a_database_of_an_older_dagster_is_still_noticed(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        newest = instance.run_storage.alembic_version()
    assert newest is not None
    with closing(sqlite3.connect(next(home.rglob("runs.db")))) as database, database:
        database.execute("update alembic_version set version_num = '7f2b1a4ca7a5'")
    with dg.DagsterInstance.get() as instance:
        assert instance.run_storage.alembic_version() == ("7f2b1a4ca7a5", newest[1])
