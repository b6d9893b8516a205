"""What the processes of Celery's pools do: prepare themselves, take a run or a chunk, show what they do.

A process of the pool of runs executes one run and ends, as a worker of the code server does. One of the pool
of chunks keeps its searches' candles from chunk to chunk.
"""

from __future__ import annotations

import gc
import json
import logging
import signal
import time
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import DagsterInstance

from backtest_pipeline.compute.broker import CHUNK_TASK, CHUNKS, client_of, message_priority, queue_name
from backtest_pipeline.compute.forked_worker import end_with_parent
from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.orchestration.dagster_internals import claimed_runs
from backtest_pipeline.orchestration.dagster_internals.code_reload import changed_code
from backtest_pipeline.orchestration.dagster_internals.instance_databases import use_databases_well
from backtest_pipeline.orchestration.dagster_internals.run_slots import configured_instance
from backtest_pipeline.orchestration.dagster_internals.standby import RUNNING, STANDING_BY, opened, show
from backtest_pipeline.orchestration.tasks import deferred
from backtest_pipeline.orchestration.tasks.attempts import facts_of
from backtest_pipeline.orchestration.tasks.chunk_places import work_elsewhere
from backtest_pipeline.orchestration.tasks.chunk_work import SearchWorks
from backtest_pipeline.orchestration.tasks.log_lines import lines_about
from backtest_pipeline.orchestration.tasks.remote_chunks import ChunkMaker, sender_of
from backtest_pipeline.orchestration.tasks.run_claims import claim
from backtest_pipeline.orchestration.tasks.worker_activity import at_work
from backtest_pipeline.settings import get_settings

if TYPE_CHECKING:
    from celery import Celery

BEHIND = "behind"
"""File in the folder of a generation whose code is not what is on disk any more."""
GIVEN_UP = "given_up.json"
"""File there: which changed code does not load."""
CHUNK_TIMES = "chunk_times"
"""File there to which each chunk adds a line with its seconds."""
_PAUSE_S = 0.5
_logger = logging.getLogger("backtest.worker")


@dataclass
class PoolProcess:
    """A process of a pool, or what it is forked from.

    Attributes:
        worker: name of the worker that it belongs to.
        url: of the broker, which its environment does not have.
        folder: of its generation.
        app: sends chunks.
        forked_from: process id of Celery's worker.
    """

    worker: str
    url: str
    folder: Path
    app: Celery | None = None
    forked_from: int = 0
    _instance: DagsterInstance | None = None
    _maker: ChunkMaker | None = field(default=None, repr=False)

    @property
    def instance(self) -> DagsterInstance:
        """Dagster's, as opened in this process."""
        if self._instance is None:  # the database was away when the process prepared itself
            self._instance = DagsterInstance.from_ref(configured_instance(get_settings().dagster_home))
        return self._instance

    def prepare(self) -> None:
        """Called in a fresh process, before there is work for it."""
        end_with_parent(self.forked_from)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is nothing yet that could be cancelled
        deferred.defer_until_finish()
        use_databases_well(each_commit_lasts=False)
        self._instance = opened(configured_instance(get_settings().dagster_home))
        gc.freeze()
        show(STANDING_BY)

    def is_behind(self, *, look: bool) -> bool:
        """Whether others, with newer code, are about to take this one's place.

        Args:
            look: at the code on disk, which takes a while; else others do that every second.
        """
        if not look or (self.folder / BEHIND).exists():
            return (self.folder / BEHIND).exists()
        changed = changed_code()
        return bool(changed) and changed != self._given_up()

    def _given_up(self) -> dict[str, str | None]:
        """The code that does not load, so that this process goes on with what it has."""
        with suppress(OSError, ValueError):
            given_up: dict[str, str | None] = json.loads((self.folder / GIVEN_UP).read_bytes())
            return given_up
        return {}

    def run(self, run_id: str, token: str) -> None:
        """Executes a run, unless somebody else has it or it is not to be executed any more."""
        with at_work(self.folder, "run", run_id):
            run = claim(self.instance, run_id, token, self.worker)
            if run is None:
                _logger.info("run %s is not executed: it was cancelled, or is another's by now", run_id)
                return
            show(RUNNING)
            send = partial(self._send_chunk)
            priority = int(tags.number(run.tags, tags.PRIORITY, 0))
            sender = sender_of(self.instance, get_settings(), run_id, priority, send, client_of(self.url))
            work_elsewhere(sender.place)
            with lines_about(facts_of(self.instance, run)):
                claimed_runs.execute(self.instance, run)
                deferred.finish()

    def chunk(self, call_id: str, message: dict[str, Any]) -> None:
        """Makes a chunk."""
        if self._maker is None:
            self._maker = ChunkMaker(
                self.instance,
                SearchWorks(get_settings()),
                self.worker,
                client_of(self.url),
                self._at_chunk,
                self._note_seconds,
            )
        show(RUNNING)
        try:
            self._maker.make(call_id, message)
        finally:
            show(STANDING_BY)

    def pause(self) -> None:
        """Waits a moment with a message that others are to have."""
        time.sleep(_PAUSE_S)

    def _at_chunk(self, run_id: str) -> AbstractContextManager[None]:
        return at_work(self.folder, "chunk", run_id)

    def _note_seconds(self, took_s: float) -> None:
        with (self.folder / CHUNK_TIMES).open("ab", buffering=0) as file:
            file.write(f"{took_s:.6f}\n".encode())

    def _send_chunk(self, call_id: str, message: dict[str, Any], priority: int) -> None:
        if self.app is None:
            raise BacktestError("this process sends no chunks")
        self.app.send_task(
            CHUNK_TASK,
            args=[message],
            task_id=call_id,
            queue=queue_name(CHUNKS),
            priority=message_priority(priority),
            retry=False,
        )
