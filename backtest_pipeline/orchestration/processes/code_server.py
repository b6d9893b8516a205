"""Dagster's code server with warm workers: `python -m backtest_pipeline.orchestration.processes.code_server`.

Takes the arguments of `dagster api grpc`. Beside forking its workers it reloads code in place when asked to
(the reload button of the web UI) and kills workers that do not stop when told to. Told to stop itself, it
starts nothing more and waits for the backtests that run. `jobs.submissions` answers what it is asked about
submissions.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backtest_pipeline.orchestration.dagster_internals import code_server_command
from backtest_pipeline.settings import get_settings


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


if __name__ == "__main__":
    code_server_command.prepare(answered_by="backtest_pipeline.orchestration.jobs.submissions")
    with _held_for_life(get_settings().code_lock):
        code_server_command.run()
