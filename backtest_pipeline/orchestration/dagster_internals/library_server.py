"""A process that has imported the libraries and no more: fork servers for reloaded code are forked from it.

Most of what a fork server imports are libraries. They stay as they are while the service runs, so that a
strategy which has been saved need not wait for them again. The process starts with the first reload.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from multiprocessing import forkserver, popen_fork, popen_forkserver
from multiprocessing.context import ForkServerProcess
from multiprocessing.process import BaseProcess
from pathlib import Path

from backtest_pipeline.orchestration.dagster_internals.compat import overrides, replaced, uses

LIBRARIES = (
    "dagster._cli.api",
    "dagster._daemon.controller",
    "dagster._grpc.server",
    "sqlalchemy.dialects.sqlite",
    "alembic.command",
    "structlog",
    "pandas",
    "pyarrow.compute",
    "pyarrow.parquet",
    "numba.cpython.charseq",
    "numba.cpython.listobj",
    "numba.cpython.printimpl",
    "numba.cpython.setobj",
    "numba.experimental.function_type",
    "numba.misc.cffiimpl",
    "numba.misc.gdb_hook",
    "numba.np.linalg",
    "numba.np.npyimpl",
    "numba.np.random",
    "numba.typed.typeddict",
    "numba.typed.typedlist",
    "numba.typed.typedset",
    "scipy.stats",
    "arch.bootstrap",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.dates",
    "PIL.PngImagePlugin",
    "bokeh.plotting",
    "bokeh.embed",
    "bokeh.models",
    "apprise",
    "rich.console",
    "rich.progress",
    "rich.table",
    "starlette.responses",
    "starlette.websockets",
    "watchdog.observers",
)
"""Modules whose import takes time; one that is missing is left out, and imported by whoever needs it."""

overrides(popen_forkserver.Popen, "_launch", used_by=popen_fork.Popen.__init__)
overrides(ForkServerProcess, "_Popen", used_by=BaseProcess.start)
uses(
    forkserver.ForkServer,
    "_forkserver_pid",
    "_forkserver_alive_fd",
    "_forkserver_address",
    within=forkserver.ForkServer.__init__,
)


class _LibraryServer:
    """The process, started when it is first asked, and again after it has died or libraries were upgraded."""

    def __init__(self) -> None:
        self._server = forkserver.ForkServer()
        self._preloaded: frozenset[str] | None = None

    def connect_to_new_process(self, fds: list[int]) -> tuple[int, int]:
        """As of `ForkServer`."""
        installed = _installed()
        if installed != self._preloaded:
            release(self._server)
            self._server = forkserver.ForkServer()
            self._server.set_forkserver_preload(list(LIBRARIES))
            self._preloaded = installed
        return self._server.connect_to_new_process(fds)


_libraries = _LibraryServer()


class _Popen(popen_forkserver.Popen):
    def _launch(self, process: BaseProcess) -> None:
        with replaced(
            forkserver,
            "connect_to_new_process",
            _libraries.connect_to_new_process,
            used_by=popen_forkserver.Popen._launch,  # type: ignore[attr-defined]  # noqa: SLF001  typeshed does not know it
        ):
            super()._launch(process)  # type: ignore[misc]  # as above


class _Process(ForkServerProcess):
    @staticmethod
    def _Popen(process: BaseProcess) -> _Popen:  # noqa: N802  multiprocessing's name
        return _Popen(process)


def forked(target: Callable[..., object], *arguments: object) -> ForkServerProcess:
    """Start a process that has the libraries and has imported nothing of the pipeline before `target`.

    It ends with this process. Not to be called from two threads at once.

    Raises:
        OSError, EOFError: no process can be started.
    """
    process = _Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def release(server: forkserver.ForkServer) -> None:
    """Let a fork server that this process has started end once the last process forked from it has ended."""
    pid: int | None = server._forkserver_pid  # type: ignore[attr-defined]  # noqa: SLF001  declared above
    if pid is None:
        return
    # It ends when all who were forked from it, and have this as well, have closed it too.
    os.close(server._forkserver_alive_fd)  # type: ignore[attr-defined]  # noqa: SLF001  as above
    server._forkserver_pid = server._forkserver_alive_fd = None  # type: ignore[attr-defined]  # noqa: SLF001  as above
    threading.Thread(target=os.waitpid, args=(pid, 0), name="retired-fork-server", daemon=True).start()


def _installed() -> frozenset[str]:
    """Names and versions of the libraries that could be imported."""
    return frozenset(
        found.name
        for place in sys.path
        if place and os.path.isdir(place)  # noqa: PTH112  an archive may stand there
        for found in Path(place).glob("*.dist-info")
    )
