"""Dagster's code server with warm workers: `python -m backtest_pipeline.orchestration.processes.code_server`.

Takes the arguments of `dagster api grpc`. Beside forking its workers it reloads code in place when asked to
(the reload button of the web UI) and kills workers that do not stop when asked to. Asked to stop itself, it
starts nothing more and waits for the backtests that run. `jobs.submissions` answers what it is asked about
submissions.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from backtest_pipeline.model.errors import LockNotAcquired
from backtest_pipeline.quick_imports import quick_imports
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.locks import file_lock

_PURPOSE = "the code server"


@contextmanager
def _held_for_life(lock: Path) -> Iterator[None]:
    """Shows who comes after that this server still lives, be it only to finish its backtests."""
    with ExitStack() as life:
        try:
            life.enter_context(file_lock(lock, _PURPOSE, patience_s=0))
        except LockNotAcquired:
            print(f"waiting for the code server that holds {lock}", file=sys.stderr, flush=True)  # noqa: T201
            life.enter_context(file_lock(lock, _PURPOSE))
        lock.write_text(str(os.getpid()))
        yield


def main() -> None:
    """Run Dagster's command with our server."""
    with quick_imports():
        from backtest_pipeline.orchestration.dagster_internals import (  # noqa: PLC0415
            code_server_command,
            worker_generations,
        )

        code_server_command.prepare(answered_by="backtest_pipeline.orchestration.jobs.submissions")
        worker_generations.copy_this_process()  # before the lock, which a copy would hold as well
    with _held_for_life(get_settings().code_lock):
        code_server_command.run()


if __name__ == "__main__":
    main()
