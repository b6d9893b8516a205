"""What `backtest up` does about processes that end, hang, and come back."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from backtest_pipeline.local_service.process import Process
from backtest_pipeline.local_service.supervisor import Supervision
from backtest_pipeline.web.monitoring.liveness import Beacon, read_sign, sign_file
from backtest_pipeline.web.monitoring.watch import Patience
from backtest_pipeline_tests.polling import until

LIVES = """
import sys, time, pathlib
from backtest_pipeline.web.monitoring.liveness import Beacon
beacon = Beacon(pathlib.Path(sys.argv[1]))
while True:
    beacon.sign(sys.argv[2])
    time.sleep(0.02)
"""


class Watched:
    """A process that signs fifty times a second, supervised by a clock that the test moves on."""

    def __init__(self, home: Path, standstill: str = "") -> None:
        self.path = sign_file(home, "daemon")
        command = [sys.executable, "-c", LIVES, str(self.path), standstill]
        self.process = Process("daemon", command, env=os.environ, log=home / "daemon.log")
        self.reported: list[str] = []
        self.now_s = 0.0
        self.supervision = Supervision(
            {"daemon": self.process},
            {"daemon": self.path},
            self.reported.append,
            patience=lambda: Patience(clock=lambda: self.now_s),
        )

    def look(self, seconds: float = 1.0) -> None:
        self.now_s += seconds
        self.supervision.look()

    def until_it_signs(self, after: int | None = None) -> int:
        """Its process id, once it, and no process of the id `after`, has given a sign of life."""

        def pid() -> int | None:
            sign = read_sign(self.path)
            return sign.pid if sign is not None and sign.pid == self.process.pid else None

        until(lambda: pid() is not None and pid() != after, "a sign of life")
        return int(self.process.pid or 0)

    def stop(self) -> int:
        pid = self.until_it_signs()
        os.kill(pid, signal.SIGSTOP)
        until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "the stop")
        self.look()  # what it wrote last is new
        self.look()
        return pid


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    one = Watched(tmp_path)
    one.process.start()
    yield one
    with suppress(ProcessLookupError):
        one.process.stop(0)


def test_a_process_that_has_ended_is_started_again(watched: Watched) -> None:
    first = watched.until_it_signs()
    watched.process.kill()
    watched.look()
    assert watched.reported == ["daemon ended with status -9, starting it again"]
    assert watched.until_it_signs(after=first) != first


def test_a_process_that_hangs_is_told_once_after_ten_seconds_and_so_is_its_recovery(
    watched: Watched,
) -> None:
    pid = watched.stop()
    for _ in range(9):
        watched.look()
    assert watched.reported == [], "10 s, the last of the two looks included"
    for _ in range(10):
        watched.look()
    line = f"daemon gives no sign of life (process {pid}); it is killed and started again after 60 s"
    assert watched.reported == [line]
    os.kill(pid, signal.SIGCONT)
    sign = read_sign(watched.path)
    until(lambda: read_sign(watched.path) != sign, "another sign")
    watched.look()
    assert watched.reported == [line, "daemon gives signs of life again"]
    assert watched.process.pid == pid


def test_a_process_that_hangs_for_good_is_killed_and_started_again(watched: Watched) -> None:
    pid = watched.stop()
    for _ in range(59):
        watched.look()
    assert watched.process.pid == pid
    assert len(watched.reported) == 1
    watched.look()
    assert watched.reported[1:] == ["daemon gave no sign of life for 61 s, killing it and starting it again"]
    assert watched.until_it_signs(after=pid) != pid
    watched.look()
    watched.look()
    assert len(watched.reported) == 2


def test_time_in_which_the_supervisor_itself_was_away_accuses_nobody(watched: Watched) -> None:
    pid = watched.stop()
    watched.look(seconds=3_600)  # the machine slept, or everything was stopped
    watched.look(seconds=3_600)
    assert (watched.reported, watched.process.pid) == ([], pid)
    os.kill(pid, signal.SIGCONT)


def test_a_process_that_has_not_signed_yet_is_starting(watched: Watched) -> None:
    pid = watched.until_it_signs()
    os.kill(pid, signal.SIGSTOP)
    Beacon(watched.path).sign()  # as one that its predecessor has left: of another process id
    for _ in range(100):
        watched.look()
    assert (watched.reported, watched.process.pid) == ([], pid)
    os.kill(pid, signal.SIGCONT)


def test_a_part_that_stands_still_is_told_once_in_the_words_of_its_process(tmp_path: Path) -> None:
    watched = Watched(tmp_path, "the loop sensor has stood still for 12 s in acquire")
    watched.process.start()
    try:
        watched.until_it_signs()
        for _ in range(3):
            watched.look()
        assert watched.reported == ["daemon hangs: the loop sensor has stood still for 12 s in acquire"]
    finally:
        watched.process.stop(0)


def test_silence_proves_nothing_where_signs_cannot_be_written(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = watched.stop()

    def refuse(*_: object, **__: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refuse)
    for _ in range(100):
        watched.look()
    assert watched.process.pid == pid
    assert len(watched.reported) == 1
    os.kill(pid, signal.SIGCONT)
