"""Several processes that start on a fresh DAGSTER_HOME at once."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

_PROGRAM = """
import sys
from dagster import DagsterInstance
from backtest_pipeline.orchestration.dagster_internals.instance_databases import create_databases
print("imported", flush=True)
sys.stdin.readline()
create_databases()
with DagsterInstance.get() as instance:
    assert instance.get_runs() == []
"""


@pytest.mark.slow
def test_processes_that_start_at_once_create_the_databases_once(tmp_path: Path) -> None:
    env = {**os.environ, "DAGSTER_HOME": str(tmp_path)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [
        subprocess.Popen([sys.executable, "-c", _PROGRAM], env=env, text=True, **pipes)  # type: ignore[call-overload]
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "imported\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    with closing(sqlite3.connect(tmp_path / "schedules" / "schedules.db")) as database:
        assert len(database.execute("select * from alembic_version").fetchall()) == 1
