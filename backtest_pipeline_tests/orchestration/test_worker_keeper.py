"""A worker does not start where results would not be safe, and does not outlive the process that keeps it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backtest_pipeline.model.errors import VolumeUnfit
from backtest_pipeline.orchestration.processes.worker_keeper import WorkerKeeper
from backtest_pipeline.settings import Settings


def test_a_worker_does_not_start_on_a_volume_that_keeps_no_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(22, "Invalid argument")

    settings = Settings(
        data_root=tmp_path, dagster_home=tmp_path / "home", backtest_broker_url="redis://127.0.0.1:1/0"
    )
    keeper = WorkerKeeper(settings, concurrency=1, queues=["runs"])
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(VolumeUnfit, match=r"would not be safe in .*cannot be synced"):
        keeper.prepare()


def test_pools_whose_keeper_has_died_while_they_were_starting_end_at_once(tmp_path: Path) -> None:
    module = "backtest_pipeline.orchestration.processes.worker_pools"
    nobody = ["--worker", "w", "--folder", str(tmp_path), "--concurrency", "1", "--keeper", "1"]
    done = subprocess.run([sys.executable, "-m", module, *nobody], check=False, timeout=120)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []
