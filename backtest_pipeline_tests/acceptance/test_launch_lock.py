"""The lock under which runs are started, on each database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dagster import DagsterInstance

from backtest_pipeline.orchestration.launch_lock import launch_lock
from backtest_pipeline.service.home import prepare

TRY = """
from dagster import DagsterInstance
from backtest_pipeline.orchestration.launch_lock import launch_lock
with DagsterInstance.get() as instance, launch_lock(instance, wait=False) as locked:
    print(locked)
"""


def test_only_one_process_holds_the_lock_at_a_time(
    database: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**database, "DAGSTER_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    prepare(tmp_path)

    def tried_elsewhere() -> str:
        done = subprocess.run(
            [sys.executable, "-c", TRY], env=dict(os.environ), capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    with DagsterInstance.get() as instance:
        storage = type(instance.run_storage).__name__
        assert ("Postgres" in storage) == bool(database)
        with launch_lock(instance, wait=True) as locked:
            assert locked
            assert tried_elsewhere() == "False"
            with launch_lock(instance, wait=False) as again:
                assert not again
        assert tried_elsewhere() == "True"
    assert (tmp_path / ".launch.lock").exists() != bool(database)  # PostgreSQL has locks of its own
