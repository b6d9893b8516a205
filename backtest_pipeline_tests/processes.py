"""What the system tells of processes."""

from __future__ import annotations

from pathlib import Path


def is_alive(pid: int) -> bool:
    """Whether a process lives that is no zombie."""
    try:
        return _facts(pid)[0] not in {"Z", "X"}
    except OSError:
        return False


def parent_of(pid: int) -> int:
    """The process that has started another one."""
    return int(_facts(pid)[1])


def children_of(pid: int) -> list[int]:
    """The processes that one has started."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for of_thread in children for child in of_thread.read_text().split()]


def descendants_of(pid: int) -> list[int]:
    """All processes below one."""
    return [below for child in children_of(pid) for below in (child, *descendants_of(child))]


def _facts(pid: int) -> list[str]:
    """State, parent and what follows in `/proc/PID/stat`."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
