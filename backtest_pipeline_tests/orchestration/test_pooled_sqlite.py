"""A process's connections to SQLite."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from dagster._core.test_utils import create_run_for_test

from backtest_pipeline.orchestration.dagster_internals import pooled_sqlite
from backtest_pipeline.orchestration.dagster_internals.pooled_sqlite import keep_connections
from backtest_pipeline_tests.polling import until

_ONE_EVENT_LOG = """
event_log_storage:
  module: dagster._core.storage.event_log
  class: ConsolidatedSqliteEventLogStorage
  config:
    base_dir: {home}/history
"""


@pytest.fixture
def patchable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The storages are Dagster's own, whatever this process has replaced, and are put back after the test."""
    for name in pooled_sqlite._STORAGES:
        monkeypatch.setattr(import_module(name), "create_engine", sqlalchemy.create_engine)
    name = "has_run_stats_index_cols"
    monkeypatch.setattr(SqlRunStorage, name, getattr(SqlRunStorage, name))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that have been opened."""
    found: list[str] = []
    connect = sqlite3.connect

    def counted(file: str, *args: Any, **kwargs: Any) -> sqlite3.Connection:
        found.append(Path(file).name)
        made: sqlite3.Connection = connect(file, *args, **kwargs)
        return made

    monkeypatch.setattr(sqlite3, "connect", counted)
    monkeypatch.setattr("sqlite3.dbapi2.connect", counted)
    return found


def _instance(home: Path) -> dg.DagsterInstance:
    (home / "dagster.yaml").write_text(_ONE_EVENT_LOG.format(home=home))
    return dg.DagsterInstance.from_config(str(home))


@pytest.fixture(scope="module")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has the databases, whose making takes seconds."""
    folder = tmp_path_factory.mktemp("empty")
    with _instance(folder) as instance:
        assert instance.all_instigator_state() == []
    return folder


@pytest.fixture
def home(empty_home: Path, tmp_path: Path) -> Path:
    """A home of the test's own."""
    return shutil.copytree(empty_home, tmp_path / "home")


@pytest.fixture
def instance(patchable: None, home: Path) -> Iterator[dg.DagsterInstance]:
    keep_connections()
    with _instance(home) as made:
        yield made


def _ask_all(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.get_run_by_id(run.run_id)
    instance.add_run_tags(run.run_id, {"a": "1"})
    instance.report_engine_event("something happened", run)
    instance.all_instigator_state()


def test_twenty_rounds_of_questions_open_no_file_again(
    instance: dg.DagsterInstance, opened: list[str]
) -> None:
    run = create_run_for_test(instance, job_name="backtest")
    _ask_all(instance, run)
    opened.clear()
    for _ in range(20):
        _ask_all(instance, run)
    assert opened == []


@pytest.mark.usefixtures("patchable")
def test_dagster_alone_opens_a_file_for_each_question(home: Path, opened: list[str]) -> None:
    """When this fails, Dagster keeps its connections, and ours can go."""
    with _instance(home) as instance:
        run = create_run_for_test(instance, job_name="backtest")
        opened.clear()
        for _ in range(20):
            _ask_all(instance, run)
    assert {name: opened.count(name) >= 20 for name in ("runs.db", "event_log.db", "schedules.db")} == {
        "runs.db": True,
        "event_log.db": True,
        "schedules.db": True,
    }


def test_threads_ask_at_the_same_time(instance: dg.DagsterInstance) -> None:
    run = create_run_for_test(instance, job_name="backtest")

    def note(number: int) -> None:
        instance.report_engine_event(f"number {number}", run)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(note, range(80)))
    told = {entry.get_dagster_event().message for entry in instance.all_logs(run.run_id)}
    assert {f"number {number}" for number in range(80)} <= told


def test_what_another_process_writes_is_seen(instance: dg.DagsterInstance) -> None:
    run = create_run_for_test(instance, job_name="backtest")
    assert instance.get_run_by_id(run.run_id)
    with sqlite3.connect(Path(instance.root_directory) / "history" / "runs.db") as other:
        other.execute("UPDATE runs SET status = 'FAILURE'")
    other.close()
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status == dg.DagsterRunStatus.FAILURE


def test_who_follows_a_run_hears_of_its_events_at_once(instance: dg.DagsterInstance) -> None:
    run = create_run_for_test(instance, job_name="backtest")
    _ask_all(instance, run)
    heard: list[str] = []
    instance.watch_event_logs(
        run.run_id, None, lambda entry, _cursor: heard.append(entry.get_dagster_event().message or "")
    )
    for number in range(10):
        instance.report_engine_event(f"number {number}", run)
        until(partial(heard.__contains__, f"number {number}"), "the event")


def test_a_database_that_was_put_back_is_the_one_that_is_asked(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    history = Path(instance.root_directory) / "history"
    kept = create_run_for_test(instance, job_name="backtest").run_id
    with sqlite3.connect(history / "runs.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    shutil.copy(history / "runs.db", tmp_path / "copy.db")
    lost = create_run_for_test(instance, job_name="backtest").run_id
    for name in ("runs.db", "runs.db-wal", "runs.db-shm"):
        (history / name).unlink(missing_ok=True)
    (tmp_path / "copy.db").rename(history / "runs.db")
    assert instance.get_run_by_id(kept) is not None
    assert instance.get_run_by_id(lost) is None


@pytest.mark.parametrize(("each_commit_lasts", "synchronous"), [(True, 2), (False, 1)])
@pytest.mark.usefixtures("patchable")
def test_a_workers_commits_do_not_wait_for_the_disk(
    home: Path, each_commit_lasts: bool, synchronous: int
) -> None:
    keep_connections(each_commit_lasts=each_commit_lasts)
    with _instance(home) as instance, instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        assert connection.execute(sqlalchemy.text("PRAGMA synchronous")).scalar() == synchronous
        assert connection.execute(sqlalchemy.text("PRAGMA journal_mode")).scalar() == "wal"
