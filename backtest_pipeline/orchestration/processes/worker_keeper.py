"""What `backtest worker` does: keep a worker of this machine, as the supervisor keeps the service.

It starts generations of `worker_pools`, a new one before the old one goes where code has changed, renews the
worker's lease in Dagster's database and looks after its runs. It ends when its generations have ended; asked
twice, it kills them.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import signal
import tempfile
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import DagsterInstance

from backtest_pipeline.compute.broker import CHUNKS, RUNS, client_of
from backtest_pipeline.model.errors import VolumeUnfit
from backtest_pipeline.orchestration.dagster_internals.instance_databases import (
    create_databases,
    use_databases_well,
)
from backtest_pipeline.orchestration.processes.pool_generation import PoolGeneration, started
from backtest_pipeline.orchestration.processes.pool_process import BEHIND, CHUNK_TIMES
from backtest_pipeline.orchestration.processes.worker_pools import UNUSABLE
from backtest_pipeline.orchestration.tasks.log_lines import log_to_stderr
from backtest_pipeline.orchestration.tasks.worker_leases import RENEW_EVERY_S, WorkerLease, registered, renew
from backtest_pipeline.orchestration.tasks.worker_runs import WorkerRuns
from backtest_pipeline.storage.shared_volume import WorkerMark, volume_problems
from backtest_pipeline.web.monitoring.liveness import Beacon, sign_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backtest_pipeline.settings import Settings

LOOK_EVERY_S = 0.25
STARTS_WITHIN_S = 120.0
_PAUSE_S = 1.0
_logger = logging.getLogger("backtest.worker")


class WorkerKeeper:
    """Keeps a worker.

    Attributes:
        worker: its name, which no other has.

    Args:
        settings: where broker, database and volume are.
        concurrency: how many runs, and how many chunks, it takes at a time.
        queues: of which it takes.
    """

    def __init__(self, settings: Settings, *, concurrency: int, queues: Sequence[str]) -> None:
        self.worker = f"{platform.node()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._settings = settings
        self._concurrency = concurrency
        self._queues = list(queues)
        self._scratch = Path(tempfile.mkdtemp(prefix="backtest-worker-"))
        self._current: PoolGeneration | None = None
        self._next: PoolGeneration | None = None
        self._former: list[PoolGeneration] = []
        self._stops = 0
        self._over = threading.Event()
        self._runs = WorkerRuns(self.worker)
        self._chunks_done, self._chunk_seconds, self._renewed = 0, 0.0, 0
        self._read_bytes: dict[Path, int] = {}
        self._client = client_of(settings.backtest_broker_url)

    def prepare(self) -> None:
        """Tries the volume, and makes the databases where they are not there yet.

        Raises:
            VolumeUnfit: results would not be safe there.
        """
        log_to_stderr(self._settings)
        self._mark = _mark_on(self._settings.data_root, self.worker)
        use_databases_well()
        create_databases()

    def run(self) -> None:
        """Keeps the worker until it is asked to stop and has ended what it was at."""
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(signal.SIGINT, self._on_signal)
        self.prepare()
        looking = threading.Thread(target=self._look_after_runs, name="worker-runs", daemon=True)
        try:
            self._current = self._started()
            looking.start()
            said, sign = False, Beacon(sign_file(self._settings.dagster_home, "worker"))
            while self._stops == 0 or self._generations():
                self._look()
                sign.sign()
                if not said and self._renewed and self._current is not None and self._current.is_ready():
                    said = True
                    _logger.info("worker %s is ready: %s", self.worker, ", ".join(self._queues))
                time.sleep(LOOK_EVERY_S)
        finally:
            for generation in self._generations():
                generation.kill()
            self._over.set()
            if looking.is_alive():
                looking.join(_PAUSE_S * 10)
            self._mark.remove()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _on_signal(self, *_: object) -> None:
        self._stops += 1
        for generation in self._generations():
            if self._stops == 1:
                generation.ask_to_stop()
            else:
                generation.kill()

    def _generations(self) -> list[PoolGeneration]:
        return [one for one in (*self._former, self._current, self._next) if one is not None]

    def _look(self) -> None:
        """Replaces what has ended, hangs or is behind."""
        self._former = [one for one in self._former if not one.has_ended()]
        current, following = self._current, self._next
        if self._stops:
            self._current = None if current is None or current.has_ended() else current
            self._next = None if following is None or following.has_ended() else following
            return
        if current is None or current.has_ended():
            _logger.error("the worker's pools have ended; starting them again")
            time.sleep(_PAUSE_S)
            self._current, self._next = following or self._started(), None
        elif current.hangs():
            _logger.error("the worker's pools hang; killing them")
            current.kill()
        elif following is not None:
            self._follow(current, following)
        elif (current.folder / BEHIND).exists() and not (current.folder / UNUSABLE).exists():
            _logger.info("the code has changed on disk; starting pools that have it")
            self._next = self._started()

    def _follow(self, current: PoolGeneration, following: PoolGeneration) -> None:
        """Lets the next generation take over once it is ready, and gives it up where it cannot be."""
        if following.is_ready():
            current.ask_to_stop()
            self._former.append(current)
            self._current, self._next = following, None
            _logger.info("pools with the changed code take over")
        elif following.has_ended() or time.monotonic() - following.started_s > STARTS_WITHIN_S:
            following.kill()
            self._next = None
            (current.folder / UNUSABLE).touch()
            _logger.error("the code has changed on disk and does not load, so what was loaded stays")

    def _started(self) -> PoolGeneration:
        return started(
            self._settings, self._scratch, self.worker, concurrency=self._concurrency, queues=self._queues
        )

    def _look_after_runs(self) -> None:
        """Renews the lease and looks after the runs, in a thread of its own; what fails is tried again."""
        problem = ""
        while not self._over.is_set():
            try:
                with (
                    DagsterInstance.from_config(str(self._settings.dagster_home)) as instance,
                    registered(instance, self.worker),
                ):
                    problem = ""
                    self._look_on(instance)
            except Exception as error:  # noqa: BLE001  the database's errors are many
                told = str(error).partition("\n")[0]
                if told != problem:
                    _logger.warning("cannot look after the runs now: %s", told)
                problem = told
                self._over.wait(_PAUSE_S)

    def _look_on(self, instance: DagsterInstance) -> None:
        renewed_s = float("-inf")
        while not self._over.is_set():
            self._runs.look(instance, [one.folder for one in self._generations_seen()])
            if time.monotonic() - renewed_s >= RENEW_EVERY_S:
                renew(instance, self._lease())
                renewed_s = time.monotonic()
            self._over.wait(LOOK_EVERY_S)
        self._runs.look(instance, [one.folder for one in self._generations_seen()])

    def _generations_seen(self) -> list[PoolGeneration]:
        folders = {one.folder: one for one in self._generations()}
        self._seen = {**getattr(self, "_seen", {}), **folders}
        return list(self._seen.values())

    def _lease(self) -> WorkerLease:
        self._renewed += 1
        with suppress(OSError):  # seen by whoever compares
            self._mark.number(self._renewed)
        self._count_chunks()
        has_broker = self._has_broker()
        current = self._current
        takes = has_broker and not self._stops and current is not None and current.is_ready()
        slots = self._concurrency if takes else 0
        at_work = self._runs.at_work
        return WorkerLease(
            worker=self.worker,
            host=platform.node(),
            renewed=self._renewed,
            at_s=time.time(),
            run_slots=slots if RUNS in self._queues else 0,
            chunk_slots=slots if CHUNKS in self._queues else 0,
            runs=[one.run_id for one in at_work if one.kind == "run"],
            chunks=sum(one.kind == "chunk" for one in at_work),
            chunks_done=self._chunks_done,
            chunk_seconds=self._chunk_seconds,
            has_broker=has_broker,
        )

    def _has_broker(self) -> bool:
        try:
            return bool(self._client.ping())
        except Exception:  # noqa: BLE001  the broker's errors are many
            return False

    def _count_chunks(self) -> None:
        """Adds up what the processes have noted since the last time."""
        for generation in self._generations():
            path = generation.folder / CHUNK_TIMES
            with suppress(OSError), path.open("rb") as file:
                file.seek(self._read_bytes.get(path, 0))
                written = file.read()
                whole = written[: written.rfind(b"\n") + 1]
                self._read_bytes[path] = self._read_bytes.get(path, 0) + len(whole)
                took = [float(line) for line in whole.split()]
                self._chunks_done += len(took)
                self._chunk_seconds += sum(took)


def _mark_on(root: Path, worker: str) -> WorkerMark:
    """A worker's mark on the volume, once that has been tried.

    Raises:
        VolumeUnfit: results would not be safe there.
    """
    try:
        problems = volume_problems(root)
        if not problems:
            return WorkerMark(root, worker)
    except OSError as error:
        problems = [f"it cannot be written or locked ({error})"]
    raise VolumeUnfit(root, problems)
