"""A lock that is not had raises, and nothing that needed it is done."""

from __future__ import annotations

import ast
import fcntl
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

import backtest_pipeline
from backtest_pipeline.candles.merge import _only_writer
from backtest_pipeline.local_service.home import locked
from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import BacktestError, LockNotAcquired, ServiceNotReady, TaskRepeated
from backtest_pipeline.orchestration.dagster_internals import coordinator
from backtest_pipeline.orchestration.dagster_internals.coordinator import BacktestRunCoordinator
from backtest_pipeline.orchestration.dagster_internals.queue_daemon import PromptQueueDaemon
from backtest_pipeline.orchestration.dagster_internals.retry_daemon import FailuresInSight, LastingRetryDaemon
from backtest_pipeline.orchestration.tasks import launch_locks as launch_lock
from backtest_pipeline.orchestration.tasks.repeated_submissions import drop_duplicates
from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.orchestration.queued_runs import queued_run

Take = Callable[[dg.DagsterInstance], AbstractContextManager[None]]
LOCKS: dict[str, Take] = {
    ".launch.lock": lambda instance: launch_lock.launch_lock(instance, wait=True),
    ".submit.lock": launch_lock.submit_lock,
}


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setattr(launch_lock, "PATIENCE_S", 0.1)
    with dg.instance_for_test() as made:
        yield made


@contextmanager
def _held_elsewhere(folder: str | Path, name: str) -> Iterator[None]:
    """Holds a locked file as another process would: through an open file of its own."""
    with (Path(folder) / name).open("a+") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        yield


@contextmanager
def _held_by_a_thread(instance: dg.DagsterInstance, take: Take) -> Iterator[None]:
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with take(instance):
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(30)
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("name", LOCKS)
def test_the_block_of_a_lock_that_another_process_keeps_is_never_begun(
    instance: dg.DagsterInstance, name: str
) -> None:
    held = pytest.raises(LockNotAcquired, match=r"is held by somebody else, waited 0\.1 s; try again")
    with _held_elsewhere(instance.root_directory, name), held, LOCKS[name](instance):
        pytest.fail("begun without the lock")
    with LOCKS[name](instance):
        pass  # free again, though the last try failed


@pytest.mark.parametrize("name", LOCKS)
def test_the_block_of_a_lock_that_another_thread_keeps_is_never_begun(
    instance: dg.DagsterInstance, name: str
) -> None:
    with _held_by_a_thread(instance, LOCKS[name]), pytest.raises(LockNotAcquired), LOCKS[name](instance):
        pytest.fail("begun without the lock")
    with LOCKS[name](instance):
        pass


def test_who_does_not_wait_is_refused_at_once(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_lock, "PATIENCE_S", 60.0)
    with _held_elsewhere(instance.root_directory, ".launch.lock"):
        began_s = time.monotonic()
        with pytest.raises(LockNotAcquired), launch_lock.launch_lock(instance, wait=False):
            pytest.fail("begun without the lock")
    assert time.monotonic() - began_s < 30


def _submitted_twice(instance: dg.DagsterInstance) -> tuple[str, str]:
    lost, taken = (
        create_run_for_test(instance, job_name="backtest", status=status, tags={tags.IDEMPOTENCY_KEY: "key"})
        for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED)
    )
    return lost.run_id, taken.run_id


def test_repeated_submissions_are_not_removed_without_the_lock(instance: dg.DagsterInstance) -> None:
    both = _submitted_twice(instance)
    later_s = time.time() + 60
    with _held_elsewhere(instance.root_directory, ".launch.lock"), pytest.raises(LockNotAcquired):
        drop_duplicates(instance, later_s)
    assert {run.run_id for run in instance.get_runs()} == set(both)
    assert drop_duplicates(instance, later_s) == [both[0]]


