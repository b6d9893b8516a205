from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, as_completed
from pathlib import Path

import pytest

from backtest_pipeline.compute.local_processes import MOST_TRIES, LocalProcesses
from backtest_pipeline.model.errors import CandlesMissing, WorkersDied
from backtest_pipeline_tests.polling import until

_entered: list[object] = []


def enter(value: object) -> None:
    _entered[:] = [value]


def square(number: int) -> int:
    return number * number


def die_once(marks: Path) -> str:
    """Kills its worker the first time, and returns the second time."""
    try:
        marks.touch(exist_ok=False)
    except FileExistsError:
        return "again"
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def raise_ours() -> None:
    raise CandlesMissing("AAPL", "1d", asked=("1990", "1995"), has=("2000", "2013"))


def unpicklable() -> object:
    return lambda: None


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.fixture
def two() -> Iterator[LocalProcesses]:
    with LocalProcesses(2, initializer=enter, initargs=(lambda: "never pickled",)) as processes:
        yield processes


def test_calls_are_made_in_processes_that_have_inherited_what_they_begin_with(two: LocalProcesses) -> None:
    pids = {two.submit(entered_value).result()[0] for _ in range(4)}
    assert pids <= set(two.pids)
    assert two.submit(entered_value).result()[1] == "never pickled"


def entered_value() -> tuple[int, object]:
    return os.getpid(), _entered[0]()  # type: ignore[operator]  # the function of the fixture


def test_outcomes_come_in_the_order_of_the_calls(two: LocalProcesses) -> None:
    assert list(two.map(square, range(100))) == [number * number for number in range(100)]
    assert sorted(one.result() for one in as_completed(two.submit(square, n) for n in range(5))) == [
        0,
        1,
        4,
        9,
        16,
    ]


def test_a_killed_workers_call_is_made_again(two: LocalProcesses, tmp_path: Path) -> None:
    others = [two.submit(square, number) for number in range(20)]
    assert two.submit(die_once, tmp_path / "mark").result() == "again"
    assert [other.result() for other in others] == [number * number for number in range(20)]
    assert len(two.pids) == 2


def test_an_idle_worker_that_is_killed_is_replaced(two: LocalProcesses) -> None:
    first = two.pids
    os.kill(first[0], signal.SIGKILL)
    until(lambda: len(two.pids) == 2 and first[0] not in two.pids, "another worker")
    assert two.submit(square, 3).result() == 9


def test_a_call_that_kills_every_worker_is_given_up(two: LocalProcesses) -> None:
    with pytest.raises(WorkersDied, match="signal 9") as caught:
        two.submit(die).result()
    assert caught.value.workers == MOST_TRIES
    assert two.submit(square, 3).result() == 9


def test_workers_that_cannot_begin_are_not_forked_for_ever() -> None:
    with LocalProcesses(1, initializer=die) as processes:
        for _ in range(3 * MOST_TRIES):  # calls that are given up first, then the workers themselves
            with pytest.raises(WorkersDied, match="signal 9"):
                processes.submit(square, 3).result()


def test_what_a_call_raises_comes_back_with_its_message(two: LocalProcesses) -> None:
    with pytest.raises(RuntimeError, match="CandlesMissing: no AAPL 1d candles from 1990"):
        two.submit(raise_ours).result()  # an error that cannot be pickled
    with pytest.raises(FileNotFoundError, match="nowhere"):
        two.submit(os.stat, "/nowhere").result()
    with pytest.raises(Exception, match="lambda"):
        two.submit(unpicklable).result()


def test_an_exception_in_the_block_ends_workers_at_once() -> None:
    began_s = time.monotonic()
    processes = LocalProcesses(2)
    pids = processes.pids
    calls = [processes.submit(sleep, 60) for _ in range(4)]
    until(lambda: sum(call.running() for call in calls) == 2, "two calls")
    with pytest.raises(KeyboardInterrupt), processes:
        raise KeyboardInterrupt
    assert time.monotonic() - began_s < 10  # and not the 120 seconds of four calls on two workers
    assert not any(is_alive(pid) for pid in pids)
    for call in calls:
        with pytest.raises(CancelledError):
            call.result()


def test_shutdown_finishes_what_runs_and_drops_the_rest_if_asked() -> None:
    processes = LocalProcesses(1)
    running = processes.submit(sleep, 0.3)
    until(running.running, "the first call")
    waiting = processes.submit(sleep, 60)
    processes.shutdown(cancel_futures=True)
    assert running.result() is None
    assert waiting.cancelled()
    with pytest.raises(RuntimeError, match="shut down"):
        processes.submit(square, 3)


_PARENT = """
import os, sys, time
from backtest_pipeline.compute.local_processes import LocalProcesses
processes = LocalProcesses(3)
calls = [processes.submit(time.sleep, 600) for _ in range(2)]  # the third is idle
print(*processes.pids, flush=True)
time.sleep(600)
"""


def test_workers_end_with_a_parent_that_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        assert all(is_alive(pid) for pid in pids)
    finally:
        parent.kill()
        parent.communicate()
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of the workers")
