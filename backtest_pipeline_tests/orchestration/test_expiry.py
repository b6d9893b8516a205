"""What a cleanup deletes of results and of Dagster's record, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage.runs.schema import RunsTable

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import RequestInvalid, ServiceNotReady
from backtest_pipeline.orchestration.dagster_internals.run_storage import run_storage_of
from backtest_pipeline.orchestration.jobs.cleanup import cleanup_metadata, cleanup_schedule
from backtest_pipeline.orchestration.tasks import expiry
from backtest_pipeline.orchestration.tasks.expiry import CleanupReport, clean_up, clean_up_home
from backtest_pipeline.orchestration.tasks.run_records import Unfinished, delete_old_records
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import Settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import NOON, TASK, publish, rewrite, wandering

NOW = NOON + timedelta(days=40)
Status = dg.DagsterRunStatus


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "home").mkdir()
    with dg.instance_for_test(temp_dir=str(tmp_path / "home")) as instance:
        yield instance


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """A task that finished at noon, forty days ago."""
    publish(tmp_path / "data", wandering())
    return tmp_path / "data"


def _add(
    instance: dg.DagsterInstance,
    run_id: str | None = None,
    *,
    status: Status = Status.SUCCESS,
    ended: datetime = NOON,
    root: str | None = None,
    job: str = "backtest",
    **run_tags: str,
) -> str:
    given = {name.replace("__", "/"): value for name, value in run_tags.items()}
    if root:
        given |= {tags.ROOT_RUN: root, tags.PARENT_RUN: root}
    run = dg.DagsterRun(
        job_name=job, run_id=run_id, status=status, root_run_id=root, parent_run_id=root, tags=given
    )
    instance.run_storage.add_run(run)
    values: dict[str, Any] = {
        "create_timestamp": ended.replace(tzinfo=None),
        "update_timestamp": ended.replace(tzinfo=None),
        "end_time": ended.timestamp()
        if status in {Status.SUCCESS, Status.FAILURE, Status.CANCELED}
        else None,
    }
    with run_storage_of(instance).connect() as connection:
        connection.execute(sa.update(RunsTable).where(RunsTable.c.run_id == run.run_id).values(**values))
    return run.run_id


def _clean_up(instance: dg.DagsterInstance, data_root: Path, **options: Any) -> CleanupReport:
    return clean_up(
        instance, Settings(data_root=data_root, **options.pop("settings", {})), now=lambda: NOW, **options
    )


def test_results_and_then_records_go_when_their_time_is_over(
    instance: dg.DagsterInstance, data_root: Path
) -> None:
    _add(instance, TASK)
    report = _clean_up(instance, data_root, settings={"task_result_ttl_days": 7})
    assert [verdict.name for verdict in report.swept.deleted] == [TASK]
    assert report.records == [TASK]
    assert not Layout(data_root).task(TASK).exists()
    assert not instance.has_run(TASK)
    note = json.loads(Layout(data_root).last_cleanup.read_text())
    assert (note["deleted"], note["finished_at"]) == (1, NOW.isoformat())
    again = _clean_up(instance, data_root, settings={"task_result_ttl_days": 7})
    assert (again.swept.deleted, again.records) == ([], [])


def test_a_dry_run_tells_the_same_and_changes_nothing(instance: dg.DagsterInstance, data_root: Path) -> None:
    _add(instance, TASK)
    told: list[str] = []
    report = _clean_up(
        instance,
        data_root,
        settings={"task_result_ttl_days": 7},
        dry_run=True,
        on_verdict=lambda verdict: told.append(verdict.name),
    )
    assert (told, report.records, report.dry_run) == ([TASK], [TASK], True)
    assert Layout(data_root).manifest(TASK).exists()
    assert instance.has_run(TASK)
    assert not Layout(data_root).last_cleanup.exists()


def test_a_pinned_task_keeps_its_results_and_its_record(
    instance: dg.DagsterInstance, data_root: Path
) -> None:
    _add(instance, TASK)
    TaskStore(data_root).pin(TASK, pinned=True, ttl_days=0)
    report = _clean_up(instance, data_root, settings={"task_result_ttl_days": 7})
    assert (report.swept.deleted, report.records) == ([], [])
    assert instance.has_run(TASK)


def test_what_cannot_be_read_is_not_known_to_be_unpinned(
    instance: dg.DagsterInstance, data_root: Path
) -> None:
    _add(instance, TASK)
    Layout(data_root).manifest(TASK).write_text("{")
    assert _clean_up(instance, data_root, settings={"task_result_ttl_days": 7}).records == []


def test_without_the_results_folder_no_record_is_deleted(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """An unmounted volume: nobody knows what is pinned."""
    _add(instance, TASK)
    assert _clean_up(instance, tmp_path / "elsewhere").records == []
    assert instance.has_run(TASK)


def test_a_manifests_promise_counts_unless_somebody_has_set_a_time(
    instance: dg.DagsterInstance, data_root: Path
) -> None:
    rewrite(data_root, lambda of: of["timestamps"].update(expires_at=(NOW + timedelta(days=9)).isoformat()))
    assert _clean_up(instance, data_root).swept.deleted == []
    assert _clean_up(instance, data_root, older_than_days=41).swept.deleted == []
    assert [one.name for one in _clean_up(instance, data_root, older_than_days=39).swept.deleted] == [TASK]


@pytest.mark.parametrize("days", [0, -1, float("nan")])
def test_a_time_that_is_none_deletes_nothing(
    instance: dg.DagsterInstance, data_root: Path, days: float
) -> None:
    with pytest.raises(RequestInvalid, match="above 0"):
        _clean_up(instance, data_root, older_than_days=days)
    assert Layout(data_root).manifest(TASK).exists()


def test_zero_days_keep_records_for_ever(instance: dg.DagsterInstance, data_root: Path) -> None:
    _add(instance, TASK)
    assert _clean_up(instance, data_root, settings={"run_record_ttl_days": 0}).records == []


def test_a_database_that_is_away_deletes_nothing_and_says_what_to_do(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise sa.exc.OperationalError("SELECT 1", {}, Exception("no route"))

    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("")
    monkeypatch.setattr(expiry, "clean_up", away)
    with pytest.raises(
        ServiceNotReady, match="what is unfinished is known there only, so start the database"
    ):
        clean_up_home(Settings(data_root=data_root, dagster_home=tmp_path / "home"))


def test_a_tasks_attempts_go_together_once_the_last_has_ended_long_ago(instance: dg.DagsterInstance) -> None:
    old, fresh = NOW - timedelta(days=40), NOW - timedelta(days=1)
    gone = _add(instance, status=Status.FAILURE, ended=old)
    gone_too = _add(instance, root=gone, ended=old)
    kept = _add(instance, status=Status.FAILURE, ended=old)
    kept_too = _add(instance, root=kept, ended=fresh)
    running = _add(instance, status=Status.FAILURE, ended=old)
    still = _add(instance, root=running, status=Status.STARTED, ended=old)
    foreign = _add(instance, job="of_somebody_else", ended=old)
    cleanup = _add(instance, job="cleanup_task_results", ended=old)
    deleted = delete_old_records(instance, before=NOW - timedelta(days=30), keep=lambda _: False)
    assert set(deleted) == {gone, cleanup}
    left = {run.run_id for run in instance.get_runs()}
    assert left == {kept, kept_too, running, still, foreign}
    assert gone_too not in left


def test_no_tag_outlives_its_run(instance: dg.DagsterInstance) -> None:
    _add(instance, TASK, label__desk="rates")
    delete_old_records(instance, before=NOW, keep=lambda _: False)
    with run_storage_of(instance).connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM run_tags")).scalar() == 0


def test_more_tasks_than_a_page_are_all_found(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backtest_pipeline.orchestration.tasks.run_records._BATCH", 2)
    added = {_add(instance) for _ in range(5)}
    assert set(delete_old_records(instance, before=NOW, keep=lambda _: False)) == added


def test_unfinished_is_what_runs_waits_or_is_owed_an_attempt(instance: dg.DagsterInstance) -> None:
    just_now = NOW - timedelta(minutes=1)
    first = _add(instance, status=Status.FAILURE)
    running = _add(instance, root=first, status=Status.STARTED)
    owed = _add(instance, status=Status.FAILURE, backtest__retry_owed="true")
    to_come = _add(instance, status=Status.FAILURE, ended=just_now, dagster__will_retry="true")
    given_up = _add(instance, status=Status.FAILURE, dagster__will_retry="true")
    final = _add(instance, status=Status.FAILURE, ended=just_now, dagster__will_retry="false")
    unfinished = Unfinished(instance, lambda: NOW)
    assert [unfinished(one) for one in (first, running, owed, to_come)] == [True] * 4
    assert [unfinished(one) for one in (given_up, final, TASK)] == [False] * 3


def test_the_run_page_says_what_was_deleted_and_why_the_rest_stays(
    instance: dg.DagsterInstance, data_root: Path
) -> None:
    publish(data_root, wandering(), task_id="2f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0", pinned=True)
    report = _clean_up(instance, data_root, settings={"task_result_ttl_days": 7})
    told = cleanup_metadata(report)
    assert told["deleted"].value == 1
    assert told["kept"].value == 1
    assert "| pinned | 1 |" in str(told["kept, by reason"].value)
    assert report.to_dict()["deleted"][0]["name"] == TASK


def test_the_schedule_runs_in_the_markets_time_zone() -> None:
    schedule = cleanup_schedule("30 4 * * *", "Asia/Seoul")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 4 * * *", "Asia/Seoul")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
