"""Chunks on all machines: how the run of a search sends them, and how a worker makes them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backtest_pipeline.compute.broker_calls import KEPT_S, BrokerCalls, outcome_key, tries_key
from backtest_pipeline.compute.local_processes import MOST_TRIES
from backtest_pipeline.model.errors import WorkersDied
from backtest_pipeline.orchestration.tasks.attempts import facts_of
from backtest_pipeline.orchestration.tasks.chunk_work import SearchWorks, write_record
from backtest_pipeline.orchestration.tasks.log_lines import lines_about
from backtest_pipeline.orchestration.tasks.run_states import state_of
from backtest_pipeline.orchestration.tasks.worker_leases import WorkersSeen
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.chunk_messages import ChunkForm, failed, made

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from dagster import DagsterInstance, DagsterRun
    from redis import Redis

    from backtest_pipeline.orchestration.tasks.chunk_places import SearchRecord
    from backtest_pipeline.settings import Settings

_PATIENCE_S = 600.0
_PAUSE_S = 1.0
_LEAST_SLOTS = 4  # workers that come later find something to do

Send = Callable[[str, dict[str, Any], int], object]


@dataclass(frozen=True)
class ChunkSender:
    """Sends the chunks of one run's search.

    Attributes:
        instance: knows the workers.
        layout: of the volume.
        run_id: the search's.
        priority: the request's.
        send: sends a message under a call's id, with a priority.
        client: of the broker.
    """

    instance: DagsterInstance
    layout: Layout
    run_id: str
    priority: int
    send: Send
    client: Redis

    @contextmanager
    def place(self, record: SearchRecord) -> Iterator[tuple[Executor, int]]:
        """What makes chunks of the search of a record, and how many at once."""
        write_record(self.layout, record)
        workers = WorkersSeen(self.instance)
        form = ChunkForm({"run": self.run_id, "key": record.key})

        def send(call_id: str, message: dict[str, Any]) -> None:
            self.send(call_id, message, self.priority)

        with BrokerCalls(send, self.client, form, workers) as calls:
            yield calls, max(workers.chunk_slots(), _LEAST_SLOTS)


@dataclass(frozen=True)
class ChunkMaker:
    """Makes chunks in a worker's process.

    Attributes:
        instance: knows which runs are at work.
        works: the searches of this process.
        worker: its worker's name.
        client: of the broker.
        working: shows for a block that this process works on a chunk of a run.
        done: called with the seconds that a chunk has taken.
    """

    instance: DagsterInstance
    works: SearchWorks
    worker: str
    client: Redis
    working: Callable[[str], AbstractContextManager[None]]
    done: Callable[[float], object]

    def make(self, call_id: str, message: Mapping[str, Any]) -> None:
        """Makes a chunk and leaves its outcome; one whose run is not at work any more is dropped."""
        run_id = message["run"]
        with self.working(run_id):
            run = self.instance.get_run_by_id(run_id)
            if run is None or state_of(run) != "running":
                return
            began_s = time.monotonic()
            if self._tell(call_id, None) > MOST_TRIES:
                outcome = failed(WorkersDied(MOST_TRIES, f"on {self.worker} and before"))
            else:
                with lines_about(facts_of(self.instance, run)):
                    outcome = self._outcome(run, message)
            self._tell(call_id, outcome)
            self.done(time.monotonic() - began_s)

    def _outcome(self, run: DagsterRun, message: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self.works.begin(run, message["key"])
        except Exception as error:  # noqa: BLE001  told to whoever asked for it
            return failed(error)
        return made(message)

    def _tell(self, call_id: str, outcome: Mapping[str, Any] | None) -> int:
        """Leaves a word for whoever asked, as soon as the broker takes it; returns how often it was begun."""
        reply = {"worker": self.worker} | ({} if outcome is None else {"outcome": outcome})
        give_up_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                pipe = self.client.pipeline(transaction=False)
                pipe.set(outcome_key(call_id), json.dumps(reply), ex=KEPT_S)
                if outcome is None:
                    pipe.incr(tries_key(call_id))
                    pipe.expire(tries_key(call_id), KEPT_S)
                else:
                    pipe.get(tries_key(call_id))
                return int(pipe.execute()[1] or 0)
            except Exception:
                if time.monotonic() > give_up_s:
                    raise
                time.sleep(_PAUSE_S)


def sender_of(
    instance: DagsterInstance, settings: Settings, run_id: str, priority: int, send: Send, client: Redis
) -> ChunkSender:
    """What sends the chunks of a run's search."""
    return ChunkSender(instance, Layout(settings.data_root), run_id, priority, send, client)
