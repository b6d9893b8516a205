"""What a worker prints: kept in a file for the run's page, and copied to the code server's log.

Where several machines run backtests, the files lie on the volume that they share.

Dagster copies by `tail` and a watcher in Python for each of stdout and stderr. These four processes a run
cost more than the copying, and what is printed last may never arrive. Here a thread copies.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from dagster import DagsterInstance
from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._serdes import ConfigurableClassData
from dagster._utils import ensure_file, touch_file

from backtest_pipeline.orchestration.dagster_internals.compat import overrides, uses
from backtest_pipeline.orchestration.tasks.attempts import facts_of
from backtest_pipeline.orchestration.tasks.log_lines import json_line
from backtest_pipeline.settings import get_settings

overrides(LocalComputeLogManager, "config_type")
overrides(LocalComputeLogManager, "from_config_value")
overrides(LocalComputeLogManager, "register_instance")
overrides(LocalComputeLogManager, "capture_logs", used_by=inner_plan_execution_iterator)
uses(LocalComputeLogManager, "_base_dir", within=LocalComputeLogManager.get_captured_local_path)
uses(LocalComputeLogManager, "complete_artifact_path")

_COPY_EVERY_S = 0.25
_PATIENCE_S = 5.0


class BacktestComputeLogManager(LocalComputeLogManager):
    """Dagster's files in Dagster's place, written without processes beside the worker."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        """The folder is known once the instance is."""
        super().__init__(base_dir="", inst_data=inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Nothing to configure."""
        return {}

    @classmethod
    def from_config_value(
        cls,
        inst_data: ConfigurableClassData | None,
        config_value: Any,  # noqa: ARG003  empty
    ) -> BacktestComputeLogManager:
        """Called by Dagster when it loads `dagster.yaml`."""
        return cls(inst_data)

    def register_instance(self, instance: DagsterInstance) -> None:
        """Called by Dagster with the instance that has loaded it."""
        super().register_instance(instance)
        self._base_dir = str(get_settings().run_logs or instance.storage_directory())

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext, None, None]:
        """Keeps what is printed in the block, by child processes too, in the files of `log_key`."""
        out, err = (
            Path(self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[kind]))
            for kind in (ComputeIOType.STDOUT, ComputeIOType.STDERR)
        )
        wrap = self._wrap(log_key)
        with _captured(sys.stdout, out, wrap), _captured(sys.stderr, err, wrap):
            yield CapturedLogContext(log_key)
        touch_file(self.complete_artifact_path(log_key))  # type: ignore[no-untyped-call]  # untyped in Dagster

    def _wrap(self, log_key: Sequence[str]) -> Callable[[bytes], bytes] | None:
        """What makes of a printed line one for the log, where that is JSON: with its task and attempt."""
        if get_settings().backtest_log_format != "json":
            return None
        run = self._instance.get_run_by_id(log_key[0]) if self.has_instance else None
        facts = facts_of(self._instance, run) if run is not None else {}

        def wrap(line: bytes) -> bytes:
            text = line.decode(errors="replace")
            return f"{json_line(text, level='INFO', logger='run', at_s=time.time(), **facts)}\n".encode()

        return wrap


@contextmanager
def _captured(stream: TextIO, path: Path, wrap: Callable[[bytes], bytes] | None = None) -> Iterator[None]:
    """Leads a stream into a file and copies to where it led before; a killed process leaves the file."""
    ensure_file(str(path))
    try:
        usual = os.dup(stream.fileno())
    except (OSError, ValueError):  # closed, or none of the system's: then there is nothing to lead elsewhere
        yield
        return
    done = threading.Event()
    file = path.open("rb")
    file.seek(0, os.SEEK_END)
    copying = threading.Thread(target=_copy, args=(file, usual, done, wrap), name="copy-output", daemon=True)
    copying.start()
    try:
        with redirect_to_file(stream, path):
            yield
    finally:
        done.set()
        copying.join(_PATIENCE_S)  # the run does not wait for somebody who has stopped reading the log


def _copy(
    file: BinaryIO, to: int, done: threading.Event, wrap: Callable[[bytes], bytes] | None = None
) -> None:
    """Copies what is appended to a file until it is complete; closes both."""
    ended, begun = False, b""
    with file, os.fdopen(to, "wb", buffering=0) as usual:
        while not ended:
            ended = done.wait(_COPY_EVERY_S)
            written = file.read()
            if wrap is not None:
                *lines, begun = (begun + written).split(b"\n")
                if ended and begun:
                    lines.append(begun)
                written = b"".join(wrap(line) for line in lines if line.strip())
            try:
                while written:
                    written = written[usual.write(written) :]
            except OSError:  # the log's disk is full, or nobody reads: the file has it all
                return