def test_retries_go_on_while_repeated_submissions_cannot_be_removed(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    both = _submitted_twice(instance)
    monkeypatch.setattr("backtest_pipeline.orchestration.tasks.repeated_submissions.IN_FLIGHT_S", -60.0)
    looked: list[str] = []
    monkeypatch.setattr(
        FailuresInSight,
        "look",
        lambda *_: looked.append("failures") or [],  # type: ignore[func-returns-value]
    )
    daemon = LastingRetryDaemon()
    daemon._logger = logging.getLogger("retries")
    with _held_elsewhere(instance.root_directory, ".launch.lock"):
        list(daemon.run_iteration(SimpleNamespace(instance=instance)))  # type: ignore[arg-type]  # enough of one
    assert looked == ["failures"]
    assert "repeated submissions are left for the next look" in caplog.text
    assert {run.run_id for run in instance.get_runs()} == set(both)


def test_nothing_is_taken_from_the_queue_without_the_lock(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    queued_run(instance)
    monkeypatch.setattr(
        QueuedRunCoordinatorDaemon, "run_iteration", lambda *_: pytest.fail("without the lock")
    )
    context: Any = SimpleNamespace(instance=instance, create_request_context=lambda: None)
    with _held_elsewhere(instance.root_directory, ".launch.lock"), pytest.raises(LockNotAcquired):
        list(PromptQueueDaemon(interval_seconds=1).run_iteration(context))


def test_a_run_that_cannot_be_started_at_once_stays_in_the_queue(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queued_run(instance)
    monkeypatch.setattr(coordinator, "code_answers", lambda *_: pytest.fail("without the lock"))
    monkeypatch.setattr(BacktestRunCoordinator, "_instance", instance)
    with _held_elsewhere(instance.root_directory, ".launch.lock"):
        BacktestRunCoordinator()._start_if_free(run, None)  # type: ignore[arg-type]  # nobody looks at it
    kept = instance.get_run_by_id(run.run_id)
    assert kept is not None
    assert kept.status == dg.DagsterRunStatus.QUEUED


def test_a_submission_that_cannot_be_compared_with_others_starts_nothing_and_leaves_nothing(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run_for_test(instance, job_name="backtest", tags={tags.IDEMPOTENCY_KEY: "key"})
    monkeypatch.setattr(BacktestRunCoordinator, "_instance", instance)
    context: Any = SimpleNamespace(dagster_run=run, workspace=None, get_request_header=lambda _: None)
    with _held_elsewhere(instance.root_directory, ".submit.lock"), pytest.raises(LockNotAcquired) as caught:
        BacktestRunCoordinator().submit_run(context)
    assert caught.value.retryable
    assert instance.get_runs() == [], "the key would stand for a task that never was"


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELED])
def test_a_repeated_submission_is_answered_by_the_run_that_there_is(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, status: dg.DagsterRunStatus
) -> None:
    run_tags = {tags.IDEMPOTENCY_KEY: "key"}
    first = create_run_for_test(instance, job_name="backtest", tags=run_tags, status=status)
    again = create_run_for_test(instance, job_name="backtest", tags=run_tags)
    monkeypatch.setattr(BacktestRunCoordinator, "_instance", instance)
    context: Any = SimpleNamespace(dagster_run=again, workspace=None, get_request_header=lambda _: None)
    assert BacktestRunCoordinator().submit_run(context).run_id == first.run_id
    assert [run.run_id for run in instance.get_runs()] == [first.run_id]


def test_a_retry_is_never_answered_by_another_tasks_run(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_tags = {tags.IDEMPOTENCY_KEY: "key"}
    first = create_run_for_test(
        instance, job_name="backtest", tags=run_tags, status=dg.DagsterRunStatus.STARTED
    )
    lost = create_run_for_test(instance, job_name="backtest", tags=run_tags)
    retry = create_run_for_test(
        instance, job_name="backtest", tags=run_tags, root_run_id=lost.run_id, parent_run_id=lost.run_id
    )
    monkeypatch.setattr(BacktestRunCoordinator, "_instance", instance)
    context: Any = SimpleNamespace(dagster_run=retry, workspace=None, get_request_header=lambda _: None)
    with pytest.raises(TaskRepeated) as caught:
        BacktestRunCoordinator().submit_run(context)
    assert caught.value.task_id == first.run_id


def test_a_second_service_in_one_home_is_refused(tmp_path: Path) -> None:
    refused = pytest.raises(ServiceNotReady, match="is running already")
    with _held_elsewhere(tmp_path, ".up.lock"), refused, locked(tmp_path):
        pytest.fail("begun without the lock")


@pytest.mark.parametrize("what", ["results", "candles"])
def test_writers_of_results_and_of_candles_wait_for_each_other(tmp_path: Path, what: str) -> None:
    layout = Layout(tmp_path)
    folder = layout.publish_lock.parent if what == "results" else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    began = threading.Event()

    def write() -> None:
        with publishing(layout) if what == "results" else _only_writer(folder):
            began.set()

    with _held_elsewhere(folder, ".lock"):
        writer = threading.Thread(target=write)
        writer.start()
        assert not began.wait(0.3)
    writer.join(30)
    assert began.is_set()


@pytest.mark.slow
def test_no_lock_of_ours_hands_on_whether_it_is_had() -> None:
    """`with lock() as had:` invites to forget the question; all that take a lock hand on nothing."""
    package = Path(backtest_pipeline.__file__).parent
    takers, answering = [], []
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and "lock" in f"{node.name} {ast.unparse(node)}".lower():
                source = ast.unparse(node)
                if "contextmanager" in source and (
                    "flock" in source or "acquire" in source or "lock(" in source or "_locked(" in source
                ):
                    takers.append(node.name)
                    answering += [node.name] if "Iterator[bool]" in source else []
    assert {"launch_lock", "submit_lock", "publishing", "locked", "_only_writer"} <= set(takers)
    assert answering == []
    assert issubclass(LockNotAcquired, BacktestError)
