"""Processes that hang while the service runs, and results that are deleted while backtests write them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from backtest_pipeline import BacktestClient, BacktestRequest
from backtest_pipeline.candles.demo import import_demo
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.web.monitoring.liveness import ENDED_AFTER_S, read_sign, sign_file
from backtest_pipeline_tests.acceptance.live import backtest_up, free_port, run_backtest_command
from backtest_pipeline_tests.polling import PATIENCE_S, until

ROOT = Path(__file__).parents[2]


@dataclass
class Up:
    """A running `backtest up` with a data root of its own, and what it has said."""

    url: str
    env: dict[str, str]
    said: list[str] = field(default_factory=list)

    @property
    def store(self) -> TaskStore:
        return TaskStore(self.env["DATA_ROOT"])

    def client(self) -> BacktestClient:
        return BacktestClient(self.url, data_root=self.env["DATA_ROOT"])

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_backtest_command(arguments, self.env)

    def pid(self, name: str) -> int:
        sign = read_sign(sign_file(Path(self.env["DAGSTER_HOME"]), name))
        assert sign is not None
        return sign.pid

    def health(self) -> tuple[int, dict[str, tuple[bool, str]]]:
        answer = httpx.get(f"{self.url}/healthz", timeout=30)
        checks = answer.json()["checks"]
        return answer.status_code, {check["name"]: (check["ok"], check["detail"]) for check in checks}

    def has_said(self, words: str) -> bool:
        return any(words in line for line in self.said)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder, port = tmp_path_factory.mktemp("health"), free_port()
    import_demo(CandleStore(folder / "data"))
    env = {
        **os.environ,
        "DATA_ROOT": str(folder / "data"),
        "DAGSTER_HOME": str(folder / "home"),
        "BACKTEST_URL": f"http://127.0.0.1:{port}",
        "PYTHONPATH": str(ROOT),
        "BACKTEST_STRATEGIES": "backtest_pipeline_tests.acceptance.trouble_strategies",
    }
    with backtest_up(port, env) as process:
        assert process.stderr is not None
        one, errors = Up(env["BACKTEST_URL"], env), process.stderr
        reading = threading.Thread(target=lambda: one.said.extend(errors))
        reading.start()
        yield one
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        reading.join()


def test_a_daemon_and_a_code_server_that_hang_are_told_by_health_and_by_up_until_they_go_on(up: Up) -> None:
    until(lambda: up.health()[0] == 200, "the service to be well")
    web = sign_file(Path(up.env["DAGSTER_HOME"]), f"web-{up.url.rpartition(':')[2]}")
    first = read_sign(web)
    assert first is not None
    until(lambda: read_sign(web) not in {None, first}, "another sign of the web server's")
    stopped = [up.pid("daemon"), up.pid("code")]
    stopped_at = time.monotonic()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: up.has_said("daemon gives no sign of life"), "`up` to tell of the daemon")
        until(lambda: up.has_said("code gives no sign of life"), "`up` to tell of the code server")
        until(lambda: "no sign of life" in up.health()[1]["daemon"][1], "health to tell of the daemon")
        status, checks = up.health()
        assert status == 503
        assert (checks["daemon"][0], checks["code server"][0], checks["database"][0]) == (False, False, True)
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    in_time = time.monotonic() - stopped_at < ENDED_AFTER_S - 10  # half of it on an idle machine
    until(lambda: up.health()[0] == 200, "the service to be well again")
    if in_time:
        until(lambda: up.has_said("daemon gives signs of life again"), "`up` to tell that too")
        assert [up.pid("daemon"), up.pid("code")] == stopped
    with up.client() as client:
        task = client.submit(BacktestRequest(strategy="buy_and_hold", symbols=["IBM"]))
        assert client.wait(task.task_id, timeout_s=PATIENCE_S).state == "completed"


def test_no_task_that_completes_after_the_tasks_folder_was_deleted_is_without_its_result(up: Up) -> None:
    """What had completed before is lost, and is named; what a cleanup deletes is not."""
    with up.client() as client:
        requests = [
            BacktestRequest(strategy="slow", params={"seconds": 0.1}, symbols=["IBM"], seed=seed)
            for seed in range(12)
        ]
        tasks = client.submit_many(requests)
        until(lambda: len(client.list_tasks(state="completed", strategy="slow")) >= 2, "two tasks")
        with suppress(OSError):  # a worker may write in between, which shall not save the rest
            shutil.rmtree(up.store.layout.tasks)
        shutil.rmtree(up.store.layout.tasks, ignore_errors=True)
        deleted_at = datetime.now(UTC)
        ends = [client.wait(task.task_id, timeout_s=PATIENCE_S) for task in tasks]
    assert {ended.state for ended in ends} == {"completed"}, (
        "a retry has helped where publishing again did not"
    )
    later = [ended for ended in ends if ended.finished_at is not None and ended.finished_at > deleted_at]
    assert len(later) >= 5
    for ended in later:
        assert up.store.result(ended.task_id).manifest is not None
    without = {ended.task_id for ended in ends if not up.store.layout.manifest(ended.task_id).exists()}
    assert without

    done = up.command("verify", "--all", "--json")
    found = json.loads(done.stdout)
    named = {
        one["task_id"] for one in found if any("its result is gone" in problem for problem in one["problems"])
    }
    assert done.returncode == 1
    assert without <= named
    assert not named & {ended.task_id for ended in later}
    assert all(one["ok"] for one in found if one["task_id"] not in named)
    doctor = {one["what"]: one for one in json.loads(up.command("doctor", "--json").stdout)}
    assert not doctor["lost results"]["ok"]
    assert f"{len(named):,} tasks" in doctor["lost results"]["detail"]

    assert up.command("cleanup", "--older-than-days", "0.000001").returncode == 0
    assert not up.store.task_ids()
    again = json.loads(up.command("verify", "--all", "--json").stdout)
    assert {one["task_id"] for one in again} == named, "what the cleanup has deleted is not lost"
