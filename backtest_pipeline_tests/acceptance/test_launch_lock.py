"""The lock under which runs are started, on each database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dagster import DagsterInstance

from backtest_pipeline.local_service.home import prepare
from backtest_pipeline.model.errors import LockNotAcquired
from backtest_pipeline.orchestration.tasks.launch_locks import launch_lock

TRY = """
from dagster import DagsterInstance
from backtest_pipeline.orchestration.tasks.launch_locks import launch_lock
from backtest_pipeline.model.errors import LockNotAcquired
with DagsterInstance.get() as instance:
    try:
        with launch_lock(instance, wait=False):
            print("held")
    except LockNotAcquired as error:
        print(error)
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
        with launch_lock(instance, wait=True):
            assert "the lock for starting runs is held by somebody else" in tried_elsewhere()
            with pytest.raises(LockNotAcquired), launch_lock(instance, wait=False):
                pytest.fail("the block of a lock that is not had may not begin")
        assert tried_elsewhere() == "held"
    assert (tmp_path / ".launch.lock").exists() != bool(database)  # PostgreSQL has locks of its own
