"""What a run is marked with when it is submitted."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.dagster_internals import queue_daemon
from backtest_pipeline.orchestration.dagster_internals.code_location import code_answers
from backtest_pipeline.orchestration.dagster_internals.launcher import timed_out
from backtest_pipeline.orchestration.dagster_internals.queue_daemon import PromptQueueDaemon, _last_written
from backtest_pipeline.orchestration.tasks.alerts import Alerts
from backtest_pipeline.orchestration.tasks.submission_tags import submission_tags


def _run(config: dict[str, Any], **run_tags: str) -> dg.DagsterRun:
    return dg.DagsterRun(
        job_name="backtest",
        run_config=config,
        tags={key.replace("__", "/"): value for key, value in run_tags.items()},
        root_run_id=run_tags.get("dagster__root_run_id"),
        parent_run_id=run_tags.get("dagster__root_run_id"),
    )


def _record(run: dg.DagsterRun, *, start_time: float) -> dg.RunRecord:
    then = datetime(2026, 1, 2, tzinfo=UTC)
    return dg.RunRecord(1, run, create_timestamp=then, update_timestamp=then, start_time=start_time)


def test_what_dagster_reads_from_tags_is_taken_from_the_form_wherever_it_was_filled_in() -> None:
    config = {
        "strategy": {"sma_cross": {"fast": 3}},
        "symbols": ["AAPL", "IBM"],
        "priority": 7,
        "max_retries": 0,
        "timeout_s": 60,
        "labels": {"desk": "rates"},
    }
    run_tags = submission_tags(_run(config), now_s=0.0)
    assert run_tags[tags.STRATEGY] == "sma_cross"
    assert run_tags[tags.SYMBOLS] == "AAPL,IBM"
    assert run_tags["dagster/priority"] == "7"
    assert run_tags["dagster/max_retries"] == "0"
    assert run_tags["dagster/max_runtime"] == "60"
    assert run_tags["label/desk"] == "rates"


@pytest.mark.parametrize(
    "config", [{}, {"strategy": "sma_cross"}, {"labels": 3, "symbols": "AAPL", "priority": "x"}]
)
def test_a_form_that_is_wrong_is_left_to_the_first_op(config: dict[str, Any]) -> None:
    run_tags = submission_tags(_run(config), now_s=0.0)
    assert not {tags.STRATEGY, tags.SYMBOLS, "label/desk"} & set(run_tags)


def test_what_a_form_leaves_out_is_as_the_request_has_it() -> None:
    """A launchpad's run would have no time limit otherwise."""
    usual = BacktestRequest(strategy="sma_cross", symbols=["AAPL"])
    run_tags = submission_tags(_run({}), now_s=0.0)
    assert run_tags["dagster/max_runtime"] == str(usual.timeout_s) == "3600"
    assert run_tags["dagster/max_retries"] == str(usual.max_retries) == "2"
    assert run_tags["dagster/priority"] == str(usual.priority) == "0"
    assert "dagster/priority" not in submission_tags(_run({}, dagster__priority="9"), now_s=0.0)


def test_all_symbols_are_told() -> None:
    many = [f"S{number}" for number in range(300)]
    assert submission_tags(_run({"symbols": many}), now_s=0.0)[tags.SYMBOLS].split(",") == many


def test_no_tag_is_longer_than_an_index_of_postgres_takes() -> None:
    many = [f"{number:032}" for number in range(500)]
    config = {"symbols": many, "labels": {"about": "길다" * 1_000, "desk": "rates"}}
    run_tags = submission_tags(_run(config), now_s=0.0)
    assert max(len(value.encode()) for value in run_tags.values()) <= 2_004
    told = run_tags[tags.SYMBOLS].split(",")
    assert told == many[: len(told)]
    assert len(told) == 2_000 // 33
    assert run_tags["label/about"].endswith("길…") or run_tags["label/about"].endswith("다…")
    assert run_tags["label/desk"] == "rates"


@pytest.mark.parametrize("value", ["soon", "nan", "-inf", ""])
def test_a_tag_that_is_no_number_stops_nobody(value: str) -> None:
    odd = _run({}, backtest__not_before=value, dagster__max_runtime=value)
    good = _run({})
    assert PromptQueueDaemon(interval_seconds=1)._priority_sort([odd, good]) == [odd, good]
    assert not timed_out(_record(odd, start_time=0.0), now_s=1e12)
    assert submission_tags(odd, now_s=0.0)[tags.NOT_BEFORE] == ""


def test_tasks_of_a_code_server_that_is_away_stay_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [_run({}), _run({})]
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


@pytest.mark.parametrize(("number", "wait_s"), [(1, 1), (2, 2), (3, 4), (6, 32), (10, 300)])
def test_each_retry_waits_twice_as_long_as_the_one_before_up_to_five_minutes(
    number: int, wait_s: int
) -> None:
    retry = _run({}, dagster__retry_number=str(number), dagster__root_run_id="root")
    run_tags = submission_tags(retry, now_s=1_000.0)
    assert float(run_tags[tags.NOT_BEFORE]) == 1_000 + wait_s
    assert run_tags[tags.STAGE] == f"waiting {wait_s} s before attempt {number + 1}"


def test_a_retry_forgets_the_failure_of_the_attempt_before() -> None:
    retry = _run({}, dagster__retry_number="1", dagster__root_run_id="root", backtest__error="disk full")
    assert submission_tags(retry, now_s=0.0)[tags.ERROR] == ""


def test_the_queue_gives_higher_priorities_first_and_no_retry_before_its_time() -> None:
    low, high = _run({}, dagster__priority="1"), _run({}, dagster__priority="5")
    early = _run({}, dagster__priority="9", backtest__not_before="99999999999")
    late = _run({}, dagster__priority="3", backtest__not_before="1")
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


def test_a_notifier_that_fails_is_logged_and_never_in_the_way(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("alerts")
    with caplog.at_level(logging.WARNING, logger="alerts"):
        alerts = Alerts("no-address, json://127.0.0.1:9/nobody", "http://web", log)
        alerts.failed(_run({}, backtest__strategy="sma_cross"), "broken")
    assert "entry 1 of ALERT_URLS is no notification URL" in caplog.text
    assert "could not be sent" in caplog.text
