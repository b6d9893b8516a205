"""What comes after a run waits for its end in a worker, and is done at once anywhere else."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import Connection

import pytest

from backtest_pipeline.orchestration.tasks import deferred


@pytest.fixture(autouse=True)
def _nobody_is_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "_is_worker", False)
    monkeypatch.setattr(deferred, "_postponed", [])
    monkeypatch.setattr(deferred, "_NICENESS", 0)  # the tests that follow go on in this process


def test_a_worker_does_it_after_the_run_in_order_and_once() -> None:
    done: list[str] = []
    deferred.defer_until_finish()
    deferred.later(lambda: done.append("first"))
    deferred.later(lambda: done.append("second"))
    assert done == []
    deferred.finish()
    deferred.finish()
    assert done == ["first", "second"]


def _tell_niceness(told: Connection) -> None:
    deferred.defer_until_finish()
    deferred.later(lambda: told.send(os.nice(0)))
    told.send(os.nice(0))
    deferred.finish()


def test_a_worker_lets_others_go_first_once_its_run_has_ended() -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    worker = multiprocessing.get_context("spawn").Process(target=_tell_niceness, args=(theirs,))
    worker.start()
    theirs.close()
    during, after = ours.recv(), ours.recv()
    worker.join()
    assert after > during == os.nice(0)


def test_anybody_else_does_it_at_once() -> None:
    done: list[str] = []
    deferred.later(lambda: done.append("now"))
    assert done == ["now"]


def test_what_is_postponed_while_the_rest_is_done_is_done_as_well() -> None:
    done: list[str] = []
    deferred.defer_until_finish()
    deferred.later(lambda: deferred.later(lambda: done.append("inner")))
    deferred.finish()
    assert done == ["inner"]


@pytest.mark.parametrize("is_worker", [True, False])
def test_trouble_with_one_thing_is_logged_and_keeps_nothing_else_back(
    is_worker: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deferred, "_is_worker", is_worker)
    done: list[str] = []
    deferred.later(lambda: 1 // 0)
    deferred.later(lambda: done.append("other"))
    deferred.finish()
    assert done == ["other"]
    assert "work after a run failed: ZeroDivisionError" in caplog.text
