"""Dagster's code server with warm workers: `python -m backtest_pipeline.orchestration.processes.code_server`.

Takes the arguments of `dagster api grpc`. Beside forking its workers it reloads code in place when asked to
(the reload button of the web UI) and kills workers that do not stop when told to. Told to stop itself, it
starts nothing more and waits for the backtests that run.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster._cli.api import grpc_command
from dagster._grpc import server as dagster_server

from backtest_pipeline.orchestration.dagster_internals.compat import check_all, replace
from backtest_pipeline.orchestration.dagster_internals.pooled_postgres import keep_connections
from backtest_pipeline.orchestration.dagster_internals.warm_server import WarmApiServer
from backtest_pipeline.settings import get_settings
from backtest_pipeline.web.monitoring.liveness import sign_file
from backtest_pipeline.web.monitoring.watch import BusyExecutor, Watch

_ALL_BUSY_FOR_S = 300.0


@contextmanager
def _held_for_life(lock: Path) -> Iterator[None]:
    """Tells who comes after that this server still lives, be it only to finish its backtests."""
    with lock.open("a+") as life:
        try:
            fcntl.flock(life, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for the code server that holds {lock}", file=sys.stderr, flush=True)  # noqa: T201
            fcntl.flock(life, fcntl.LOCK_EX)
        life.truncate(0)
        life.write(str(os.getpid()))
        life.flush()
        yield


class _Watched(WarmApiServer):
    """Gives up where no thread of its own is free for minutes: nothing can be started then."""

    def __init__(self, **arguments: Any) -> None:
        busy = BusyExecutor(
            arguments["server_threadpool_executor"], "the code server", ended_after_s=_ALL_BUSY_FOR_S
        )
        Watch(sign_file(get_settings().dagster_home, "code"), busy).start()
        super().__init__(**arguments)


def install() -> None:
    """Puts our server where Dagster's command looks its own up.

    Raises:
        InternalsChanged: the command looks elsewhere, or the server does not wait as it did.
    """
    start_run = dagster_server.DagsterApiServer.StartRun
    replace(dagster_server, "DagsterApiServer", _Watched, used_by=grpc_command)
    # How soon a started worker is noticed, in seconds.
    replace(dagster_server, "EVENT_QUEUE_POLL_INTERVAL", 0.01, used_by=start_run)


if __name__ == "__main__":
    install()
    keep_connections()
    check_all()
    with _held_for_life(get_settings().code_lock):
        grpc_command()
