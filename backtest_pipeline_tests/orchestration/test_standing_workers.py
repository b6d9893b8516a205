"""Workers that stand by: who gets a run, and what becomes of those that die, hang or are not needed."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from backtest_pipeline.orchestration.dagster_internals import warm_workers, worker_generations
from backtest_pipeline.orchestration.dagster_internals.handed_runs import RunProcess, RunWorkers
from backtest_pipeline.orchestration.dagster_internals.run_slots import configured_instance, run_slots
from backtest_pipeline.orchestration.dagster_internals.standby import stand_by
from backtest_pipeline.orchestration.dagster_internals.standing_workers import (
    StandingWorker,
    StandingWorkers,
)
from backtest_pipeline_tests.polling import until
from backtest_pipeline_tests.processes import is_alive

_FORKS = multiprocessing.get_context("forkserver")
STANDING = 2


def note_run(notes: str, reports: Any, _interrupting: object) -> None:
    """A run: it notes the process that it runs in, and reports."""
    with Path(notes).open("a") as file:
        file.write(f"{os.getpid()}\n")
    reports.put(("begun", os.getpid()))


def _started() -> StandingWorker:
    ours, theirs = _FORKS.Pipe()
    process = _FORKS.Process(target=stand_by, args=(theirs, None))
    with theirs:
        process.start()
    return StandingWorker(process, ours)


class Workers(RunWorkers):
    """Workers that open no instance."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger())
        self.standing = self._standing = StandingWorkers(_started, STANDING, logging.getLogger())
        self._context = self  # type: ignore[assignment]  # it has `fresh`, which is all that is asked of it

    @staticmethod
    def fresh() -> StandingWorker:
        return _started()

    def pids(self) -> list[int]:
        ready = [worker for worker in self.standing._standing if worker.is_ready()]
        return [worker.process.pid for worker in ready if worker.process.is_alive() and worker.process.pid]

    def run(self, notes: Path) -> RunProcess:
        """Starts a run as Dagster's code server does, and waits until it has begun."""
        reports = self.Queue()
        process = self.Process(target=note_run, args=[str(notes), reports, self.Event()])
        process.start()
        said: list[object] = []

        def begun() -> bool:
            with suppress(Empty):
                said.append(reports.get_nowait())
            return bool(said)

        until(begun, "the run to begin")
        assert said == [("begun", process.pid)]
        return process


@pytest.fixture
def workers() -> Iterator[Workers]:
    _FORKS.set_forkserver_preload([stand_by.__module__])
    found = Workers()
    until(lambda: len(found.pids()) == STANDING, "workers to stand by")
    yield found
    found.stand_down()


def test_a_run_goes_to_a_worker_that_stands_by_and_another_takes_its_place(
    workers: Workers, tmp_path: Path
) -> None:
    before = workers.pids()
    run = workers.run(tmp_path / "notes")
    assert run.pid in before
    until(lambda: not run.is_alive(), "the worker to end with its run")
    assert run.exitcode == 0
    until(lambda: len(workers.pids()) == STANDING, "its successor")
    assert run.pid not in workers.pids()


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


@pytest.mark.parametrize("harm", [_kill, _stop])
def test_a_run_is_never_lost_with_a_worker_that_died_or_hangs_and_runs_once(
    harm: Callable[[int], None], workers: Workers, tmp_path: Path
) -> None:
    harmed = workers.pids()
    harm(harmed[0])
    runs = [workers.run(tmp_path / "notes") for _ in range(STANDING)]
    until(lambda: not any(run.is_alive() for run in runs), "the runs to end")
    noted = [int(line) for line in (tmp_path / "notes").read_text().split()]
    assert noted == [run.pid for run in runs]
    assert harmed[0] not in noted
    until(lambda: harmed[0] not in workers.pids() and len(workers.pids()) == STANDING, "renewal")
    assert not is_alive(harmed[0])


def test_workers_that_are_not_needed_any_more_end(workers: Workers) -> None:
    pids = workers.pids()
    workers.stand_down()
    until(lambda: not any(is_alive(pid) for pid in pids), "them to end")
    assert workers.standing.take() is None


def test_an_interrupt_ends_none_that_stands_by(workers: Workers, tmp_path: Path) -> None:
    pids = workers.pids()
    for pid in pids:
        os.kill(pid, signal.SIGINT)
    assert workers.run(tmp_path / "notes").pid in pids


def test_nobody_stands_by_with_code_that_has_been_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_generations, "_newest", worker_generations.Generation())
    context = warm_workers.WarmContext()
    worker_generations.renew()
    with pytest.raises(OSError, match="replaced"):
        context.standing(configured_instance(tmp_path))


@pytest.mark.parametrize(
    ("most", "slots"),
    [("max_concurrent_runs: 3", 3), ("max_concurrent_runs: 9", 4), ("max_concurrent_runs: -1", 4)],
)
def test_one_stands_by_for_each_slot_that_there_is_a_processor_for(
    most: str, slots: int, tmp_path: Path
) -> None:
    queue = "module: dagster._core.run_coordinator\n  class: QueuedRunCoordinator"
    (tmp_path / "dagster.yaml").write_text(f"run_coordinator:\n  {queue}\n  config:\n    {most}\n")
    assert run_slots(configured_instance(tmp_path), at_most=4) == slots
