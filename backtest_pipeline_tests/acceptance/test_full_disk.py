"""A disk that is full, and one that cannot be written."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtest_pipeline import BacktestClient, BacktestRequest, TaskStatus
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import free_port
from backtest_pipeline_tests.polling import PATIENCE_S, until

REQUEST = BacktestRequest(strategy="sma_cross", symbols=["AAPL"], max_retries=1)


def _mount(*arguments: str) -> bool:
    program = shutil.which("mount")
    return program is not None and subprocess.run([program, *arguments], check=False).returncode == 0


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory, demo_candles: Path) -> Iterator[Path]:
    """A data root on a file system of its own, with the candles of one symbol and room for some results."""
    folder = tmp_path_factory.mktemp("small")
    if os.geteuid() != 0 or not _mount("-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)):
        pytest.skip("only root may mount a small disk, and not in every container")
    try:
        shutil.copytree(demo_candles / "AAPL", folder / "AAPL")
        yield folder
    finally:
        subprocess.run([str(shutil.which("umount")), "--lazy", str(folder)], check=True)


@pytest.fixture
def filler(small_disk: Path) -> Iterator[Path]:
    """A file to fill the disk with, that is gone for the next test."""
    yield small_disk / "filler"
    (small_disk / "filler").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def service(small_disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    home = tmp_path_factory.mktemp("home")
    service = LocalService(
        Settings(data_root=small_disk, dagster_home=home, reports_ahead=False), port=free_port()
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BACKTEST_STRATEGIES", "backtest_pipeline_tests.acceptance.trouble_strategies")
        with service.running():
            yield service


@pytest.fixture
def client(service: LocalService, small_disk: Path) -> Iterator[BacktestClient]:
    with BacktestClient(service.url, data_root=small_disk) as client:
        yield client


def _ended(client: BacktestClient, request: BacktestRequest = REQUEST) -> TaskStatus:
    return client.wait(client.submit(request, reuse=False).task_id, timeout_s=PATIENCE_S)


def test_a_disk_without_room_for_the_result_fails_the_task_before_the_work(
    client: BacktestClient, small_disk: Path, filler: Path
) -> None:
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 1_000_000))
    ended = _ended(client)
    assert (ended.state, ended.attempt) == ("failed", 2)
    assert ended.error is not None
    assert "the result may take 4.8 MB" in ended.error  # 4.5 MB + 3,270 candles x 100 bytes
    assert ended.stage == "failed: loading candles"


def test_a_disk_that_fills_up_meanwhile_fails_the_task_and_leaves_nothing_half_written(
    client: BacktestClient, small_disk: Path, filler: Path
) -> None:
    filling = BacktestRequest(
        strategy="fills_disk", params={"mark": str(filler)}, symbols=["AAPL"], max_retries=0
    )
    ended = _ended(client, filling)
    assert ended.state == "failed"
    assert ended.error is not None
    assert "No space left on device" in ended.error
    assert not (small_disk / "tasks" / ended.task_id).exists()
    assert not list(small_disk.glob("tasks/.staging/*"))

    filler.unlink()
    manifest = small_disk / "tasks" / ended.task_id / "manifest.json"
    until(manifest.exists, "the record, which is written as soon as there is room")
    again = _ended(client)
    assert again.state == "completed"
    assert len(client.result(again.task_id).equity) == 3_270


def test_a_read_only_disk_fails_the_task_with_its_reason(client: BacktestClient, small_disk: Path) -> None:
    assert _mount("-o", "remount,ro", str(small_disk))
    try:
        ended = _ended(client)
    finally:
        assert _mount("-o", "remount,rw", str(small_disk))
    assert (ended.state, ended.attempt) == ("failed", 2)
    assert ended.error is not None
    assert "Read-only file system" in ended.error
