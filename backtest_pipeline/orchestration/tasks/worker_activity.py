"""What a worker's processes are at, in a folder of that machine: a file for each, while it is at work.

The processes that work can look after themselves only as long as they are well. By these files the one that
looks after them knows whom to interrupt, whom to kill, and whose death to report.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["run", "chunk"]


@dataclass(frozen=True, slots=True)
class Activity:
    """One process's work.

    Attributes:
        kind: of the work.
        run_id: the run that it is, or is a part of.
        pid: the process.
        since_s: since when, in seconds since 1970.
    """

    kind: Kind
    run_id: str
    pid: int
    since_s: float

    def is_alive(self) -> bool:
        """Whether the process is there; one that nobody has buried yet is not."""
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return status.rpartition(")")[2].split()[0] != "Z"


@contextmanager
def at_work(folder: Path, kind: Kind, run_id: str) -> Iterator[None]:
    """Shows that this process works for the block; a killed one leaves its file behind."""
    activity = Activity(kind, run_id, os.getpid(), time.time())
    path = folder / f"{activity.pid}.json"
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(activity)))
    fresh.replace(path)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()


def activities(folder: Path) -> list[Activity]:
    """What all processes are at; those that have died at it are there until `forget`."""
    found = []
    for path in sorted(folder.glob("*.json")):
        with suppress(OSError, ValueError, TypeError):
            found.append(Activity(**json.loads(path.read_bytes())))
    return found


def forget(folder: Path, activity: Activity) -> None:
    """Takes away what a dead process has left."""
    with suppress(OSError):
        (folder / f"{activity.pid}.json").unlink()
