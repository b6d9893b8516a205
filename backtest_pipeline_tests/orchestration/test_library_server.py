"""The process with the libraries: when it is started again, and that it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from backtest_pipeline.orchestration.dagster_internals import library_server
from backtest_pipeline_tests.polling import until
from backtest_pipeline_tests.processes import is_alive


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process of the test's own, which imports next to nothing."""
    monkeypatch.setattr(library_server, "LIBRARIES", ("json", "no_such_library"))
    monkeypatch.setattr(library_server, "_libraries", library_server._LibraryServer())
    yield
    library_server.release(library_server._libraries._server)


def _tell_parent(answer: Connection) -> None:
    answer.send(os.getppid())


def _parent_of_the_next() -> int:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    with ours:
        with theirs:
            process = library_server.forked(_tell_parent, theirs)
        pid: int = ours.recv()
    process.join()
    return pid


def test_one_process_serves_until_it_dies() -> None:
    libraries = _parent_of_the_next()
    assert libraries != os.getpid()
    assert _parent_of_the_next() == libraries
    os.kill(libraries, signal.SIGKILL)
    until(lambda: not is_alive(libraries), "it to be gone")
    assert _parent_of_the_next() not in {libraries, os.getpid()}


def test_upgraded_libraries_are_imported_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    libraries = _parent_of_the_next()
    (tmp_path / "upgraded-2.0.dist-info").mkdir()
    assert _parent_of_the_next() not in {libraries, os.getpid()}
    until(lambda: not is_alive(libraries), "the process with the former libraries to end")


def test_it_ends_once_the_last_that_was_forked_from_it_has_ended() -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    waiting = library_server.forked(Connection.recv, ours)
    ours.close()
    libraries = _parent_of_the_next()
    library_server.release(library_server._libraries._server)
    assert is_alive(libraries)
    with theirs:
        theirs.send("that is all")
    waiting.join()
    until(lambda: not is_alive(libraries), "it to end")
