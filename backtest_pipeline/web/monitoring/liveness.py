"""Signs of life of the service's processes: a small file each in DAGSTER_HOME, written once a second.

By the file, the web server (for `/healthz`), `backtest up` and a container's health check distinguish a
process that hangs from one that works. It needs no database, which may be slow or away, and no room on the
disk: the same bytes are written again and again.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

EVERY_S = 1.0
NOTICED_AFTER_S = 10.0
"""Without a sign of life for so long, a process is reported."""
ENDED_AFTER_S = 60.0
"""Without a sign of life for so long, a process hangs for good and is killed."""

_RECORD_BYTES = 1_024
_LONGEST_TEXT = 300


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """What a process said of itself last.

    Attributes:
        pid: its process id, in its own container.
        started: the kernel's count of when it started; with the process id it names one process for ever.
        at_s: when, in seconds since 1970.
        standstill: which part of it stands still, and where; empty where all move.
    """

    pid: int
    started: int
    at_s: float
    standstill: str = ""

    def silent_s(self, now_s: float) -> float:
        """Seconds since the sign."""
        return max(0.0, now_s - self.at_s)


def sign_file(home: Path, name: str) -> Path:
    """Where the process of that name leaves its signs: `daemon`, `code`, `web-<port>`."""
    return home / "alive" / f"{name}.json"


def read_sign(path: Path) -> SignOfLife | None:
    """The newest sign of life, or `None` where there is none or it cannot be read."""
    try:
        return SignOfLife(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


class Beacon:
    """Writes a process's signs of life."""

    def __init__(self, path: Path) -> None:
        """Prepares; nothing is written yet."""
        self._path = path
        self._descriptor: int | None = None
        self._started = started_of(os.getpid())

    def sign(self, standstill: str = "") -> None:
        """Leaves a sign of now.

        Raises:
            OSError: the file cannot be written.
        """
        sign = SignOfLife(os.getpid(), self._started, time.time(), standstill[:_LONGEST_TEXT])
        record = json.dumps(asdict(sign)).encode().ljust(_RECORD_BYTES)
        os.pwrite(self._opened(), record, 0)

    def _opened(self) -> int:
        """The open file; another one where somebody has deleted or replaced it."""
        if self._descriptor is not None:
            with suppress(OSError):
                if os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
                    return self._descriptor
            os.close(self._descriptor)
            self._descriptor = None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.ftruncate(self._descriptor, _RECORD_BYTES)
        return self._descriptor


def started_of(pid: int) -> int:
    """When a process started, in the kernel's ticks since the machine did; 0 where that is unknown."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0
