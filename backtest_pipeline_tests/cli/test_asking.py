"""Ctrl-C at any moment of a submission says whether there is a task."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from backtest_pipeline.cli import asking as module
from backtest_pipeline.cli.asking import ANSWERED, asking
from backtest_pipeline.model.errors import ServerUnreachable
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.sdk.states import status_of
from backtest_pipeline_tests.results.published import TASK
from backtest_pipeline_tests.sdk.stand_ins import run

STATUS = status_of([run(TASK)], 1_000.0)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """What was said on stderr."""
    sink = io.StringIO()
    monkeypatch.setattr(module, "stderr", Console(file=sink, width=200))
    return sink.getvalue


def _interrupted(submit: Callable[[], TaskStatus] | None, after: Callable[[], object]) -> KeyboardInterrupt:
    try:
        with asking() as asked:
            if submit is not None:
                asked.submit(submit)
            after()
    except KeyboardInterrupt as interrupt:
        return interrupt
    raise AssertionError("nobody was interrupted")


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_before_anything_was_sent_there_is_no_task(said: Callable[[], str]) -> None:
    assert _interrupted(None, _interrupt).args == (ANSWERED,)
    assert said().strip() == "no task was submitted"


def test_after_the_answer_the_task_is_named(said: Callable[[], str]) -> None:
    _interrupted(lambda: STATUS, _interrupt)
    assert f"task {TASK} was submitted; see `backtest status {TASK}`" in said()


@pytest.mark.parametrize(
    "answer", [STATUS, ServerUnreachable("http://there", "nobody")], ids=["task", "none"]
)
def test_while_the_answer_is_under_way_it_is_waited_for(
    said: Callable[[], str], answer: TaskStatus | Exception
) -> None:
    sent = threading.Event()

    def slow() -> TaskStatus:
        sent.set()
        deadline_s = time.monotonic() + 10
        while "waiting" not in said() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def interrupt_soon() -> None:
        sent.wait()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_soon).start()
    _interrupted(slow, lambda: None)
    assert "waiting for the server's answer" in said()
    wanted = f"task {TASK} was submitted" if answer is STATUS else "no task was submitted: no answer from"
    assert wanted in said()


def test_an_error_of_the_submission_comes_through(said: Callable[[], str]) -> None:
    def refused() -> TaskStatus:
        raise ServerUnreachable("http://there", "nobody")

    with pytest.raises(ServerUnreachable), asking() as asked:
        asked.submit(refused)
    assert said() == ""


def test_who_was_told_already_is_not_told_twice(said: Callable[[], str]) -> None:
    def told() -> None:
        raise KeyboardInterrupt(ANSWERED)

    _interrupted(lambda: STATUS, told)
    assert said() == ""


@pytest.mark.parametrize("after_s", [0.05, 0.2, 0.5, 1.0])
def test_a_real_command_that_is_interrupted_shows_no_traceback(after_s: float) -> None:
    start = (
        "import sys; sys.argv[1:] = {}; from backtest_pipeline.cli.entry import main; "
        "print('on', flush=True); main()"
    )
    words = ["submit", "sma_cross", "--symbols", "IBM"]
    env = {**os.environ, "BACKTEST_URL": "http://127.0.0.1:9"}
    with subprocess.Popen(
        [sys.executable, "-c", start.format(words)], env=env, text=True, stdout=-1, stderr=-1
    ) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "on\n"
        time.sleep(after_s)
        command.send_signal(signal.SIGINT)
        _, stderr = command.communicate(timeout=30)
    assert "Traceback" not in stderr
    assert "no task was submitted" in stderr or "no answer from" in stderr
