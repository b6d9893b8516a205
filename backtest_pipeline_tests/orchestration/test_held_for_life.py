"""A code server holds a lock for its whole life, with its process id for whoever has to end it."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from backtest_pipeline.orchestration.processes.code_server import _held_for_life
from backtest_pipeline_tests.polling import until


def _is_free(lock: Path) -> bool:
    with lock.open("a+") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_it_is_held_while_the_server_lives_and_names_it(tmp_path: Path) -> None:
    lock = tmp_path / "code.lock"
    with _held_for_life(lock):
        assert not _is_free(lock)
        assert lock.read_text() == str(os.getpid())
    assert _is_free(lock)


def test_a_former_servers_id_is_replaced_whole(tmp_path: Path) -> None:
    lock = tmp_path / "code.lock"
    lock.write_text("123456789012345")
    with _held_for_life(lock):
        assert lock.read_text() == str(os.getpid())


def test_who_comes_while_another_lives_says_so_and_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, begun, done = tmp_path / "code.lock", threading.Event(), threading.Event()

    def second() -> None:
        with _held_for_life(lock):
            begun.set()
            done.wait(60)

    said = ""

    def has_said() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return f"waiting for the code server that holds {lock}" in said

    with lock.open("a+") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        thread = threading.Thread(target=second)
        thread.start()
        until(has_said, "the second to say so")
        assert not begun.is_set()
    assert begun.wait(60)
    done.set()
    thread.join()
