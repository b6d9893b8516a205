"""The tags that a run gets when it is submitted."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.tasks.submission_tags import submission_tags
from backtest_pipeline_tests.orchestration.queued_runs import submitted_run

UNKNOWN = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"


def test_what_dagster_reads_from_tags_is_taken_from_the_form_wherever_it_was_filled_in() -> None:
    config = {
        "strategy": {"sma_cross": {"fast": 3}},
        "symbols": ["AAPL", "IBM"],
        "priority": 7,
        "max_retries": 0,
        "timeout_s": 60,
        "labels": {"desk": "rates"},
    }
    run_tags = submission_tags(submitted_run(config), now_s=0.0)
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
    run_tags = submission_tags(submitted_run(config), now_s=0.0)
    assert not {tags.STRATEGY, tags.SYMBOLS, "label/desk"} & set(run_tags)


def test_what_a_form_leaves_out_is_as_the_request_has_it() -> None:
    """A launchpad's run would have no time limit otherwise."""
    usual = BacktestRequest(strategy="sma_cross", symbols=["AAPL"])
    run_tags = submission_tags(submitted_run({}), now_s=0.0)
    assert run_tags["dagster/max_runtime"] == str(usual.timeout_s) == "3600"
    assert run_tags["dagster/max_retries"] == str(usual.max_retries) == "2"
    assert run_tags["dagster/priority"] == str(usual.priority) == "0"
    assert "dagster/priority" not in submission_tags(submitted_run({}, dagster__priority="9"), now_s=0.0)


def test_all_symbols_are_told() -> None:
    many = [f"S{number}" for number in range(300)]
    assert submission_tags(submitted_run({"symbols": many}), now_s=0.0)[tags.SYMBOLS].split(",") == many


def test_no_tag_is_longer_than_an_index_of_postgres_takes() -> None:
    many = [f"{number:032}" for number in range(500)]
    config = {"symbols": many, "labels": {"about": "길다" * 1_000, "desk": "rates"}}
    run_tags = submission_tags(submitted_run(config), now_s=0.0)
    assert max(len(value.encode()) for value in run_tags.values()) <= 2_004
    told = run_tags[tags.SYMBOLS].split(",")
    assert told == many[: len(told)]
    assert len(told) == 2_000 // 33
    assert run_tags["label/about"].endswith("길…") or run_tags["label/about"].endswith("다…")
    assert run_tags["label/desk"] == "rates"


@pytest.mark.parametrize(("number", "wait_s"), [(1, 1), (2, 2), (3, 4), (6, 32), (10, 300)])
def test_each_retry_waits_twice_as_long_as_the_one_before_up_to_five_minutes(
    number: int, wait_s: int
) -> None:
    retry = submitted_run({}, dagster__retry_number=str(number), dagster__root_run_id="root")
    run_tags = submission_tags(retry, now_s=1_000.0)
    assert float(run_tags[tags.NOT_BEFORE]) == 1_000 + wait_s
    assert run_tags[tags.STAGE] == f"waiting {wait_s} s before attempt {number + 1}"


def test_a_retry_forgets_the_failure_of_the_attempt_before() -> None:
    retry = submitted_run(
        {}, dagster__retry_number="1", dagster__root_run_id="root", backtest__error="disk full"
    )
    assert submission_tags(retry, now_s=0.0)[tags.ERROR] == ""


def test_numbers_that_dagster_could_not_use_are_not_made_tags() -> None:
    """The first op refuses them, and the manifest says so."""
    run = dg.DagsterRun(
        job_name="backtest", run_config={"priority": 10**12, "max_retries": 11, "timeout_s": -1}
    )
    run_tags = submission_tags(run, now_s=0.0)
    assert (run_tags[tags.PRIORITY], run_tags[tags.MAX_RETRIES], run_tags[tags.MAX_RUNTIME]) == (
        "0",
        "2",
        "3600",
    )


def test_a_retry_waits_at_most_five_minutes_however_often_it_was_tried() -> None:
    given = {tags.ROOT_RUN: UNKNOWN, tags.PARENT_RUN: UNKNOWN, tags.RETRY_NUMBER: "99999"}
    run = dg.DagsterRun(job_name="backtest", root_run_id=UNKNOWN, parent_run_id=UNKNOWN, tags=given)
    assert submission_tags(run, now_s=1_000.0)[tags.NOT_BEFORE] == "1300.000"


def test_what_a_client_says_of_the_course_of_a_new_task_is_forgotten() -> None:
    claimed = {tags.RETRY_OWED: "true", tags.ALERTED: "true", tags.RESULT_PATH: "/etc", tags.ERROR: "none"}
    run_tags = submission_tags(dg.DagsterRun(job_name="backtest", tags=claimed), now_s=0.0)
    assert {name: run_tags[name] for name in claimed} == dict.fromkeys(claimed, "")
