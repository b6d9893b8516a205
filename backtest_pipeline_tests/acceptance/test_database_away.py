"""PostgreSQL goes away under load and comes back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.model.errors import ServiceError
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import free_port
from backtest_pipeline_tests.acceptance.postgres import postgres_server

ROOT = Path(__file__).parents[2]
AWAY_S = 10
PATIENCE_S = 120


def test_every_task_completes_though_the_database_was_away_for_a_while(
    demo_candles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BACKTEST_STRATEGIES", "backtest_pipeline_tests.acceptance.trouble_strategies")
    request = BacktestRequest(strategy="slow", params={"seconds": 2}, symbols=["IBM"], max_retries=5)
    with postgres_server() as postgres:
        for name, value in postgres.env.items():
            monkeypatch.setenv(name, value)
        service = LocalService(
            Settings(data_root=demo_candles, dagster_home=tmp_path, reports_ahead=False), port=free_port()
        )
        with service.running(), BacktestClient(service.url, data_root=demo_candles) as client:
            tasks = [client.submit(request, reuse=False).task_id for _ in range(5)]
            postgres.stop()
            time.sleep(AWAY_S)
            postgres.start()
            ends = [_end_of(client, task_id) for task_id in tasks]
            assert [ended.state for ended in ends] == ["completed"] * 5
            for ended in ends:
                manifest = client.result(ended.task_id).manifest
                assert manifest is not None
                assert manifest.attempt == ended.attempt


def _end_of(client: BacktestClient, task_id: str) -> TaskStatus:
    """The final status; while the database is away, the server's errors are ours and hide its inner parts."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return client.wait(task_id, timeout_s=PATIENCE_S)
        except ServiceError as error:
            told = str(error)
        assert "SELECT" not in told
        assert time.monotonic() < deadline, told
        time.sleep(0.5)
