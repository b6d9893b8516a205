"""What /proc shows of the pipeline's processes: who descends from whom, who is a worker, memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from backtest_pipeline.orchestration.dagster_internals.standby import RUNNING

_PROC = Path("/proc")


def children(pid: int) -> list[int]:
    """Processes that `pid` has started and that have not been waited for."""
    try:
        tasks = list((_PROC / str(pid) / "task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def family(pid: int) -> Iterator[int]:
    """A process and all its descendants."""
    yield pid
    for child in children(pid):
        yield from family(child)


def fork_servers(code_server: int) -> list[int]:
    """The processes that a code server's warm workers are forked from; one after a clean start.

    The first is a copy of the code server, and so has its command; those after a reload have their own.
    """
    own = _command(code_server)
    return [
        pid
        for pid in children(code_server)
        if _command(pid) == own or b"multiprocessing.forkserver" in _command(pid)
    ]


def workers(code_server: int) -> list[int]:
    """The warm workers of a code server that are alive and have a run."""
    return [pid for pid in _forked(code_server) if not _stands_by(pid)]


def standing_workers(code_server: int) -> list[int]:
    """The warm workers of a code server that wait for a run."""
    return [pid for pid in _forked(code_server) if _stands_by(pid)]


def runs(pid: int) -> bool:
    """Whether a process has a run, or a chunk."""
    try:
        return (_PROC / str(pid) / "comm").read_text().strip() == RUNNING
    except OSError:
        return False


def _forked(code_server: int) -> list[int]:
    forked = [child for server in fork_servers(code_server) for child in children(server)]
    return [pid for pid in forked if alive(pid)]


def _stands_by(pid: int) -> bool:
    """Whether a process does not have the name yet of those that run something."""
    try:
        return (_PROC / str(pid) / "comm").read_text().strip() != RUNNING
    except OSError:
        return False


def is_resource_tracker(pid: int) -> bool:
    """Whether this is a helper of Python's multiprocessing."""
    return b"multiprocessing.resource_tracker" in _command(pid)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def pss_mib(pids: Iterable[int]) -> float:
    """Memory of processes, in MiB; what several share is divided among them."""
    return sum(_rollup(pid, "Pss:") for pid in pids) / 1_024


def private_mib(pid: int) -> float:
    """Memory that would come free if the process ended, in MiB."""
    return (_rollup(pid, "Private_Clean:") + _rollup(pid, "Private_Dirty:")) / 1_024


def _rollup(pid: int, field: str) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(field))


def _command(pid: int) -> bytes:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""
