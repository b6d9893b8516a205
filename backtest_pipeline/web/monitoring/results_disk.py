"""How much the results take, and when they were last cleaned up."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from backtest_pipeline.storage.layout import Layout


@dataclass(frozen=True, slots=True)
class LastCleanup:
    """What the newest cleanup has left in the tasks' folder about itself."""

    finished_at_s: float
    deleted: int
    freed_bytes: int


def last_cleanup(layout: Layout) -> LastCleanup | None:
    """The newest cleanup, or `None` where there was none yet or its note cannot be read."""
    try:
        note = json.loads(layout.last_cleanup.read_bytes())
        finished = datetime.fromisoformat(note["finished_at"])
        return LastCleanup(finished.timestamp(), int(note["deleted"]), int(note["freed_bytes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


class ResultsSize:
    """Bytes of all published results.

    A task's folder is put in place in one step and changes no more, so one that was measured is not entered
    again while it keeps its time of change.
    """

    def __init__(self, tasks: Path) -> None:
        """Measures below this folder, when asked."""
        self._tasks = tasks
        self._known: dict[str, tuple[int, int]] = {}

    def measured(self) -> tuple[int, int]:
        """How many tasks have results, and the bytes of all of them."""
        fresh: dict[str, tuple[int, int]] = {}
        try:
            with os.scandir(self._tasks) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or not entry.is_dir(follow_symlinks=False):
                        continue
                    changed_ns = entry.stat(follow_symlinks=False).st_mtime_ns
                    known = self._known.get(entry.name)
                    size_bytes = known[1] if known and known[0] == changed_ns else _size_of(entry.path)
                    fresh[entry.name] = (changed_ns, size_bytes)
        except OSError:
            pass  # none yet, or being taken away: what was seen counts
        self._known = fresh
        return len(fresh), sum(size_bytes for _, size_bytes in fresh.values())


def _size_of(folder: str) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError:
        return 0
