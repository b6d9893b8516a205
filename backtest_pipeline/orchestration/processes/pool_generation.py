"""A generation of a worker's pools, as the process that keeps the worker sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from backtest_pipeline.compute.one_thread import ONE_THREAD
from backtest_pipeline.orchestration.processes.worker_pools import ALIVE, READY
from backtest_pipeline.orchestration.tasks.log_lines import json_line
from backtest_pipeline.settings import SECRET_VARIABLES

if TYPE_CHECKING:
    from backtest_pipeline.settings import Settings

HANGS_AFTER_S = 60.0
_POOLS = "backtest_pipeline.orchestration.processes.worker_pools"


@dataclass
class PoolGeneration:
    """A process of `worker_pools` and its folder.

    Attributes:
        folder: where its processes show what they are at.
        queues: whose pools it has.
        process: the process.
        started_s: when it was started, by a monotonic clock.
    """

    folder: Path
    queues: Sequence[str]
    process: subprocess.Popen[bytes]
    started_s: float = field(default_factory=time.monotonic)
    _moved: dict[str, tuple[float, float]] = field(default_factory=dict)

    def is_ready(self) -> bool:
        """Whether all its pools take work."""
        return all((self.folder / f"{READY}-{queue}").exists() for queue in self.queues)

    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self.process.poll() is not None

    def hangs(self) -> bool:
        """Whether a pool has not moved for a minute in which somebody looked."""
        now_s = time.monotonic()
        for queue in self.queues:
            with suppress(OSError):
                touched_s = (self.folder / f"{ALIVE}-{queue}").stat().st_mtime
                if self._moved.get(queue, (0.0, 0.0))[0] != touched_s:
                    self._moved[queue] = (touched_s, now_s)
                elif now_s - self._moved[queue][1] > HANGS_AFTER_S:
                    return True
        return False

    def ask_to_stop(self) -> None:
        """Lets it end what it is at, and then itself."""
        with suppress(ProcessLookupError):
            self.process.terminate()

    def kill(self) -> None:
        """Ends all its processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def started(
    settings: Settings, scratch: Path, worker: str, *, concurrency: int, queues: Sequence[str]
) -> PoolGeneration:
    """Start a generation with the code that is on disk now.

    Args:
        settings: where broker, database and volume are.
        scratch: where its folder is to be.
        worker: name of the worker.
        concurrency: processes of each pool.
        queues: whose pools it is to have.
    """
    folder = Path(tempfile.mkdtemp(dir=scratch))
    command = [sys.executable, "-m", _POOLS, "--worker", worker, "--folder", str(folder)]
    command += ["--keeper", str(os.getpid())]
    command += ["--concurrency", str(concurrency), "--queues", ",".join(queues)]
    is_json = settings.backtest_log_format == "json"
    process = subprocess.Popen(  # noqa: S603  our own
        command,
        env=_environment(settings),
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE if is_json else None,
        stderr=subprocess.STDOUT if is_json else None,
    )
    if process.stdin is not None:
        # Not in the environment: strategies, and others of this user, read what that was at the start.
        with suppress(BrokenPipeError), process.stdin:  # where it has ended, the keeper notices
            process.stdin.write(settings.backtest_broker_url.encode())
    if process.stdout is not None:
        copying = threading.Thread(target=_copy_as_json, args=(process.stdout, worker), daemon=True)
        copying.start()
    return PoolGeneration(folder, queues, process)


def _copy_as_json(printed: IO[bytes], worker: str) -> None:
    """Hands lines on, those that are no JSON yet as JSON: Celery and libraries print as well."""
    for line in printed:
        if line.strip():
            text = line.decode(errors="replace").rstrip("\n")
            if not text.startswith('{"time": '):
                text = json_line(text, level="INFO", logger="printed", at_s=time.time(), worker=worker)
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()


def _environment(settings: Settings) -> dict[str, str]:
    """Ours without secrets, with absolute folders and one thread for arithmetic."""
    hidden = {*SECRET_VARIABLES, "ALERT_URLS"}
    return {name: value for name, value in os.environ.items() if name not in hidden} | {
        "DAGSTER_HOME": str(settings.dagster_home),
        "DATA_ROOT": str(settings.data_root),
        "RUN_LOG_FOLDER": str(settings.run_logs or ""),
        **ONE_THREAD,
    }
