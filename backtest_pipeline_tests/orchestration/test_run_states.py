"""Each of Dagster's statuses stands for one state of a task."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import FINISHED_STATUSES, IN_PROGRESS_RUN_STATUSES

from backtest_pipeline.model.status import STATE_OF
from backtest_pipeline.orchestration.tasks.run_states import ENDED, STATUSES, UNFINISHED, state_of


def test_every_status_that_dagster_has_is_in_one_state() -> None:
    assert {status.value for status in dg.DagsterRunStatus} == set(STATE_OF)
    assert sorted(status.value for group in STATUSES.values() for status in group) == sorted(STATE_OF)


def test_what_has_ended_and_what_runs_is_what_dagster_means_by_it() -> None:
    assert {*ENDED} == {*FINISHED_STATUSES}
    assert {*STATUSES["running"]} == {*IN_PROGRESS_RUN_STATUSES}
    assert {*ENDED} | {*UNFINISHED} == {*dg.DagsterRunStatus}
    assert not {*ENDED} & {*UNFINISHED}


@pytest.mark.parametrize(
    ("status", "state"),
    [("NOT_STARTED", "queued"), ("CANCELING", "running"), ("SUCCESS", "completed"), ("FAILURE", "failed")],
)
def test_a_run_has_the_state_of_its_status(status: str, state: str) -> None:
    assert state_of(dg.DagsterRun(job_name="backtest", status=dg.DagsterRunStatus[status])) == state
