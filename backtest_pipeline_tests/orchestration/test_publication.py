"""Results that somebody deletes while they are published."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backtest_pipeline import BacktestRequest, run_backtest
from backtest_pipeline.model.errors import AttemptSuperseded, ResultVanished
from backtest_pipeline.model.manifest import Manifest, ResultFile
from backtest_pipeline.orchestration.tasks.attempts import Attempt
from backtest_pipeline.orchestration.tasks.publication import Publication
from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline_tests.results.published import OTHER, TASK, manifest_of, wandering

Hook = Callable[[], object]
CANDLES = wandering()
RESULT = run_backtest(
    {"ACME": CANDLES}, BacktestRequest(strategy="sma_cross", params={"fast": 3, "slow": 8}, symbols=["ACME"])
)


def _nothing() -> None:
    """Does nothing."""


def _publication(
    data_root: Path,
    *,
    run_ids: list[str] | None = None,
    while_writing: Hook = _nothing,
    before_publishing: Hook = _nothing,
) -> Publication:
    store, attempt = TaskStore(data_root), run_ids or [TASK]

    def write(folder: Path) -> list[ResultFile]:
        files = store.write_tables(folder, RESULT)
        while_writing()
        return files

    def manifest(files: list[ResultFile]) -> Manifest:
        changes = {"result_files": files, "run_ids": attempt, "attempt": len(attempt)}
        return manifest_of(RESULT, [CANDLES], TASK, **changes)

    now = datetime(2026, 1, 2, tzinfo=UTC)
    return Publication(
        store,
        Attempt(TASK, attempt, now, now),
        write=write,
        manifest_of=manifest,
        refuse=before_publishing,
        pauses_s=(0, 0),
    )


def _once(hook: Hook) -> Hook:
    """A hook that acts the first time only."""
    left = [hook]
    return lambda: left.pop()() if left else None


def _is_whole(data_root: Path) -> bool:
    return len(TaskStore(data_root).result(TASK).equity) == len(CANDLES)


@pytest.mark.parametrize("moment", ["while_writing", "before_publishing"])
@pytest.mark.parametrize("gone", ["tasks", "tasks/.staging", "tasks/.staging/*/trades.parquet"])
def test_what_is_deleted_before_it_is_published_is_written_again(
    tmp_path: Path, moment: str, gone: str
) -> None:
    def delete() -> None:
        for path in tmp_path.glob(gone):
            path.unlink() if path.is_file() else shutil.rmtree(path)

    hook = _once(delete)
    publication = (
        _publication(tmp_path, while_writing=hook)
        if moment == "while_writing"
        else _publication(tmp_path, before_publishing=hook)
    )
    publication.publish()
    assert _is_whole(tmp_path)


@pytest.mark.parametrize("gone", ["tasks", "tasks/*-*", "tasks/*/manifest.json", "tasks/*/trades.parquet"])
def test_what_is_deleted_before_the_run_succeeds_is_published_again(tmp_path: Path, gone: str) -> None:
    publication = _publication(tmp_path)
    publication.publish()
    for path in list(tmp_path.glob(gone)):
        path.unlink() if path.is_file() else shutil.rmtree(path)
    publication.keep()
    assert _is_whole(tmp_path)


def test_a_file_that_was_cut_short_is_published_again(tmp_path: Path) -> None:
    publication = _publication(tmp_path)
    _, folder = publication.publish()
    (folder / "trades.parquet").write_bytes(b"")
    publication.keep()
    assert _is_whole(tmp_path)


def test_a_tasks_folder_that_was_replaced_by_another_gets_the_results(tmp_path: Path) -> None:
    publication = _publication(tmp_path)
    publication.publish()
    (tmp_path / "tasks").rename(tmp_path / "away")
    (tmp_path / "tasks").mkdir()
    publication.keep()
    assert _is_whole(tmp_path)


def test_a_tasks_folder_that_becomes_a_file_fails_the_attempt(tmp_path: Path) -> None:
    def replace() -> None:
        shutil.rmtree(tmp_path / "tasks")
        (tmp_path / "tasks").write_text("")

    publication = _publication(tmp_path, before_publishing=_once(replace))
    with pytest.raises((ResultVanished, OSError)):
        publication.publish()


def test_what_is_deleted_again_and_again_fails_the_attempt_and_may_be_retried(tmp_path: Path) -> None:
    tries: list[None] = []

    def delete() -> None:
        tries.append(None)
        shutil.rmtree(tmp_path / "tasks")

    with pytest.raises(ResultVanished, match="find what deletes or replaces folders") as raised:
        _publication(tmp_path, before_publishing=delete).publish()
    assert raised.value.retryable
    assert len(tries) == 3, "once, and after each of two pauses"


def test_what_goes_while_the_success_is_written_down_comes_back_whoever_asks_for_the_run(
    tmp_path: Path,
) -> None:
    def refuse() -> None:
        if (tmp_path / "over").exists():
            raise AttemptSuperseded(TASK, 1, 1)

    publication = _publication(tmp_path, before_publishing=refuse)
    publication.publish()
    (tmp_path / "over").touch()
    shutil.rmtree(tmp_path / "tasks")
    publication.keep_after_success()
    assert _is_whole(tmp_path)


def test_a_later_attempts_results_are_never_replaced_by_an_earlier_one_that_looks_again(
    tmp_path: Path,
) -> None:
    first = _publication(tmp_path)
    first.publish()
    _publication(tmp_path, run_ids=[TASK, OTHER]).publish()
    with pytest.raises(AttemptSuperseded):
        first.keep()
    first.keep_after_success()
    assert TaskStore(tmp_path).manifest(TASK).run_ids == [TASK, OTHER]


def test_an_attempt_whose_files_vanish_leaves_an_earlier_attempts_results(tmp_path: Path) -> None:
    _publication(tmp_path).publish()

    def delete() -> None:
        for path in (tmp_path / "tasks" / ".staging").glob("*/trades.parquet"):
            path.unlink()

    with pytest.raises(ResultVanished, match=r"trades\.parquet"):
        _publication(tmp_path, run_ids=[TASK, OTHER], before_publishing=delete).publish()
    assert TaskStore(tmp_path).manifest(TASK).run_ids == [TASK]
    assert _is_whole(tmp_path)


def test_results_are_there_however_often_the_tasks_folder_is_deleted_meanwhile(tmp_path: Path) -> None:
    over = threading.Event()

    def delete() -> None:
        while not over.wait(0.002):
            shutil.rmtree(tmp_path / "tasks", ignore_errors=True)

    deleting = threading.Thread(target=delete)
    deleting.start()
    publications = [_publication(tmp_path) for _ in range(20)]
    published = []
    for publication in publications:
        try:
            publication.publish()
            published.append(publication)
        except ResultVanished:
            continue  # the attempt fails, which is as good
    over.set()
    deleting.join()
    for publication in published:
        publication.keep()
        assert _is_whole(tmp_path)
        shutil.rmtree(tmp_path / "tasks")


def test_the_lock_of_publishing_is_that_of_the_file_that_others_see(tmp_path: Path) -> None:
    layout = TaskStore(tmp_path).layout
    layout.tasks.mkdir()
    with publishing(layout) as is_held:
        assert is_held()
        shutil.rmtree(layout.tasks)
        layout.tasks.mkdir()
        assert not is_held()
        with publishing(layout) as is_held_by_another:  # waits for nobody: it is another file
            assert is_held_by_another()
            assert not is_held()
