"""What becomes of a task when something dies, hangs or is taken away."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline import BacktestClient, BacktestRequest, TaskStatus
from backtest_pipeline.compute.local_processes import cores
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.model.manifest import Manifest
from backtest_pipeline.model.status import FINAL_STATES
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance.live import free_port, standing_workers
from backtest_pipeline_tests.polling import PATIENCE_S, until

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Troubled:
    """A pipeline whose strategies make trouble, and the alerts that it has sent."""

    service: LocalService
    client: BacktestClient
    store: TaskStore
    alerts: list[dict[str, Any]]

    def submit(self, strategy: str, **changes: Any) -> str:
        request = BacktestRequest(**{"strategy": strategy, "symbols": ["IBM"], **changes})
        return self.client.submit(request, reuse=False).task_id

    def wait(self, task_id: str) -> TaskStatus:
        return self.client.wait(task_id, timeout_s=PATIENCE_S)

    def wait_until_running(self, task_id: str) -> None:
        def at_work() -> bool:
            now = self.client.status(task_id)
            assert not now.final, f"it has ended before it was seen at work: {now}"
            return now.stage == "signals"

        until(at_work, "the strategy to be at work")

    def manifest(self, task_id: str) -> Manifest:
        """The final manifest, which a sensor may write some seconds after the worker's death."""
        until(lambda: self.store.layout.manifest(task_id).exists(), "the manifest")
        return self.store.manifest(task_id)


