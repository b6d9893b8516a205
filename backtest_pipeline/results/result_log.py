"""Which results were deleted on purpose, and which are to be kept: so that lost results can be found.

A file beside the tasks' folder, one JSON object a line, written under the lock of publishing. It says nothing
of results that somebody deletes by hand.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from backtest_pipeline.storage.atomic import write_bytes_durably
from backtest_pipeline.storage.layout import Layout

Event = Literal["deleted", "pinned", "unpinned"]


@dataclass(slots=True)
class ResultLog:
    """What the log says.

    Attributes:
        deleted_at: when the cleanup deleted a task's results, the newest time.
        pinned: tasks whose results are kept past their time.
    """

    deleted_at: dict[str, datetime] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)


def note(layout: Layout, task_id: str, event: Event, *, at: datetime | None = None) -> bool:
    """Adds a line; call it while `publishing` is held.

    Args:
        layout: whose log it is.
        task_id: whose results.
        event: what happens to them.
        at: when; now by default.

    Returns:
        Whether the line was written. A full disk keeps nobody from deleting.
    """
    line = {"task_id": task_id, "event": event, "at": (at or datetime.now(UTC)).isoformat()}
    try:
        with layout.result_log.open("ab") as log:
            log.write(f"\n{json.dumps(line)}\n".encode())  # a line that a crash has cut ends here
    except OSError:
        return False
    return True


def read_result_log(layout: Layout) -> ResultLog:
    """Reads the log; lines that are cut or foreign are passed over, and no log is an empty one."""
    found = ResultLog()
    for line in _lines(layout):
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            task_id, event, at = str(entry["task_id"]), entry["event"], datetime.fromisoformat(entry["at"])
            if event == "deleted":
                found.deleted_at[task_id] = at
            elif event == "pinned":
                found.pinned.add(task_id)
            elif event == "unpinned":
                found.pinned.discard(task_id)
    return found


def forget(layout: Layout, task_ids: Collection[str]) -> None:
    """Drops the lines of tasks that nobody asks for any more; call it while `publishing` is held."""
    gone = set(task_ids)
    kept = []
    for line in _lines(layout):
        with suppress(ValueError, KeyError, TypeError):
            if json.loads(line)["task_id"] not in gone:
                kept.append(line)
    with suppress(OSError):
        write_bytes_durably(layout.result_log, b"".join(line + b"\n" for line in kept))


def _lines(layout: Layout) -> list[bytes]:
    try:
        content = layout.result_log.read_bytes()
    except FileNotFoundError:
        return []
    return [line for line in content.split(b"\n") if line]
