"""A run is started past the queue only where nothing waits, a slot is free and its code answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals import coordinator
from backtest_pipeline.orchestration.dagster_internals.coordinator import BacktestRunCoordinator

QUEUED, STARTED = dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the runs that were started."""
    found: list[str] = []

    @contextmanager
    def free(*_: object, wait: bool) -> Iterator[None]:
        assert not wait, "a submission never waits for somebody else's start"
        yield

    monkeypatch.setattr(coordinator, "launch_lock", free)
    monkeypatch.setattr(coordinator, "code_answers", lambda *_: True)
    monkeypatch.setattr(dg.DagsterInstance, "launch_run", lambda _self, run_id, _: found.append(run_id))
    return found


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        monkeypatch.setattr(BacktestRunCoordinator, "_instance", made)
        yield made


def _add(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus = QUEUED, **run_tags: str
) -> dg.DagsterRun:
    location = GrpcServerCodeLocationOrigin(host="localhost", port=1, location_name="backtest_pipeline")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "backtest")
    run: dg.DagsterRun = create_run_for_test(
        instance,
        job_name="backtest",
        status=status,
        tags={name.replace("__", "/"): value for name, value in run_tags.items()},
        remote_job_origin=origin,
        job_code_origin=JobPythonOrigin(
            "backtest", RepositoryPythonOrigin("python", ModuleCodePointer("x", "y"))
        ),
    )
    return run


def _submit(run: dg.DagsterRun, **limits: Any) -> None:
    settings: dict[str, Any] = {"max_concurrent_runs": 2, **limits}
    BacktestRunCoordinator(**settings)._start_if_free(run, None)  # type: ignore[arg-type]  # nobody looks at it


def test_an_idle_service_starts_it_at_once(instance: dg.DagsterInstance, started: list[str]) -> None:
    run = _add(instance)
    _submit(run)
    assert started == [run.run_id]


def test_who_comes_second_waits_behind_who_came_first(
    instance: dg.DagsterInstance, started: list[str]
) -> None:
    _add(instance)
    _submit(_add(instance))
    assert started == []


@pytest.mark.parametrize(
    ("running", "most", "starts"), [(1, 2, True), (2, 2, False), (9, -1, True), (0, 0, False)]
)
def test_no_more_run_than_may(
    instance: dg.DagsterInstance, started: list[str], running: int, most: int, starts: bool
) -> None:
    for _ in range(running):
        _add(instance, STARTED)
    _submit(_add(instance), max_concurrent_runs=most)
    assert bool(started) == starts


@pytest.mark.parametrize(("strategy", "starts"), [("sma_cross", False), ("ema_cross", True)])
def test_limits_by_tag_hold_past_the_queue_too(
    instance: dg.DagsterInstance, started: list[str], strategy: str, starts: bool
) -> None:
    limit = {"key": tags.STRATEGY, "value": "sma_cross", "limit": 1}
    _add(instance, STARTED, backtest__strategy="sma_cross")
    _submit(_add(instance, backtest__strategy=strategy), tag_concurrency_limits=[limit])
    assert bool(started) == starts


def test_a_retry_whose_wait_is_not_over_is_left_in_the_queue(
    instance: dg.DagsterInstance, started: list[str]
) -> None:
    _submit(_add(instance, backtest__not_before="99999999999"))
    assert started == []


def test_what_is_not_queued_is_not_started_again(instance: dg.DagsterInstance, started: list[str]) -> None:
    _submit(_add(instance, STARTED))
    assert started == []


def test_a_code_server_that_is_away_costs_the_run_no_attempt(
    instance: dg.DagsterInstance, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def away(name: str, _: object) -> bool:
        asked.append(name)
        return False

    monkeypatch.setattr(coordinator, "code_answers", away)
    _submit(_add(instance))
    assert (asked, started) == (["backtest_pipeline"], [])
