"""The lock of a file among processes: killed, forked, refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from backtest_pipeline.model.errors import LockNotAcquired
from backtest_pipeline.storage.locks import file_lock

HOLD = """
import sys, time
from pathlib import Path
from backtest_pipeline.storage.locks import file_lock
with file_lock(Path(sys.argv[1]), "the test"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        refused = pytest.raises(LockNotAcquired, match="the lock for the test is held")
        with refused, file_lock(path, "the test", patience_s=0):
            pytest.fail("begun without the lock")
        holder.send_signal(signal.SIGKILL)
        with file_lock(path, "the test", patience_s=30):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_a_child_forked_under_the_lock_does_not_hold_it(tmp_path: Path) -> None:
    """A worker that outlives the one who forked it would keep everybody waiting."""
    path = tmp_path / "a.lock"
    ended, end = os.pipe()
    with file_lock(path, "the test"):
        child = os.fork()
        if not child:
            os.close(end)
            os.read(ended, 1)  # until the parent closes its end
            os._exit(0)
    try:
        with file_lock(path, "the test", patience_s=0):
            pass
    finally:
        os.close(end)
        os.close(ended)
        os.waitpid(child, 0)


def test_threads_of_one_process_exclude_each_other(tmp_path: Path) -> None:
    path, inside, most = tmp_path / "a.lock", 0, 0

    def hold() -> None:
        nonlocal inside, most
        with file_lock(path, "the test", patience_s=30):
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    threads = [threading.Thread(target=hold) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_what_the_file_contains_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_text("4711")
    with file_lock(path, "the test"):
        assert path.read_text() == "4711"
    assert path.read_text() == "4711"


def test_a_lock_that_cannot_be_written_is_an_error_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "folder.lock"
    path.mkdir()
    with pytest.raises(OSError, match=r"folder\.lock"), file_lock(path, "the test", patience_s=0):
        pytest.fail("begun without the lock")


def test_a_file_system_without_locks_is_refused_instead_of_left_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", missing)
    with pytest.raises(OSError, match="not implemented"), file_lock(tmp_path / "a.lock", "the test"):
        pytest.fail("begun without the lock")
