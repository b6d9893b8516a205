"""A worker that results would not be safe with does not start."""

from __future__ import annotations

import os
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
