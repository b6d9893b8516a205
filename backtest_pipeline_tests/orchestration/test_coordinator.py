"""What a run is marked with when it is submitted."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.alerts import Alerts
from backtest_pipeline.orchestration.coordinator import submission_tags
from backtest_pipeline.orchestration.queue_daemon import PromptQueueDaemon, _last_written


def _run(config: dict[str, Any], **marks: str) -> dg.DagsterRun:
    return dg.DagsterRun(
        job_name="backtest",
        run_config=config,
        tags={key.replace("__", "/"): value for key, value in marks.items()},
        root_run_id=marks.get("dagster__root_run_id"),
        parent_run_id=marks.get("dagster__root_run_id"),
    )


def test_what_dagster_reads_from_tags_is_taken_from_the_form_wherever_it_was_filled_in() -> None:
    config = {
        "strategy": {"sma_cross": {"fast": 3}},
        "symbols": ["AAPL", "IBM"],
        "priority": 7,
        "max_retries": 0,
        "timeout_s": 60,
        "labels": {"desk": "rates"},
    }
    marks = submission_tags(_run(config), now_s=0.0)
    assert marks[tags.STRATEGY] == "sma_cross"
    assert marks[tags.SYMBOLS] == "AAPL,IBM"
    assert marks["dagster/priority"] == "7"
    assert marks["dagster/max_retries"] == "0"
    assert marks["dagster/max_runtime"] == "60"
    assert marks["label/desk"] == "rates"


@pytest.mark.parametrize(
    "config", [{}, {"strategy": "sma_cross"}, {"labels": 3, "symbols": "AAPL", "priority": "x"}]
)
def test_a_form_that_is_wrong_is_left_to_the_first_op(config: dict[str, Any]) -> None:
    marks = submission_tags(_run(config), now_s=0.0)
    assert set(marks) == {tags.PROGRESS, tags.STAGE}


@pytest.mark.parametrize(("number", "wait_s"), [(1, 1), (2, 2), (3, 4), (6, 32), (10, 300)])
def test_each_retry_waits_twice_as_long_as_the_one_before_up_to_five_minutes(
    number: int, wait_s: int
) -> None:
    retry = _run({}, dagster__retry_number=str(number), dagster__root_run_id="root")
    marks = submission_tags(retry, now_s=1_000.0)
    assert float(marks[tags.NOT_BEFORE]) == 1_000 + wait_s
    assert marks[tags.STAGE] == f"waiting {wait_s} s before attempt {number + 1}"


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


def test_a_notifier_that_fails_is_logged_and_never_in_the_way(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("alerts")
    with caplog.at_level(logging.WARNING, logger="alerts"):
        alerts = Alerts("no-address, json://127.0.0.1:9/nobody", "http://web", log)
        alerts.failed(_run({}, backtest__strategy="sma_cross"), "broken")
    assert "entry 1 of ALERT_URLS is no notification URL" in caplog.text
    assert "could not be sent" in caplog.text
