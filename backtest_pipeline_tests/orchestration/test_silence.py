"""Workers and servers that say nothing."""

from __future__ import annotations

import logging
import multiprocessing
import time
from typing import Any

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._grpc.server import DagsterApiServer
from dagster._grpc.types import ExecuteExternalJobArgs
from dagster._serdes import serialize_value

from backtest_pipeline.orchestration import launcher, warm_server
from backtest_pipeline.orchestration.launcher import BacktestRunLauncher
from backtest_pipeline.orchestration.warm_server import WarmApiServer

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
