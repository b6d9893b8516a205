"""Where a task's results lie: in the client's folder, or where the server says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backtest_pipeline.model.errors import ResultElsewhere, ResultMissing, ServiceError, TaskUnknown
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.model.task_names import LAST, is_task_id
from backtest_pipeline.results.stored_ids import stored_id
from backtest_pipeline.results.task_store import TaskStore

Place = tuple[TaskStore, str]
"""The store that has a task's results, and the task's whole id."""


def place_in(store: TaskStore, task: str) -> Place:
    """Return a task's place in one folder, where `last` is the newest task that has a result there.

    Raises:
        TaskUnknown, TaskAmbiguous: no task there, or more than one, is named so.
    """
    found = stored_id(store.layout, task)
    if found is None:
        raise TaskUnknown(task, f" in {store.layout.tasks.absolute()}")
    return store, found


def place_of(store: TaskStore, task: str, url: str, status: Callable[[str], TaskStatus]) -> Place:
    """Return a task's place, asking the server where the client's own folder has no result of it.

    `last` is the newest task that the server knows; without a server, as in `place_in`.

    Args:
        store: the client's own folder.
        task: an id, the beginning of one, or `last`.
        url: of the server, for messages.
        status: asks the server where a task stands.

    Raises:
        TaskUnknown, TaskAmbiguous: no task, or more than one, is named so.
        ResultMissing: it has not ended, or its results are gone; the message says where they were looked for.
        ResultElsewhere: they are in a folder of the server's that cannot be read here.
    """
    here = None if task == LAST else stored_id(store.layout, task)
    if here is not None and store.layout.manifest(here).exists():
        return store, here
    folder = store.layout.tasks.absolute()
    try:
        found = status(here or task)
    except TaskUnknown as error:
        if not is_task_id(task):
            raise TaskUnknown(task, f" in {folder}, and none on the server at {url}") from error
        why = f"nothing has been published there, and the server at {url} knows no such task"
        raise ResultMissing(
            task, folder / task, f"{why}; `backtest list` shows the tasks there are"
        ) from None
    except ServiceError as error:
        return _without_server(store, task, error)
    return _where_stated(store, found, url)


def _without_server(store: TaskStore, task: str, error: ServiceError) -> Place:
    folder = store.layout.tasks.absolute()
    found = stored_id(store.layout, task)
    if found is None:
        raise TaskUnknown(task, f" in {folder} (the folder DATA_ROOT), and {error}") from error
    if not store.layout.manifest(found).exists():
        why = f"nothing has been published there, and the server that may keep it elsewhere: {error}"
        raise ResultMissing(
            found, folder / found, f"{why}; or set DATA_ROOT to the server's folder"
        ) from error
    return store, found


def _where_stated(store: TaskStore, task: TaskStatus, url: str) -> Place:
    task_id, folder = task.task_id, store.layout.task(task.task_id).absolute()
    if store.layout.manifest(task_id).exists():
        return store, task_id
    if task.result_path is None or Path(task.result_path) == folder:
        raise ResultMissing(task_id, folder, _why_missing(task))
    path = Path(task.result_path)
    theirs = TaskStore(path.parent.parent)
    if path != theirs.layout.task(task_id) or not theirs.layout.manifest(task_id).exists():
        raise ResultElsewhere(task_id, folder, url, task.result_path)
    return theirs, task_id


def _why_missing(task: TaskStatus) -> str:
    if not task.final:
        return f"it is {task.state} ({task.stage}); wait for it with `backtest wait {task.task_id}`"
    if task.state == "completed":
        return "it completed, and its results have expired or were deleted; submit it again"
    return f"it {task.state}: {task.error}" if task.error else f"it was {task.state}"
