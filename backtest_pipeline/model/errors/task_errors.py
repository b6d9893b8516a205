"""A task is in another state than the caller needs, or was not submitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from backtest_pipeline.model.errors.backtest_error import BacktestError, listed
from backtest_pipeline.model.nearest_names import did_you_mean

_SHORTEST = 8
_NAMES = ("last",)


class TaskError(BacktestError):
    """A task is not in the state that the caller needs."""

    def __init__(self, task_id: str, message: str) -> None:
        self.task_id = task_id
        super().__init__(message)


class TaskUnknown(TaskError):
    """Neither the server nor the results folder knows this task."""

    def __init__(self, task_id: str, where: str = "") -> None:
        """`where` says which places were looked at, after a comma or a preposition of its own."""
        short = (
            " (of an id, give eight characters at least)"
            if len(task_id) < _SHORTEST and task_id.isalnum() and not task_id.isalpha()
            else ""
        )
        super().__init__(
            task_id,
            f"there is no task {task_id!r}{did_you_mean(task_id, _NAMES)}{short}{where}; `backtest list` "
            "shows the tasks there are",
        )


class TaskAmbiguous(TaskError):
    """The ids of several tasks begin as it was written.

    Attributes:
        candidates: those ids.
    """

    def __init__(self, task_id: str, candidates: Sequence[str]) -> None:
        self.candidates = list(candidates)
        super().__init__(
            task_id,
            f"{task_id!r} may be any of {listed(self.candidates)}; write more of the one that you mean",
        )


class TaskFailed(TaskError):
    """A task ended in `failed` or `cancelled` where its result was wanted."""

    def __init__(self, task_id: str, state: str, reason: str) -> None:
        self.state = state
        self.reason = reason
        super().__init__(
            task_id, f"task {task_id} {state}: {reason}" if reason else f"task {task_id} {state}"
        )


class TaskRepeated(TaskError):
    """A task with the same idempotency key exists; `task_id` is that one."""

    def __init__(self, task_id: str, key: str) -> None:
        self.key = key
        super().__init__(task_id, f"task {task_id} already has the idempotency key {key!r}")


class AttemptSuperseded(TaskError):
    """A later attempt of the task has published; what this one has may not replace it."""

    def __init__(self, task_id: str, attempt: int, published: int) -> None:
        self.attempt = attempt
        self.published = published
        super().__init__(
            task_id, f"attempt {attempt} of task {task_id} comes too late: attempt {published} has published"
        )


class ResultMissing(TaskError):
    """A task has no published result."""

    def __init__(self, task_id: str, folder: str | Path, why: str) -> None:
        self.folder = str(folder)
        super().__init__(task_id, f"task {task_id} has no result in {folder}: {why}")


class ResultElsewhere(ResultMissing):
    """The server keeps results in a folder that is not the one looked in, and cannot be read here.

    Attributes:
        result_path: the task's folder, as the server's machine names it.
    """

    def __init__(self, task_id: str, folder: str | Path, url: str, result_path: str) -> None:
        self.result_path = result_path
        root = Path(result_path).parent.parent
        super().__init__(
            task_id,
            folder,
            f"the server at {url} keeps it in {result_path}, which cannot be read here; set DATA_ROOT to the "
            f"folder that is {root} there",
        )


class ReportMissing(BacktestError):
    """A result cannot be drawn: it was neither run here nor read from a task's folder by a client."""

    def __init__(self, strategy: str) -> None:
        self.strategy = strategy
        super().__init__(
            f"this result of {strategy} came with nothing to draw it by; take it from run_backtest, or from "
            "BacktestClient.result"
        )


class ResultVanished(TaskError):
    """What an attempt has written or published is gone again, or in parts.

    Attributes:
        missing: names of the files that are not there.
    """

    retryable = True

    def __init__(self, task_id: str, folder: str | Path, missing: Sequence[str]) -> None:
        self.folder = str(folder)
        self.missing = list(missing)
        super().__init__(
            task_id,
            f"task {task_id}: what was written to {folder} is gone again ({listed(self.missing)}); find "
            "what deletes or replaces folders below DATA_ROOT/tasks, then run the task again",
        )


class ResultDamaged(TaskError):
    """A published file differs from what its manifest says."""

    def __init__(self, task_id: str, file: str | Path, problem: str) -> None:
        self.file = str(file)
        self.problem = problem
        super().__init__(task_id, f"task {task_id}: {file}: {problem}")


class TaskNotCancelled(TaskError):
    """A task could not be cancelled in time and may go on."""

    retryable = True

    def __init__(self, task_id: str, state: str, problem: str) -> None:
        self.state = state
        self.problem = problem
        super().__init__(task_id, f"task {task_id} is still {state}: {problem}; cancel it again")


class WaitTimedOut(TaskError):
    """A task had not ended when the caller's patience had.

    Attributes:
        others: further tasks that were waited for and have not ended either.
    """

    retryable = True

    def __init__(self, task_id: str, state: str, waited_s: float, others: Sequence[str] = ()) -> None:
        self.state = state
        self.waited_s = waited_s
        self.others = list(others)
        also = f", as are {len(self.others)} more" if self.others else ""
        super().__init__(
            task_id, f"task {task_id} is still {state} after {waited_s:g} s{also}; wait again or cancel it"
        )


class SubmissionsFailed(BacktestError):
    """Some of many requests were not taken; the others were, and run.

    Attributes:
        task_ids: task of each request, in the order of the requests, `None` where it was not taken.
        failures: what went wrong, by position of the request.
        idempotency_keys: key of each request; submitting all again with them repeats none that was taken.
    """

    def __init__(
        self,
        task_ids: Sequence[str | None],
        failures: Mapping[int, BacktestError],
        idempotency_keys: Sequence[str],
    ) -> None:
        self.task_ids = list(task_ids)
        self.failures = dict(failures)
        self.idempotency_keys = list(idempotency_keys)
        self.retryable = all(error.retryable for error in self.failures.values())
        first, error = min(self.failures.items())
        super().__init__(
            f"{len(self.failures)} of {len(self.task_ids)} requests were not taken, the first of them number "
            f"{first + 1}: {error}"
        )
