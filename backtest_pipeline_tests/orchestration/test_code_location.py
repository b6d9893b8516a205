"""A code server that is away keeps tasks waiting; a question that cannot be asked is told."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import grpc
import pytest
from dagster._core.errors import (
    DagsterCodeLocationLoadError,
    DagsterCodeLocationNotFoundError,
    DagsterUserCodeUnreachableError,
)
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._daemon.types import DaemonHeartbeat
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.client import DagsterGrpcClient
from dagster_shared.error import SerializableErrorInfo

from backtest_pipeline.orchestration.dagster_internals import queue_daemon
from backtest_pipeline.orchestration.dagster_internals.code_location import code_answers
from backtest_pipeline.orchestration.dagster_internals.queue_daemon import PromptQueueDaemon
from backtest_pipeline.orchestration.dagster_internals.service_health import _database_and_daemons


class _Said(grpc.RpcError):  # type: ignore[misc]  # gRPC has no types
    """What gRPC raises, with a status."""

    def __init__(self, status: grpc.StatusCode) -> None:
        self._status = status

    def code(self) -> grpc.StatusCode:
        return self._status


def _workspace(answer: Exception | None) -> Any:
    """A workspace with one location behind a real client, whose server answers or raises."""
    client = DagsterGrpcClient(port=1, host="localhost")

    def respond(*_: object, **__: object) -> None:
        if answer is not None:
            raise answer

    client._get_response = respond  # type: ignore[method-assign]  # in the place of a connection
    return SimpleNamespace(get_code_location=lambda _: SimpleNamespace(client=client))


def _workspace_that_raises(error: Exception) -> Any:
    def get_code_location(_: str) -> None:
        raise error

    return SimpleNamespace(get_code_location=get_code_location)


def test_a_server_that_answers_is_there() -> None:
    assert code_answers("ours", _workspace(None))


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_a_server_that_is_not_reached_is_away(status: grpc.StatusCode) -> None:
    assert not code_answers("ours", _workspace(_Said(status)))


@pytest.mark.parametrize(
    "error",
    [
        DagsterCodeLocationLoadError("it does not load", load_error_infos=[]),  # type: ignore[no-untyped-call]  # of Dagster
        DagsterCodeLocationNotFoundError("it is still loading"),
        DagsterUserCodeUnreachableError("it is away"),
    ],
)
def test_a_location_that_has_not_loaded_is_away(error: Exception) -> None:
    assert not code_answers("ours", _workspace_that_raises(error))


@pytest.mark.parametrize(
    "answer",
    [
        AttributeError("'DagsterApiStub' object has no attribute 'Ping'"),
        TypeError("unexpected keyword argument 'echo'"),
        _Said(grpc.StatusCode.UNIMPLEMENTED),
        _Said(grpc.StatusCode.UNKNOWN),
        _Said(grpc.StatusCode.INTERNAL),
    ],
)
def test_a_question_that_is_none_is_no_absence(answer: Exception) -> None:
    with pytest.raises(DagsterUserCodeUnreachableError) as caught:
        code_answers("ours", _workspace(answer))
    assert caught.value.__cause__ is answer


@pytest.mark.parametrize("gone", ["client", "_query", "get_code_location"])
def test_a_renamed_method_is_no_absence(gone: str) -> None:
    workspace: Any = None
    if gone == "get_code_location":
        workspace = SimpleNamespace()
    elif gone == "client":
        workspace = SimpleNamespace(get_code_location=lambda _: SimpleNamespace())
    else:
        workspace = SimpleNamespace(get_code_location=lambda _: SimpleNamespace(client=SimpleNamespace()))
    with pytest.raises(AttributeError, match=gone):
        code_answers("ours", workspace)


def test_a_question_that_fails_keeps_no_task_waiting_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole loop of Dagster's daemon, three rounds of it."""
    due = [dg.DagsterRun(job_name="backtest"), dg.DagsterRun(job_name="backtest")]
    started: list[str] = []

    def dequeue(self: Any, _context: Any, _coordinator: Any, runs: Any, *_: Any, **__: Any) -> Iterator[None]:
        started.extend(run.run_id for run in runs)
        yield

    monkeypatch.setattr(QueuedRunCoordinatorDaemon, "_get_runs_to_dequeue", lambda *_: due)
    monkeypatch.setattr(QueuedRunCoordinatorDaemon, "_dequeue_runs_iter", dequeue)
    monkeypatch.setattr(dagster_api_pb2, "PingRequest", None)
    monkeypatch.setattr(queue_daemon, "LOOK_EVERY_S", 0.01)
    queue = {"run_coordinator": {"module": "dagster.core.run_coordinator", "class": "QueuedRunCoordinator"}}
    with dg.instance_for_test(overrides=queue) as instance:
        monkeypatch.setattr(instance, "get_run_ids", lambda *_, **__: [run.run_id for run in due])
        daemon = PromptQueueDaemon(interval_seconds=1)
        daemon._logger = logging.getLogger("queue")
        daemon._logger.addFilter(queue_daemon._SaidOnce())
        context: Any = SimpleNamespace(instance=instance, create_request_context=lambda: _workspace(None))
        loop = daemon.core_loop(context, SimpleNamespace(wait=lambda _: None))  # type: ignore[arg-type]  # enough
        told: list[SerializableErrorInfo] = []
        while len(told) < 3:
            step = next(loop)
            told += [step] if isinstance(step, SerializableErrorInfo) else []
    assert started == [run.run_id for run in due] * 3
    assert "NoneType" in told[0].to_string()
    assert caplog.text.count("Caught error") == 1, "once a minute"


def test_the_health_says_what_a_part_of_the_daemon_reports() -> None:
    error = SerializableErrorInfo("TypeError: 'NoneType' object is not callable\n", [], "TypeError")
    with dg.instance_for_test() as instance:
        needed = instance.get_required_daemon_types()
        for kind in needed:
            faults = [error] if kind == "SENSOR" else []
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time(), kind, None, errors=faults))
        [database, daemon] = _database_and_daemons(instance, Path(instance.root_directory), time.time())
    assert database.ok
    assert not daemon.ok
    assert (
        daemon.detail
        == "errors in sensor (TypeError: 'NoneType' object is not callable); see the daemon's log"
    )
