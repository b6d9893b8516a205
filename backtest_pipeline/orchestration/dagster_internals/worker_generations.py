"""The fork servers that workers come from, one at a time, the newest.

The first is a copy of the code server's own process, taken before that has threads or connections: what both
import is imported once. After a reload of code a fresh one imports all but the libraries anew
(`library_server`), while the workers of the former finish in peace.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from backtest_pipeline.orchestration.dagster_internals.compat import overrides, uses
from backtest_pipeline.orchestration.dagster_internals.library_server import forked, release

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
overrides(forkserver.ForkServer, "ensure_running", used_by=forkserver.ForkServer.connect_to_new_process)
uses(forkserver, "main")
uses(connection, "arbitrary_address")

_numbers = count()


class Generation(forkserver.ForkServer):
    """A fork server.

    Attributes:
        number: tells it from all others of this process.
    """

    _forkserver_address: str | None
    _forkserver_alive_fd: int | None
    _forkserver_pid: int | None

    def __init__(self) -> None:
        """Not started yet."""
        super().__init__()
        self.set_forkserver_preload([PRELOAD])
        self.number = next(_numbers)

    @property
    def is_running(self) -> bool:
        """Whether it has been started."""
        return self._forkserver_pid is not None

    def has_started(self, address: str, alive_w: int, pid: int) -> None:
        """Takes note of a process that serves at an address until all have closed the pipe `alive_w`."""
        self._forkserver_address, self._forkserver_alive_fd, self._forkserver_pid = address, alive_w, pid

    def retire(self) -> None:
        """Ends it once the last of its workers has ended."""
        release(self)


class _FromLibraries(Generation):
    """A fork server forked from the process with the libraries; where it dies, a usual one follows."""

    _process: ForkServerProcess | None

    def __init__(self) -> None:
        """Starts it, and does not wait for its imports.

        Raises:
            OSError: no process can be started.
        """
        super().__init__()
        with _listener() as (listener, address):
            alive_r, alive_w = os.pipe()
            with connection.Connection(alive_r, writable=False) as end:
                self._process = forked(_serve_from_libraries, listener, end)
        self.has_started(address, alive_w, self._process.pid or 0)

    def ensure_running(self) -> None:
        """As of `ForkServer`, which asks only about processes of its own."""
        if self._process is not None and self._process.is_alive():
            return
        self._given_up()
        super().ensure_running()

    def retire(self) -> None:
        """As of `Generation`."""
        process = self._given_up()
        if process is None:
            super().retire()
        else:
            threading.Thread(target=process.join, name="retired-fork-server", daemon=True).start()

    def _given_up(self) -> ForkServerProcess | None:
        process, self._process = self._process, None
        if process is not None and self._forkserver_alive_fd is not None:
            os.close(self._forkserver_alive_fd)
            self._forkserver_address = self._forkserver_alive_fd = self._forkserver_pid = None
        return process


launching = threading.Lock()
_newest = Generation()


def newest() -> Generation:
    """Return the fork server that the next worker comes from."""
    return _newest


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
    with launching:
        try:
            fresh: Generation = _FromLibraries()
        except (OSError, EOFError):  # whoever asks for a worker tries once more, and says what is wrong
            fresh = Generation()
    return use(fresh)


def use(generation: Generation) -> Generation:
    """Let the next worker come from this fork server, and return the former one."""
    global _newest
    with launching:
        former, _newest = _newest, generation
    return former


@contextmanager
def _listener() -> Iterator[tuple[socket.socket, str]]:
    """A socket that fork servers are asked at, and its address; closed here after the block."""
    resource_tracker.ensure_running()
    address: str = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]  # declared above
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        Path(address).chmod(0o600)
        listener.listen()
        yield listener, address


def _copied() -> Generation:
    """Fork, and let the child do what `ForkServer.ensure_running` starts a new interpreter for."""
    with _listener() as (listener, address):
        alive_r, alive_w = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(alive_w)
            _serve(listener.detach(), alive_r)
    os.close(alive_r)
    generation = Generation()
    generation.has_started(address, alive_w, pid)
    return generation


def _serve_from_libraries(listener: socket.socket, alive_r: connection.Connection) -> None:
    _serve(listener.detach(), alive_r.fileno())


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
