"""Asking for a task in such a way that Ctrl-C, whenever it comes, is answered with whether there is one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from backtest_pipeline.cli.output import stderr
from backtest_pipeline.model.status import TaskStatus

ANSWERED = "answered"
"""Argument of a `KeyboardInterrupt` of which somebody has said already what becomes of the task."""
_ANSWER_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.1  # a signal that comes just before a thread begins to wait does not wake it


class Asking:
    """One submission."""

    def __init__(self) -> None:
        self._sent = False
        self._ended = threading.Event()  # a thread whose `join` was interrupted cannot be joined again
        self._answers: list[TaskStatus] = []
        self._errors: list[BaseException] = []

    def submit(self, submit: Callable[[], TaskStatus]) -> TaskStatus:
        """Call `submit` where Ctrl-C does not reach it, and return its answer or raise its error."""
        self._sent = True
        threading.Thread(target=self._run, args=(submit,), name="submit", daemon=True).start()
        while not self._ended.wait(_LOOK_EVERY_S):
            pass
        if self._errors:
            raise self._errors[0]
        return self._answers[0]

    def _run(self, submit: Callable[[], TaskStatus]) -> None:
        try:
            self._answers.append(submit())
        except BaseException as error:  # noqa: BLE001  raised again by whoever waits
            self._errors.append(error)
        finally:
            self._ended.set()

    def outcome(self) -> str:
        """What Ctrl-C leaves behind, in one line; waits for the server's answer where one is due."""
        if not self._sent:
            return "no task was submitted"
        if not self._answers and not self._errors:
            _say(
                "waiting for the server's answer, which says whether there is a task; Ctrl-C again leaves now"
            )
            try:
                self._ended.wait(_ANSWER_WITHIN_S)
            except KeyboardInterrupt:
                return "the server had not answered yet: see `backtest list` whether there is a task"
        if self._answers:
            task_id = self._answers[0].task_id
            return f"task {task_id} was submitted; see `backtest status {task_id}`, or cancel it"
        if self._errors:
            return f"no task was submitted: {self._errors[0]}"
        return "the server has not answered: see `backtest list` whether there is a task"


@contextmanager
def asking() -> Iterator[Asking]:
    """Says on stderr, when Ctrl-C ends the block, whether there is a task, and which."""
    own = Asking()
    try:
        yield own
    except KeyboardInterrupt as interrupt:
        if interrupt.args != (ANSWERED,):
            _say(f"\n{own.outcome()}")
        raise KeyboardInterrupt(ANSWERED) from None


def _say(line: str) -> None:
    stderr.print(line, highlight=False, markup=False, soft_wrap=True)
