"""Workers and servers that say nothing."""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.process
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test
from dagster._grpc.server import DagsterApiServer
from dagster._grpc.types import CancelExecutionRequest, CancelExecutionResult, ExecuteExternalJobArgs
from dagster._serdes import deserialize_value, serialize_value

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals import launcher, warm_server
from backtest_pipeline.orchestration.dagster_internals.launcher import BacktestRunLauncher
from backtest_pipeline.orchestration.dagster_internals.warm_server import WarmApiServer

RUN = dg.DagsterRun(job_name="backtest", run_id="0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0")


class _Client:
    """A code server's, which answers what it is told to."""

    def __init__(self, known: list[str] | Exception) -> None:
        self.known = known

    def get_current_runs(self) -> list[str]:
        if isinstance(self.known, Exception):
            raise self.known
        return self.known


def test_a_code_server_that_is_silent_for_minutes_has_lost_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    client = _Client(ConnectionError("nobody"))
    asking = BacktestRunLauncher()
    monkeypatch.setattr(asking, "_get_grpc_client_for_termination", lambda _: client)

    def status() -> WorkerStatus:
        return asking.check_run_worker_health(RUN).status

    assert status() == WorkerStatus.RUNNING
    now_s += launcher.GIVE_UP_SERVER_AFTER_S
    assert status() == WorkerStatus.RUNNING
    client.known = [RUN.run_id]
    assert status() == WorkerStatus.RUNNING
    client.known = ConnectionError("nobody")
    now_s += 1
    assert status() == WorkerStatus.RUNNING, "the silence counts anew"
    now_s += launcher.GIVE_UP_SERVER_AFTER_S + 1
    assert status() == WorkerStatus.NOT_FOUND
    client.known = []
    assert status() == WorkerStatus.NOT_FOUND


@pytest.mark.slow
def test_nothing_is_kept_of_silent_runs_that_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.instance_for_test() as instance:
        asking = BacktestRunLauncher()
        asking.register_instance(instance)
        silent = _Client(ConnectionError("nobody"))

        def client_of(run_id: str) -> object:
            run = instance.get_run_by_id(run_id)
            return None if run is None or run.is_finished else silent

        monkeypatch.setattr(asking, "_get_grpc_client_for_termination", client_of)
        for _ in range(20):
            run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
            assert asking.check_run_worker_health(run).status == WorkerStatus.RUNNING
            instance.report_run_failed(run)
        assert len(asking._silent_since_s) == 1, "of the last, which has ended since"
        assert asking.check_run_worker_health(run).status == WorkerStatus.RUNNING
        assert asking._silent_since_s == {}
        going = [create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED) for _ in range(3)]
        for one in going:
            asking.check_run_worker_health(one)
        assert set(asking._silent_since_s) == {one.run_id for one in going}
        instance.delete_run(going[0].run_id)
        asking.check_run_worker_health(create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED))
        assert going[0].run_id not in asking._silent_since_s
        assert set(asking._silent_since_s) > {one.run_id for one in going[1:]}


def test_a_worker_that_does_not_report_is_killed_and_its_start_ends(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    worker.start()
    server = WarmApiServer.__new__(WarmApiServer)
    server._executions = {RUN.run_id: (worker, None)}  # type: ignore[dict-item]  # nobody looks at the instance
    server._logger = logging.getLogger("silence")
    monkeypatch.setattr(server, "_seem_away_when_stopping", lambda _: None)
    monkeypatch.setattr(warm_server, "START_WITHIN_S", 0.2)

    def until_it_is_dead(*_: object) -> int | None:
        worker.join(30)
        return worker.exitcode

    monkeypatch.setattr(DagsterApiServer, "StartRun", until_it_is_dead)
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="backtest_pipeline")
    job = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "backtest")
    asked: Any = type("Request", (), {})()
    asked.serialized_execute_run_args = serialize_value(
        ExecuteExternalJobArgs(job_origin=job, run_id=RUN.run_id, instance_ref=None)
    )
    assert server.StartRun(asked, None) == -9
    assert "does not report" in caplog.text


@pytest.fixture
def server() -> Iterator[WarmApiServer]:
    """As much of a code server as cancelling needs."""
    server = WarmApiServer.__new__(WarmApiServer)
    server._execution_lock = threading.Lock()
    server._executions, server._termination_times = {}, {}
    server._to_interrupt, server._interrupted_again = {}, set()
    yield server
    for worker, _ in server._executions.values():
        worker.kill()
        worker.join()


def _cancel(server: WarmApiServer) -> bool:
    asked: Any = type("Request", (), {})()
    asked.serialized_cancel_execution_request = serialize_value(CancelExecutionRequest(run_id=RUN.run_id))
    reply = server.CancelExecution(asked, None)
    return deserialize_value(reply.serialized_cancel_execution_result, CancelExecutionResult).success


def _started(target: Callable[..., object], *arguments: object) -> multiprocessing.process.BaseProcess:
    worker = multiprocessing.get_context("spawn").Process(target=target, args=arguments)
    worker.start()
    return worker


def _deaf_at_first(heard: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    heard.set()
    time.sleep(0.5)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    time.sleep(60)


def test_a_cancellation_that_comes_before_its_worker_is_not_forgotten(server: WarmApiServer) -> None:
    assert not _cancel(server)
    server._interrupt_late()  # nothing to interrupt yet
    worker = _started(time.sleep, 60)
    server._executions[RUN.run_id] = (worker, None)  # type: ignore[assignment]  # nobody looks at the instance
    server._interrupt_late()
    worker.join(30)
    assert worker.exitcode is not None
    assert not server._to_interrupt


@pytest.mark.slow
def test_a_worker_that_missed_its_interrupt_gets_another(
    server: WarmApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_server, "AGAIN_AFTER_S", 1.0)
    heard = multiprocessing.get_context("spawn").Event()
    worker = _started(_deaf_at_first, heard)
    assert heard.wait(30)
    server._executions[RUN.run_id] = (worker, None)  # type: ignore[assignment]  # as above
    assert _cancel(server)
    deadline = time.monotonic() + 30
    while worker.is_alive():
        server._interrupt_late()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert worker.exitcode == -signal.SIGINT


def test_a_run_past_its_timeout_has_failed_before_its_worker_hears_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that is interrupted while its run is being cancelled calls it cancelled."""
    mine = {
        "module": "backtest_pipeline.orchestration.dagster_internals.launcher",
        "class": "BacktestRunLauncher",
    }
    with dg.instance_for_test({"run_launcher": mine}) as instance:
        run_tags = {tags.MAX_RUNTIME: "0"}
        run = instance.add_run(
            dg.DagsterRun(job_name="backtest", status=dg.DagsterRunStatus.STARTING, tags=run_tags)
        )
        instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "backtest"), run.run_id)
        statuses = []

        class Client:
            def cancel_execution(self, asked: CancelExecutionRequest) -> None:
                found = instance.get_run_by_id(asked.run_id)
                assert found is not None
                statuses.append((found.status, found.tags[tags.MAX_RETRIES]))

        launching = instance.run_launcher
        monkeypatch.setattr(launching, "_get_grpc_client_for_termination", lambda _: Client())
        time.sleep(0.01)
        assert not launching.terminate(run.run_id)
    assert statuses == [(dg.DagsterRunStatus.FAILURE, "0")]
