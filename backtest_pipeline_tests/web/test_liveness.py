"""Signs of life: who moves, who stands still, and what becomes of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from backtest_pipeline.web.monitoring.liveness import Beacon, SignOfLife, read_sign, sign_file, started_of
from backtest_pipeline.web.monitoring.watch import (
    HUNG,
    WAITING_FACTOR,
    BusyExecutor,
    EventLoop,
    Look,
    Patience,
    StandingThreads,
    Still,
    Watch,
)
from backtest_pipeline_tests.polling import PATIENCE_S, until


def test_a_sign_of_life_names_its_process_and_when(tmp_path: Path) -> None:
    path = sign_file(tmp_path, "daemon")
    assert read_sign(path) is None
    before_s = time.time()
    Beacon(path).sign("the loop sensor has stood still")
    sign = read_sign(path)
    assert sign is not None
    assert (sign.pid, sign.standstill) == (os.getpid(), "the loop sensor has stood still")
    assert sign.started == started_of(os.getpid()) > 0
    assert before_s <= sign.at_s <= time.time()
    assert sign.silent_s(sign.at_s + 7) == 7
    assert sign.silent_s(sign.at_s - 7) == 0, "a clock that was set back accuses nobody"


def test_a_later_sign_replaces_a_longer_one_in_place(tmp_path: Path) -> None:
    path, size = sign_file(tmp_path, "web-1"), set()
    beacon = Beacon(path)
    for words in ("x" * 5_000, ""):
        beacon.sign(words)
        size.add(path.stat().st_size)
        sign = read_sign(path)
        assert sign is not None
        assert len(sign.standstill) == min(len(words), 300)
    assert len(size) == 1, "a full disk has room for it"


def test_a_sign_file_that_was_deleted_or_replaced_is_made_again(tmp_path: Path) -> None:
    path = sign_file(tmp_path, "code")
    beacon = Beacon(path)
    beacon.sign()
    path.unlink()
    beacon.sign()
    path.rename(tmp_path / "away")
    path.write_text("somebody else's")
    beacon.sign()
    assert isinstance(read_sign(path), SignOfLife)


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"pid": 1}', "\xff"])
def test_what_is_no_sign_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "sign").write_text(content, encoding="latin-1")
    assert read_sign(tmp_path / "sign") is None


def test_patience_adds_up_looks_and_never_the_time_in_which_nobody_looked() -> None:
    now_s = 0.0
    patience = Patience(most_s=2.0, clock=lambda: now_s)
    for seconds, same, expected in (
        (1.0, True, 1.0),
        (1.5, True, 2.5),
        (3_600.0, True, 4.5),  # the machine slept, or this process was stopped
        (1.0, False, 0.0),
        (0.5, True, 0.5),
    ):
        now_s += seconds
        assert patience.look(same=same) == expected


@pytest.fixture
def hangs() -> Iterator[threading.Thread]:
    """A thread that waits for a lock which nobody gives back before the test is over."""
    lock = threading.Lock()
    lock.acquire()
    thread = threading.Thread(target=lock.acquire, name="loop-hangs", daemon=True)
    thread.start()
    yield thread
    lock.release()
    thread.join()


def _parts(look: Look, looks: int = 5, every_s: float = 0.1) -> set[str]:
    """What stood still in each of many looks but the first two: it may still be on its way to its wait."""
    look()
    time.sleep(every_s)
    look()
    found = []
    for _ in range(looks):
        time.sleep(every_s)
        found.append({one.part for one in look()})
    return set.intersection(*found)


def _loops(name: str) -> str:
    return name if name.startswith("loop-") else ""


def test_a_thread_that_waits_for_a_lock_for_ever_stands_still(hangs: threading.Thread) -> None:
    look = StandingThreads(_loops)
    assert _parts(look) == {"loop-hangs"}
    [one] = look()
    assert one.where.startswith("Thread.run (threading.py, line ")
    assert (one.noticed_after_s, one.ended_after_s) == (10, 60)
    assert hangs.is_alive()


def test_threads_that_nap_compute_or_try_again_move(hangs: threading.Thread) -> None:
    over = threading.Event()

    def naps() -> None:
        while not over.wait(0.05):
            pass

    def computes() -> None:
        while not over.is_set():
            sum(range(100_000))

    threads = [threading.Thread(target=one, name=f"loop-{one.__name__}") for one in (naps, computes)]
    for thread in threads:
        thread.start()
    try:
        assert _parts(StandingThreads(_loops)) == {"loop-hangs"}
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert hangs.is_alive()


def test_a_thread_that_waits_for_a_database_gets_fifteen_times_as_long() -> None:
    """Its stack runs through the database's driver; the wait itself is one call, as a lock's is."""
    lock = threading.Lock()
    lock.acquire()
    driver: dict[str, Callable[[threading.Lock], None]] = {}
    source = "def execute(lock):\n    lock.acquire()\n"
    exec(compile(source, "/venv/lib/sqlalchemy/engine/default.py", "exec"), driver)  # noqa: S102  the test's own
    thread = threading.Thread(target=driver["execute"], args=(lock,), name="loop-asks", daemon=True)
    thread.start()
    look = StandingThreads(_loops)
    assert _parts(look) == {"loop-asks"}
    [one] = look()
    assert (one.noticed_after_s, one.ended_after_s) == (WAITING_FACTOR * 10, WAITING_FACTOR * 60)
    lock.release()
    thread.join()


def test_an_executor_without_a_free_thread_stands_still() -> None:
    over = threading.Event()
    with ThreadPoolExecutor(2) as executor:
        look = BusyExecutor(executor, "the code server", ended_after_s=300)
        assert _parts(look, looks=3) == set()
        taken = [executor.submit(over.wait) for _ in range(2)]
        assert _parts(look, looks=3) == {"the code server"}
        over.set()
        assert all(one.result() for one in taken)
        until(lambda: not look(), "a free thread")


def test_an_event_loop_stands_still_while_one_callback_holds_it_and_only_while_the_server_lives() -> None:
    async def app(_scope: object, _receive: object, _send: object) -> None:
        await asyncio.sleep(0.2)
        blocked.append(watched.look())  # the first look has nothing to compare with
        time.sleep(0.5)
        blocked.append(watched.look())
        await asyncio.sleep(0.2)
        blocked.append(watched.look())

    blocked: list[list[Still]] = []
    watched = EventLoop(app, every_s=0.01)
    assert watched.look() == []
    asyncio.run(watched({"type": "lifespan"}, None, None))  # type: ignore[arg-type]  # the app asks neither
    first, second, third = blocked
    assert (first, [one.part for one in second], third) == ([], ["the event loop"], [])
    assert watched.look() == [], "it has ended"


def test_a_watch_reports_what_stands_still_and_ends_the_process_when_it_does_for_good(
    tmp_path: Path,
) -> None:
    path, ended = sign_file(tmp_path, "daemon"), list[str]()
    still = [Still("the loop sensor", "acquire", noticed_after_s=0.1, ended_after_s=1.0)]
    watch = Watch(path, lambda: still, end=ended.append, every_s=0.02)

    def standstill() -> str:
        watch.look_once()
        sign = read_sign(path)
        assert sign is not None
        return sign.standstill

    assert standstill() == ""
    until(lambda: "the loop sensor has stood still for 0 s in acquire" in standstill(), "the report")
    assert not ended
    still.clear()
    assert standstill() == "", "it moves again, and the time begins anew"
    still.append(Still("the loop sensor", "acquire", noticed_after_s=0.1, ended_after_s=1.0))
    assert standstill() == ""
    until(lambda: bool(standstill() and ended), "the end")
    assert "the loop sensor has stood still for 1 s in acquire" in ended[0]


def test_a_process_whose_loop_is_deadlocked_ends_itself_and_leaves_all_stacks_in_its_log(
    tmp_path: Path,
) -> None:
    program = f"""
import threading, pathlib
from backtest_pipeline.web.monitoring import watch
watch.ENDED_AFTER_S = 1
watch.NOTICED_AFTER_S = 0.5
lock = threading.Lock()
lock.acquire()
def never_given_back():
    lock.acquire()
threading.Thread(target=never_given_back, name="loop-x").start()
look = watch.StandingThreads(lambda name: name if name == "loop-x" else "")
watch.Watch(pathlib.Path({str(tmp_path)!r}) / "alive" / "x.json", look, every_s=0.1).start()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == HUNG
    assert "loop-x has stood still for 1 s in never_given_back" in done.stderr
    assert "in never_given_back" in done.stderr.partition("most recent call first")[2]
