"""What a run is marked with when it is submitted."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals import queue_daemon
from backtest_pipeline.orchestration.dagster_internals.code_location import code_answers
from backtest_pipeline.orchestration.dagster_internals.queue_daemon import PromptQueueDaemon, _last_written
from backtest_pipeline.orchestration.tasks.submission_tags import submission_tags
from backtest_pipeline.orchestration.tasks.timeouts import timed_out
from backtest_pipeline_tests.orchestration.queued_runs import submitted_run


def _record(run: dg.DagsterRun, *, start_time: float) -> dg.RunRecord:
    then = datetime(2026, 1, 2, tzinfo=UTC)
    return dg.RunRecord(1, run, create_timestamp=then, update_timestamp=then, start_time=start_time)


@pytest.mark.parametrize("value", ["soon", "nan", "-inf", ""])
def test_a_tag_that_is_no_number_stops_nobody(value: str) -> None:
    odd = submitted_run({}, backtest__not_before=value, dagster__max_runtime=value)
    good = submitted_run({})
    assert PromptQueueDaemon(interval_seconds=1)._priority_sort([odd, good]) == [odd, good]
    assert not timed_out(_record(odd, start_time=0.0), now_s=1e12)
    assert submission_tags(odd, now_s=0.0)[tags.NOT_BEFORE] == ""


def test_tasks_of_a_code_server_that_is_away_stay_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [submitted_run({}), submitted_run({})]
    monkeypatch.setattr(QueuedRunCoordinatorDaemon, "_get_runs_to_dequeue", lambda *_: runs)
    daemon = PromptQueueDaemon(interval_seconds=1)
    there = False
    monkeypatch.setattr(queue_daemon, "code_answers", lambda *_: there)
    daemon._workspace = object()  # type: ignore[assignment]  # only handed on
    with dg.instance_for_test() as instance:
        assert daemon._get_runs_to_dequeue(instance, None, None) == []
        there = True
        assert daemon._get_runs_to_dequeue(instance, None, None) == runs


def test_a_location_that_does_not_load_or_answer_gets_no_run() -> None:
    class Workspace:
        def get_code_location(self, name: str) -> object:
            raise DagsterUserCodeUnreachableError(name)

    assert not code_answers("backtest_pipeline", Workspace())  # type: ignore[arg-type]  # enough of one


def test_the_queue_says_the_same_line_once_a_minute() -> None:
    said = queue_daemon._SaidOnce()

    def passes(line: str, at: float) -> bool:
        record = logging.LogRecord("queue", logging.INFO, "", 0, line, None, None)
        record.created = at
        return said.filter(record)

    assert [passes("full", at) for at in (100.0, 100.1, 159.0, 161.0)] == [True, False, False, True]
    assert passes("launched", 161.0)


def test_the_queue_gives_higher_priorities_first_and_no_retry_before_its_time() -> None:
    low, high = submitted_run({}, dagster__priority="1"), submitted_run({}, dagster__priority="5")
    early = submitted_run({}, dagster__priority="9", backtest__not_before="99999999999")
    late = submitted_run({}, dagster__priority="3", backtest__not_before="1")
    ordered = PromptQueueDaemon(interval_seconds=1)._priority_sort([low, early, late, high])
    assert [run.run_id for run in ordered] == [high.run_id, late.run_id, low.run_id]


def test_an_idle_queue_is_asked_again_only_after_a_write(tmp_path: Path) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        files = [path for path in (tmp_path / "history").glob("runs.db*") if path.name != "runs.db-shm"]
        assert files
        os.utime(files[0])
        assert _last_written(instance) is None, "a write a moment ago"
        for path in files:
            os.utime(path, (1_000, 1_000))
        before = _last_written(instance)
        assert before is not None
        assert _last_written(instance) == before
        os.utime(files[0], (2_000, 2_000))
        assert _last_written(instance) != before


def test_a_file_left_from_sqlite_says_nothing_about_runs_that_are_kept_elsewhere(tmp_path: Path) -> None:
    left = tmp_path / "history" / "runs.db"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (1_000, 1_000))
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        assert instance.root_directory == str(tmp_path)
        assert _last_written(instance) is None


@pytest.mark.slow
def test_it_is_the_file_in_use_that_is_looked_at(tmp_path: Path) -> None:
    left = tmp_path / "history" / "runs.db"
    left.parent.mkdir()
    left.touch()
    elsewhere = tmp_path / "elsewhere"
    storage = {"run_storage": {"module": "dagster._core.storage.runs", "class": "SqliteRunStorage"}}
    storage["run_storage"]["config"] = {"base_dir": str(elsewhere)}  # type: ignore[assignment]
    with dg.instance_for_test(overrides=storage, temp_dir=str(tmp_path)) as instance:
        for path in (left, *elsewhere.glob("runs.db*")):
            os.utime(path, (1_000, 1_000))
        before = _last_written(instance)
        os.utime(left, (2_000, 2_000))
        assert _last_written(instance) == before
        os.utime(elsewhere / "runs.db", (2_000, 2_000))
        assert _last_written(instance) != before
