"""Two processes that write to the same run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.test_utils import create_run_for_test

from backtest_pipeline.orchestration.dagster_internals import run_writes
from backtest_pipeline.orchestration.dagster_internals.run_writes import write_one_at_a_time
from backtest_pipeline_tests.acceptance.postgres import postgres_server

MEANWHILE_S = 0.3


@pytest.fixture
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("home"))) as instance:
        yield instance


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("add_run_tags", "handle_run_event"):  # for this test only
        monkeypatch.setattr(SqlRunStorage, name, getattr(SqlRunStorage, name))
    write_one_at_a_time()


def _tags_after(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, write: Callable[[str], object]
) -> dict[str, str]:
    """Writes the tag `mine`; between its reading of the row and its writing, somebody else calls `write`."""
    run_id = create_run_for_test(instance, job_name="backtest", status=dg.DagsterRunStatus.STARTED).run_id
    read = SqlRunStorage._get_run_by_id
    others: list[threading.Thread] = []

    def read_and_linger(storage: Any, asked: str) -> Any:
        run = read(storage, asked)
        if not others:
            others.append(threading.Thread(target=write, args=(run_id,)))
            others[0].start()
            others[0].join(MEANWHILE_S)
        return run

    monkeypatch.setattr(SqlRunStorage, "_get_run_by_id", read_and_linger)
    instance.run_storage.add_run_tags(run_id, {"mine": "1"})
    others[0].join()
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return {
        "status": run.status.value,
        **{key: run.tags[key] for key in ("mine", "theirs") if key in run.tags},
    }


def test_dagster_alone_loses_what_somebody_else_has_written(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When this fails, Dagster has learned it, and ours can go."""
    found = _tags_after(
        instance, monkeypatch, lambda run_id: instance.run_storage.add_run_tags(run_id, {"theirs": "2"})
    )
    assert found == {"status": "STARTED", "mine": "1"}


@pytest.mark.usefixtures("one_at_a_time")
def test_tags_of_both_are_kept(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _tags_after(
        instance, monkeypatch, lambda run_id: instance.run_storage.add_run_tags(run_id, {"theirs": "2"})
    )
    assert found == {"status": "STARTED", "mine": "1", "theirs": "2"}


@pytest.mark.usefixtures("one_at_a_time")
def test_a_new_status_keeps_tags(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(run_id: str) -> None:
        event = dg.DagsterEvent(dg.DagsterEventType.RUN_FAILURE.value, "backtest")
        instance.run_storage.handle_run_event(run_id, event)

    assert _tags_after(instance, monkeypatch, fail) == {"status": "FAILURE", "mine": "1"}


@pytest.mark.service
@pytest.mark.usefixtures("one_at_a_time")
def test_the_same_on_postgres(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_server() as server:
        for name, value in server.env.items():
            monkeypatch.setenv(name, value)
        storage = {
            "postgres": {
                "postgres_db": {
                    "hostname": {"env": "DAGSTER_PG_HOST"},
                    "port": int(server.env["DAGSTER_PG_PORT"]),
                    "username": {"env": "DAGSTER_PG_USERNAME"},
                    "password": {"env": "DAGSTER_PG_PASSWORD"},
                    "db_name": {"env": "DAGSTER_PG_DB"},
                    "scheme": "postgresql+psycopg2",
                }
            }
        }
        home = str(tmp_path_factory.mktemp("home"))
        with dg.DagsterInstance.local_temp(home, overrides={"storage": storage}) as instance:
            found = _tags_after(
                instance,
                monkeypatch,
                lambda run_id: instance.run_storage.add_run_tags(run_id, {"theirs": "2"}),
            )
    assert found == {"status": "STARTED", "mine": "1", "theirs": "2"}


@pytest.mark.usefixtures("one_at_a_time")
def test_who_waits_too_long_writes_all_the_same(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_writes, "PATIENCE_S", 0.0)
    found = _tags_after(
        instance, monkeypatch, lambda run_id: instance.run_storage.add_run_tags(run_id, {"theirs": "2"})
    )
    assert found == {"status": "STARTED", "mine": "1"}, "as without a lock; nobody hangs"


_TOLD = {
    dg.DagsterEventType.RUN_STARTING: dg.DagsterRunStatus.STARTING,
    dg.DagsterEventType.RUN_START: dg.DagsterRunStatus.STARTED,
    dg.DagsterEventType.RUN_CANCELING: dg.DagsterRunStatus.CANCELING,
    dg.DagsterEventType.RUN_CANCELED: dg.DagsterRunStatus.CANCELED,
    dg.DagsterEventType.RUN_SUCCESS: dg.DagsterRunStatus.SUCCESS,
    dg.DagsterEventType.RUN_FAILURE: dg.DagsterRunStatus.FAILURE,
}


@pytest.mark.parametrize(
    "ended", [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
)
@pytest.mark.parametrize("told", _TOLD)
def test_an_ended_run_stays_what_it_is_whatever_is_told_of_it_later(
    instance: dg.DagsterInstance,
    one_at_a_time: None,
    ended: dg.DagsterRunStatus,
    told: dg.DagsterEventType,
) -> None:
    over, at_work = (
        create_run_for_test(instance, job_name="backtest", status=one).run_id
        for one in (ended, dg.DagsterRunStatus.MANAGED)
    )
    for run_id in (over, at_work):
        instance.run_storage.handle_run_event(run_id, dg.DagsterEvent(told.value, "backtest"))
    found = {run.run_id: run.status for run in instance.get_runs()}
    assert found == {over: ended, at_work: _TOLD[told]}


@pytest.mark.usefixtures("one_at_a_time")
def test_a_run_that_is_launched_and_begun_after_its_cancellation_stays_cancelled(
    instance: dg.DagsterInstance,
) -> None:
    """As where the queue had read it before, and its worker looked before."""
    run_id = create_run_for_test(instance, job_name="backtest").run_id
    for told in ("RUN_CANCELED", "RUN_STARTING", "RUN_START", "RUN_SUCCESS"):
        event = dg.DagsterEvent(dg.DagsterEventType[told].value, "backtest")
        instance.run_storage.handle_run_event(run_id, event)
    run = instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is dg.DagsterRunStatus.CANCELED
