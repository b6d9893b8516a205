"""A Redis of its own on a free port and the workers that take from it, for the rivals that need one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scratch_service import free_port

from backtest_pipeline.local_service.process import Process

SCRIPTS = Path(__file__).resolve().parent


@contextmanager
def redis_service(
    name: str, packages: Path, data_root: Path, workers: Sequence[Sequence[str]]
) -> Iterator[tuple[str, list[int]]]:
    """Runs Redis and workers for the block, in which `packages` can be imported.

    Args:
        name: the rival's, for its log and its variables `<NAME>_PACKAGES` and `<NAME>_REDIS`, in capitals.
        packages: where the rival and what it needs are installed.
        data_root: candles; results go there too.
        workers: script in this folder and arguments, of each worker.

    Yields:
        Redis' address and the processes that were started, the workers last.
    """
    port = free_port()
    url = f"redis://127.0.0.1:{port}"
    own = {f"{name.upper()}_PACKAGES": str(packages), f"{name.upper()}_REDIS": url}
    env = {**os.environ, **own, "DATA_ROOT": str(data_root)}
    server = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    commands = [server, *([sys.executable, str(SCRIPTS / script), *rest] for script, *rest in workers)]
    log = data_root / f"{name}.log"
    processes = [Process(name, command, env=env, log=log) for command in commands]
    sys.path.append(str(packages))
    try:
        for process in processes:
            process.start()
        yield url, [process.pid for process in processes if process.pid]
    finally:
        for process in reversed(processes):
            process.stop(20)
        sys.path.remove(str(packages))
