"""Which completed tasks without results are lost, and which went as they should."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from backtest_pipeline import BacktestClient, TaskStatus
from backtest_pipeline.results.archive import export_task, import_archive
from backtest_pipeline.results.result_log import forget, note, read_result_log
from backtest_pipeline.results.retention import sweep
from backtest_pipeline.results.retention_rules import Rules
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.sdk.lost_results import LostResults, lost_results
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import NOON, OTHER, TASK, publish, wandering

NOW = NOON + timedelta(days=3)
TTL_DAYS = 7


class _Server:
    """Stands in for a client of a server that calls tasks completed, which ended at noon."""

    def __init__(self, layout: Layout | None, *task_ids: str, ended_at: datetime = NOON) -> None:
        self._tasks = [
            TaskStatus(
                task_id=task_id,
                state="completed",
                progress=1,
                stage="completed",
                attempt=1,
                result_path=str(layout.task(task_id)) if layout else f"/elsewhere/{task_id}",
                error=None,
                submitted_at=NOON,
                started_at=NOON,
                finished_at=ended_at,
                strategy="sma_cross",
                symbols=["ACME"],
                labels={},
            )
            for task_id in task_ids
        ]

    def list_tasks(self, **_: object) -> list[TaskStatus]:
        return self._tasks


def _found(server: _Server, layout: Layout, *, now: datetime = NOW, ttl_days: int = TTL_DAYS) -> LostResults:
    return lost_results(cast("BacktestClient", server), layout, now=now, ttl_days=ttl_days)


def _lost(server: _Server, layout: Layout, *, now: datetime = NOW, ttl_days: int = TTL_DAYS) -> list[str]:
    return [task.task_id for task in _found(server, layout, now=now, ttl_days=ttl_days).tasks]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A data root with two tasks' results."""
    for task_id in (TASK, OTHER):
        publish(tmp_path, wandering(), task_id=task_id)
    return Layout(tmp_path)


def _sweep(layout: Layout, *, now: datetime = NOW, ttl: timedelta = timedelta(days=1)) -> int:
    return len(sweep(layout.data_root, Rules(now, ttl, lambda _: False)).deleted)


def test_a_completed_task_whose_folder_or_manifest_is_gone_is_lost(layout: Layout) -> None:
    server = _Server(layout, TASK, OTHER)
    assert _lost(server, layout) == []
    shutil.rmtree(layout.task(TASK))
    layout.manifest(OTHER).unlink()
    assert _lost(server, layout) == [TASK, OTHER]


def test_all_are_lost_where_the_whole_tasks_folder_is_gone(layout: Layout) -> None:
    shutil.rmtree(layout.tasks)
    assert _lost(_Server(layout, TASK, OTHER), layout) == [TASK, OTHER]


def test_what_a_cleanup_has_deleted_is_not_lost_even_where_the_tasks_folder_goes_later(
    layout: Layout,
) -> None:
    assert _sweep(layout) == 2
    assert _lost(_Server(layout, TASK, OTHER), layout) == []
    shutil.rmtree(layout.tasks)
    assert _lost(_Server(layout, TASK, OTHER), layout) == []


def test_a_task_that_ran_again_after_a_cleanup_can_be_lost(layout: Layout) -> None:
    assert _sweep(layout) == 2
    again = _Server(layout, TASK, OTHER, ended_at=datetime.now(UTC) + timedelta(seconds=1))
    assert _lost(again, layout, now=datetime.now(UTC)) == [TASK, OTHER]


@pytest.mark.parametrize(("ttl_days", "lost"), [(3, []), (4, [TASK]), (0, [TASK])])
def test_what_is_past_its_time_is_not_lost(layout: Layout, ttl_days: int, lost: list[str]) -> None:
    shutil.rmtree(layout.task(TASK))
    now = NOON + timedelta(days=3, seconds=1)
    assert _lost(_Server(layout, TASK, OTHER), layout, now=now, ttl_days=ttl_days) == lost


def test_what_was_pinned_is_lost_whenever_it_is_missing(layout: Layout) -> None:
    store, late = TaskStore(layout.data_root), NOON + timedelta(days=99)
    store.pin(TASK, pinned=True, ttl_days=TTL_DAYS)
    store.pin(OTHER, pinned=True, ttl_days=TTL_DAYS)
    store.pin(OTHER, pinned=False, ttl_days=TTL_DAYS)
    shutil.rmtree(layout.tasks)
    assert _lost(_Server(layout, TASK, OTHER), layout, now=late) == [TASK]


def test_a_pin_that_was_asked_for_or_came_with_an_archive_counts(layout: Layout, tmp_path: Path) -> None:
    late = NOON + timedelta(days=99)
    export_task(layout, TASK, tmp_path / "kept.tar.zst")
    shutil.rmtree(layout.task(TASK))
    import_archive(layout, tmp_path / "kept.tar.zst")
    publish(tmp_path, wandering(), task_id=OTHER, request={"pinned": True})
    shutil.rmtree(layout.tasks)
    assert _lost(_Server(layout, TASK, OTHER), layout, now=late) == [TASK, OTHER]


def test_nothing_is_said_of_results_that_lie_out_of_sight(tmp_path: Path) -> None:
    found = _found(_Server(None, TASK, OTHER), Layout(tmp_path))
    assert (found.tasks, found.elsewhere) == ([], f"/elsewhere/{TASK}")


def test_results_of_a_server_that_calls_their_folder_otherwise_are_judged_where_some_are_here(
    layout: Layout,
) -> None:
    shutil.rmtree(layout.task(TASK))
    assert _lost(_Server(None, TASK, OTHER), layout) == [TASK]


def test_a_log_that_was_cut_or_scribbled_on_tells_what_is_left(layout: Layout) -> None:
    assert note(layout, TASK, "deleted", at=NOON)
    with layout.result_log.open("ab") as log:
        log.write(b'\n{"task_id": "cut off')
    assert note(layout, OTHER, "deleted", at=NOON)
    with layout.result_log.open("ab") as log:
        log.write(b"\n[]\n7\n{}\n\xff\n")
    assert read_result_log(layout).deleted_at == {TASK: NOON, OTHER: NOON}
    forget(layout, [TASK])
    assert read_result_log(layout).deleted_at == {OTHER: NOON}
    [line] = layout.result_log.read_text().splitlines()
    assert json.loads(line)["task_id"] == OTHER
