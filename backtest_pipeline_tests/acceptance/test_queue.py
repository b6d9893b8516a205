"""Who may run beside whom, and who is next."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.local_service.home import prepare
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import free_port
from backtest_pipeline_tests.polling import PATIENCE_S

ROOT = Path(__file__).parents[2]
LIMITS = """    max_concurrent_runs: 2
    tag_concurrency_limits:
      - key: backtest/strategy
        value: {applyLimitPerUniqueValue: true}
        limit: 1
"""


def test_a_limit_per_strategy_and_priorities_decide_who_runs(
    demo_candles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("BACKTEST_STRATEGIES", "backtest_pipeline_tests.acceptance.trouble_strategies")
    prepare(tmp_path)
    mine = (tmp_path / "dagster.yaml").read_text().partition("\n")[2]
    (tmp_path / "dagster.yaml").write_text(mine.replace("    max_concurrent_runs: 2\n", LIMITS))
    service = LocalService(
        Settings(data_root=demo_candles, dagster_home=tmp_path, reports_ahead=False), port=free_port()
    )

    def slow(priority: int) -> BacktestRequest:
        return BacktestRequest(strategy="slow", params={"seconds": 0.4}, symbols=["IBM"], priority=priority)

    with service.running(), BacktestClient(service.url, data_root=demo_candles) as client:
        tasks = [client.submit(slow(priority)).task_id for priority in (0, 1, 5, 3)]
        other = client.submit(BacktestRequest(strategy="buy_and_hold", symbols=["IBM"]), reuse=False).task_id
        assert client.wait(other, timeout_s=PATIENCE_S).state == "completed"
        most, deadline = 0, time.monotonic() + PATIENCE_S
        while not all(status.final for status in client.statuses(tasks)):
            most = max(most, sum(status.state == "running" for status in client.statuses(tasks)))
            assert time.monotonic() < deadline
        first, low, high, middle = client.statuses(tasks)
    assert most == 1  # one of a strategy, though two may run
    started = {
        status.started_at: name for name, status in zip("flhm", (first, low, high, middle), strict=True)
    }
    assert "".join(started[moment] for moment in sorted(started, key=str)) == "fhml"