@pytest.fixture(scope="module")
def alerts() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An address that alerts can be sent to, and what has arrived there."""
    arrived: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Keeps quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"json://127.0.0.1:{server.server_address[1]}/alerts", arrived
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def troubled(
    tmp_path_factory: pytest.TempPathFactory, demo_candles: Path, alerts: tuple[str, list[dict[str, Any]]]
) -> Iterator[Troubled]:
    """A pipeline of its own, as its processes get killed."""
    url, arrived = alerts
    home = tmp_path_factory.mktemp("troubled")
    service = LocalService(
        Settings(data_root=demo_candles, dagster_home=home, reports_ahead=False), port=free_port()
    )
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(ROOT))
            patch.setenv("BACKTEST_STRATEGIES", "backtest_pipeline_tests.acceptance.trouble_strategies")
            patch.setenv("ALERT_URLS", f"{url},json://127.0.0.1:9/nobody-listens")
            stack.enter_context(service.running())
        client = stack.enter_context(BacktestClient(service.url, data_root=demo_candles))
        yield Troubled(service, client, TaskStore(demo_candles), arrived)


def test_a_worker_that_is_killed_is_replaced_and_the_task_completes(
    troubled: Troubled, tmp_path: Path
) -> None:
    task_id = troubled.submit("dies_once", params={"mark": str(tmp_path / "mark")})
    ended = troubled.wait(task_id)
    assert (ended.state, ended.attempt, ended.error) == ("completed", 2, None)
    manifest = troubled.manifest(task_id)
    assert (manifest.status, manifest.attempt, len(manifest.run_ids)) == ("completed", 2, 2)
    assert len(troubled.client.result(task_id).trades) == 1


def test_killing_the_workers_that_stand_by_costs_no_attempt_and_others_take_their_place(
    troubled: Troubled,
) -> None:
    code_server = troubled.service.processes["code"].pid
    assert code_server is not None
    slots = min(2, cores())  # two runs at once, by `dagster.yaml`
    until(lambda: len(standing_workers(code_server)) == slots, "workers to stand by")
    killed = standing_workers(code_server)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    ended = troubled.wait(troubled.submit("buy_and_hold"))
    assert (ended.state, ended.attempt) == ("completed", 1)
    until(lambda: len(standing_workers(code_server)) == slots, "workers to stand by again")
    assert not {*killed} & {*standing_workers(code_server)}


@pytest.mark.parametrize("strategy", ["disk_trouble_once", "memory_trouble_once"])
def test_trouble_with_disk_or_memory_is_tried_again(
    troubled: Troubled, tmp_path: Path, strategy: str
) -> None:
    task_id = troubled.submit(strategy, params={"mark": str(tmp_path / "mark")})
    ended = troubled.wait(task_id)
    assert (ended.state, ended.attempt) == ("completed", 2)


def test_a_task_whose_worker_always_dies_fails_once_its_retries_are_used_up_and_one_alert_tells(
    troubled: Troubled,
) -> None:
    task_id = troubled.submit("dies_always", max_retries=1, labels={"desk": "rates"})
    ended = troubled.wait(task_id)
    assert (ended.state, ended.attempt) == ("failed", 2)
    manifest = troubled.manifest(task_id)
    assert (manifest.status, manifest.attempt) == ("failed", 2)
    assert manifest.error is not None
    assert manifest.error.type == "WorkerDied"
    assert manifest.request["labels"] == {"desk": "rates"}
    until(lambda: any(task_id in alert["message"] for alert in troubled.alerts), "the alert")
    time.sleep(6)  # one more look of the sensor: nothing may be told twice
    [alert] = [alert for alert in troubled.alerts if task_id in alert["message"]]
    assert "strategy: dies_always" in alert["message"]
    assert "symbols: IBM" in alert["message"]
    assert f"{troubled.service.url}/runs/{manifest.run_ids[-1]}" in alert["message"]


def test_no_alert_tells_of_a_task_that_was_retried_and_completed(troubled: Troubled) -> None:
    completed = {task.task_id for task in troubled.client.list_tasks(state="completed")}
    assert completed
    assert not [alert for alert in troubled.alerts if any(task in alert["message"] for task in completed)]


def test_a_running_task_can_be_cancelled_and_says_so(troubled: Troubled) -> None:
    task_id = troubled.submit("slow", params={"seconds": 300})
    troubled.wait_until_running(task_id)
    asked_at = time.monotonic()
    troubled.client.cancel(task_id)
    ended = troubled.wait(task_id)
    assert ended.state == "cancelled"
    assert time.monotonic() - asked_at < 60  # some seconds on an idle machine; the task itself lasts longer
    assert troubled.manifest(task_id).status == "cancelled"


def test_a_worker_that_is_stuck_in_native_code_is_killed_at_its_timeout_and_not_tried_again(
    troubled: Troubled,
) -> None:
    started_at = time.monotonic()
    task_id = troubled.submit("stuck", params={"seconds": 300}, timeout_s=2)
    ended = troubled.wait(task_id)
    assert (ended.state, ended.attempt) == ("failed", 1)
    assert ended.error == "took longer than its timeout_s of 2 s; raise it, or ask for less at once"
    manifest = troubled.manifest(task_id)
    assert manifest.error is not None
    assert "timeout_s of 2 s" in manifest.error.message
    quick = troubled.submit("buy_and_hold")
    assert troubled.wait(quick).state == "completed"
    log = troubled.service.processes["code"].log
    until(lambda: f"the worker of run {task_id} does not stop; killing it" in log.read_text(), "the kill")
    assert time.monotonic() - started_at < 180  # well under a minute on an idle machine


def test_a_task_survives_the_death_of_the_code_server(troubled: Troubled) -> None:
    task_id = troubled.submit("slow", params={"seconds": 8})
    troubled.wait_until_running(task_id)
    code = troubled.service.processes["code"]
    code.kill()
    code.start()
    ended = troubled.wait(task_id)
    assert (ended.state, ended.attempt) == ("completed", 2)
    assert troubled.manifest(task_id).attempt == 2


def test_queued_and_running_tasks_survive_the_death_of_the_daemon(troubled: Troubled) -> None:
    tasks = [troubled.submit("slow", params={"seconds": 1}) for _ in range(4)]
    daemon = troubled.service.processes["daemon"]
    daemon.kill()
    daemon.start()
    assert [troubled.wait(task_id).state for task_id in tasks] == ["completed"] * 4


def test_every_task_ends_well_after_all_processes_were_killed_at_once(troubled: Troubled) -> None:
    tasks = [troubled.submit("slow", params={"seconds": seconds}) for seconds in (8, 1.5, 1.5, 1.5)]
    troubled.wait_until_running(tasks[0])
    for process in troubled.service.processes.values():
        process.kill()
    for process in troubled.service.processes.values():
        process.start()
    until(lambda: _answers(troubled.client, tasks[0]), "the web server")
    restarted_at = time.monotonic()
    ends = [troubled.wait(task_id) for task_id in tasks]
    assert [ended.state for ended in ends] == ["completed"] * 4
    assert time.monotonic() - restarted_at < 180  # well under a minute on an idle machine
    for task_id in tasks:
        assert troubled.client.result(task_id).manifest is not None


def _answers(client: BacktestClient, task_id: str) -> bool:
    try:
        return client.status(task_id).state in {*FINAL_STATES, "queued", "running"}
    except Exception:  # noqa: BLE001  whatever a starting server answers
        return False
