"""How people name a task: by its id, by the beginning of it, or as the last one."""

from __future__ import annotations

import re
from collections.abc import Iterable

from backtest_pipeline.model.errors import RequestInvalid, TaskAmbiguous, TaskUnknown

LAST = "last"
"""Names the newest task."""
FEWEST_CHARACTERS = 8
"""Of an id, that stand for the whole; as many as pages and tables show."""

_TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BEGINNING = re.compile(rf"[0-9a-f-]{{{FEWEST_CHARACTERS},35}}")


def is_task_id(text: str) -> bool:
    """Whether a text has the form of a whole task id."""
    return _TASK_ID.fullmatch(text) is not None


def written_name(task: object) -> str:
    """What somebody wrote to name a task.

    Raises:
        RequestInvalid: it is no text, as where a whole `TaskStatus` was given.
    """
    if not isinstance(task, str):
        problem = f"write a task's id as text, as task.task_id, not {type(task).__name__}"
        raise RequestInvalid([("task_id", problem)], heading="no task is named")
    return task


def may_begin_id(text: str) -> bool:
    """Whether a text may be the beginning of an id, and is not a whole one."""
    return _BEGINNING.fullmatch(text.strip().lower()) is not None


def beginning_of(text: str) -> str:
    """Return a text that may be the beginning of an id, in lower case.

    Raises:
        TaskUnknown: it cannot be one.
    """
    if not may_begin_id(text):
        raise TaskUnknown(text)
    return text.strip().lower()


def only_match(text: str, known: Iterable[str]) -> str | None:
    """Return the one known id that begins with `text`; None where none does.

    Raises:
        TaskAmbiguous: several do.
    """
    beginning = beginning_of(text)
    found = sorted({task_id for task_id in known if task_id.startswith(beginning)})
    if len(found) > 1:
        raise TaskAmbiguous(text, found)
    return found[0] if found else None
