"""The fork servers that workers come from, one at a time, the newest.

The first is a copy of the code server's own process, taken before that has threads or connections: what both
import is imported once. After a reload of code a fresh one imports everything anew, while the workers of the
former finish in peace.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import traceback
from importlib import import_module
from itertools import count
from multiprocessing import connection, forkserver, resource_tracker
from pathlib import Path

from backtest_pipeline.orchestration.dagster_internals.compat import uses

PRELOAD = "backtest_pipeline.orchestration.processes.worker_preload"
_ONCE_FOR_BOTH = (
    "backtest_pipeline.definitions",
    "backtest_pipeline.orchestration.dagster_internals.worker_start",
)

uses(
    forkserver.ForkServer,
    "_forkserver_pid",
    "_forkserver_alive_fd",
    "_forkserver_address",
    within=forkserver.ForkServer.__init__,
)
uses(forkserver, "main")
uses(connection, "arbitrary_address")

_numbers = count()


class Generation(forkserver.ForkServer):
    """A fork server.

    Attributes:
        number: tells it from all others of this process.
    """

    def __init__(self) -> None:
        """Not started yet."""
        super().__init__()
        self.number = next(_numbers)


launching = threading.Lock()
_newest = Generation()


def newest() -> Generation:
    """Return the fork server that the next worker comes from."""
    return _newest


def is_running() -> bool:
    """Return whether the newest fork server has been started."""
    return _pid_of(_newest) is not None


def copy_this_process() -> None:
    """Import the code location and make a copy of this process the fork server.

    To be called while this process has one thread and no connection. Nothing happens where the code does not
    load: the code server says so, and its workers come from a fork server that is started as usual.
    """
    try:
        for module in _ONCE_FOR_BOTH:
            import_module(module)
    except Exception:  # noqa: BLE001  whatever an operator's strategy raises; the code server shows it
        return
    if threads() == 1:
        use(_copied())


def threads() -> int:
    """Return the number of threads of this process, native ones included where the system counts them."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.exists() else threading.active_count()


def renew() -> Generation:
    """Let the next worker come from a fresh fork server, which imports the code as it is now.

    Returns:
        The former one, which is to be retired.
    """
    return use(_not_started())


def use(generation: Generation) -> Generation:
    """Let the next worker come from this fork server, and return the former one."""
    global _newest
    with launching:
        former, _newest = _newest, generation
    return former


def retire(generation: Generation) -> None:
    """Let a fork server that is not used any more end once the last of its workers has."""
    pid = _pid_of(generation)
    if pid is None:
        return
    # It ends when its workers, which have this as well, have closed it too.
    os.close(generation._forkserver_alive_fd)  # type: ignore[attr-defined]  # noqa: SLF001  declared above
    generation._forkserver_pid = generation._forkserver_alive_fd = None  # type: ignore[attr-defined]  # noqa: SLF001  as above
    threading.Thread(target=os.waitpid, args=(pid, 0), name="retired-fork-server", daemon=True).start()


def _not_started() -> Generation:
    generation = Generation()
    generation.set_forkserver_preload([PRELOAD])
    return generation


def _pid_of(generation: Generation) -> int | None:
    pid: int | None = generation._forkserver_pid  # type: ignore[attr-defined]  # noqa: SLF001  declared above
    return pid


def _copied() -> Generation:
    """Fork, and let the child do what `ForkServer.ensure_running` starts a new interpreter for."""
    resource_tracker.ensure_running()
    address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]  # declared above
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    Path(address).chmod(0o600)
    listener.listen()
    alive_r, alive_w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(alive_w)
        _serve(listener.detach(), alive_r)
    listener.close()
    os.close(alive_r)
    generation = _not_started()
    generation._forkserver_address = address  # type: ignore[attr-defined]  # noqa: SLF001  declared above
    generation._forkserver_alive_fd = alive_w  # type: ignore[attr-defined]  # noqa: SLF001  as above
    generation._forkserver_pid = pid  # type: ignore[attr-defined]  # noqa: SLF001  as above
    return generation


def _serve(listener_fd: int, alive_r: int) -> None:
    """Be the fork server until nobody needs it, and end without the exit handlers of the copied process."""
    status = 1
    try:
        forkserver.main(listener_fd, alive_r, [PRELOAD])
    except SystemExit:
        status = 0
    except BaseException:  # noqa: BLE001  the last place where it can be shown
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
