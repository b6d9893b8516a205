"""What a run that searches works on, kept in its process between the ops.

A run that resumes at a later op finds the context empty and fills it again: candles are read, and the trials
are found in the parts that are there.
"""

from __future__ import annotations

import hashlib
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.compute.local_processes import cores
from backtest_pipeline.model.errors import RequestInvalid, WorkerUnfit
from backtest_pipeline.model.request import SERVICE_FIELDS
from backtest_pipeline.model.request_model import canonical_json_of
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.task_kind import backtest_of
from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
from backtest_pipeline.orchestration.tasks.chunk_places import SearchRecord, chunk_place
from backtest_pipeline.orchestration.tasks.run_context import LoadedCandles, load_candles
from backtest_pipeline.results.sweep_parts import PartDamaged, SweepParts
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.workflows.execution_data import ExecutionData, load_execution_data, times_of
from backtest_pipeline.workflows.needed_candles import needed_candles

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from pydantic import BaseModel

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.manifest import CandleFingerprint, ResultFile
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.settings import Settings
    from backtest_pipeline.workflows.sweep_progress import SweepProgress

MOST_TRIES = 3
"""How often parts that go while a search needs them are made again."""
_DIFFERS = {
    "request": "the request means something else",
    "candles": "the candles differ",
    "detail_candles": "the finer candles differ",
    "funding_rates": "the funding rates differ",
    "timezone": "CANDLE_TIMEZONE differs",
    "code": "the strategies' code differs",
    "libraries": "the versions of libraries differ",
}
_LIBRARIES = ("numpy", "pandas", "pyarrow", "numba", "optuna", "scipy")


class _Work(Protocol):
    """What worker processes begin with."""

    @property
    def parts(self) -> SweepParts: ...

    def begin(self) -> None: ...


class _Written(Protocol):
    @property
    def files(self) -> list[ResultFile]: ...


Request = TypeVar("Request", SweepRequest, WalkForwardRequest)
Work = TypeVar("Work", bound=_Work)
Tally = TypeVar("Tally")
Written = TypeVar("Written", bound=_Written)


class SearchContext(ABC, Generic[Request, Work, Tally, Written]):
    """One run's search, its candles and what its trials have yielded, each made on first use."""

    def __init__(self, settings: Settings) -> None:
        self.candle_store = CandleStore(settings.data_root, settings.candle_timezone)
        self.task_store = TaskStore(settings.data_root)
        self.ttl_days = settings.task_result_ttl_days
        self._processes = settings.sweep_processes or cores()
        self._request: Request | None = None
        self._loaded: dict[str, LoadedCandles] | None = None
        self._execution_data: ExecutionData | None = None
        self._work: Work | None = None
        self._tally: Tally | None = None
        self._written: Written | None = None
        self._used = ExitStack()

    @abstractmethod
    def _resolved(self, config: Mapping[str, Any]) -> Request:
        """The request of a run config, checked, every default written out."""

    @abstractmethod
    def _as_asked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The request's fields as a run config has them, unchecked."""

    @abstractmethod
    def _backtest(self, request: Request) -> BacktestRequest:
        """The backtest of which something is varied."""

    @abstractmethod
    def _new_work(
        self,
        request: Request,
        candles: dict[str, dict[str, Candles]],
        data: ExecutionData,
        parts: SweepParts,
        timezone: str,
    ) -> Work:
        """What there is to do, on candles by timeframe and symbol."""

    @abstractmethod
    def _run(
        self, work: Work, executor: Executor, processes: int, progress: Callable[[SweepProgress], None]
    ) -> Tally:
        """Runs what no part holds yet."""

    @abstractmethod
    def _write(self, folder: Path, work: Work, tally: Tally) -> Written:
        """Writes all files."""

    def request(self, config: Mapping[str, Any]) -> Request:
        """The request of a run config, checked, every default written out.

        Raises:
            RequestInvalid: the config asks for something that cannot be run.
        """
        if self._request is None:
            self._request = self._resolved(config)
        return self._request

    def asked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The request's fields for the record, as they were asked where they were refused."""
        try:
            return self.request(config).to_dict()
        except RequestInvalid:
            return self._as_asked(config)

    def loaded(self, config: Mapping[str, Any]) -> Mapping[str, LoadedCandles]:
        """The candles of all trials, by timeframe.

        Raises:
            BacktestError: the request is invalid or its candles cannot be used.
        """
        if self._loaded is None:
            request = self.request(config)
            calendar = self._backtest(request).calendar
            self._loaded = {
                needed.timeframe: load_candles(self.candle_store, needed, calendar)
                for needed in needed_candles(request, self.candle_store.zone)
            }
        return self._loaded

    def fingerprints(self, config: Mapping[str, Any]) -> list[CandleFingerprint]:
        """What the search has seen, by timeframe and symbol."""
        return [
            seen.model_copy(
                update={"timeframe": timeframe, "calendar": loaded.candles[seen.symbol].recorded_calendar}
            )
            for timeframe, loaded in self.loaded(config).items()
            for seen in loaded.fingerprints
        ]

    def execution_data(self, config: Mapping[str, Any]) -> ExecutionData:
        """Finer candles and funding rates, as far as any trial asks for them.

        Raises:
            BacktestError: as `loaded`, or there are none.
        """
        if self._execution_data is None:
            times = times_of(own for loaded in self.loaded(config).values() for own in loaded.traded)
            self._execution_data = load_execution_data(self.candle_store, self.request(config), times)
        return self._execution_data

    def trials(
        self,
        config: Mapping[str, Any],
        code: str,
        progress: Callable[[SweepProgress], None] = lambda _: None,
    ) -> Tally:
        """Runs what no part holds yet.

        Args:
            config: the run's.
            code: which code runs, in as many words as make it the same again.
            progress: called after each chunk.

        Raises:
            BacktestError: as `loaded`, or every trial fails.
            OSError: the disk refuses.
        """
        if self._tally is None:
            work = self._work_of(config, code)
            place = chunk_place(lambda: self._record(config, code), work.begin, self._processes)
            with place as (executor, processes):
                self._tally = self._run(work, executor, processes, progress)
        return self._tally

    def write(self, folder: Path, config: Mapping[str, Any], code: str) -> Written:
        """Writes the search's files; parts that have gone meanwhile are made again.

        Raises:
            PartDamaged: they go again and again.
            BacktestError, OSError: as `trials`.
        """
        for _ in range(MOST_TRIES - 1):
            try:
                return self._written_once(folder, config, code)
            except PartDamaged as error:
                self._work_of(config, code).parts.drop(error.name)
                self._tally = None
        return self._written_once(folder, config, code)

    def _written_once(self, folder: Path, config: Mapping[str, Any], code: str) -> Written:
        tally = self.trials(config, code)
        self._written = self._write(folder, self._work_of(config, code), tally)
        return self._written

    def outcome(self) -> tuple[Tally, Written]:
        """What is known of the trials, and what has been written last; after `write`."""
        if self._tally is None or self._written is None:
            raise AssertionError("nothing has been written yet")
        return self._tally, self._written

    def release(self) -> None:
        """Lets others delete the parts; repeated, it does nothing."""
        self._used.close()

    def forget_parts(self) -> None:
        """Deletes the parts, unless another search of the same key uses them as well."""
        self.release()
        if self._work is not None:
            self._work.parts.delete()

    def _work_of(self, config: Mapping[str, Any], code: str) -> Work:
        if self._work is None:
            candles = {timeframe: loaded.candles for timeframe, loaded in self.loaded(config).items()}
            parts = SweepParts(self.task_store.layout.sweep_parts(self._key(config, code)))
            self._used.enter_context(parts.in_use())
            data, zone = self.execution_data(config), self.candle_store.zone.key
            self._work = self._new_work(self.request(config), candles, data, parts, zone)
        return self._work

    def _key(self, config: Mapping[str, Any], code: str) -> str:
        """What decides the bytes of a chunk: two searches with the same key may share their parts."""
        return hashlib.sha256(canonical_json_of(self._facts(config, code)).encode()).hexdigest()

    def _facts(self, config: Mapping[str, Any], code: str) -> dict[str, Any]:
        asked = self.request(config).to_dict()
        backtest = backtest_of(asked)
        for name in SERVICE_FIELDS:
            backtest.pop(name, None)  # type: ignore[attr-defined]  # a dictionary of our own
        return {
            "request": asked,
            "candles": [seen.model_dump(mode="json") for seen in self.fingerprints(config)],
            **self._key_of_execution_data(config),
            "timezone": self.candle_store.zone.key,
            "code": code,
            "libraries": {name: version(name) for name in _LIBRARIES},
        }

    def _key_of_execution_data(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What is left out where there is none, so that searches without go on with the parts they have."""
        data = self.execution_data(config)
        facts: dict[str, Sequence[BaseModel]] = {
            "detail_candles": data.detail_fingerprints(),
            "funding_rates": data.funding_fingerprints(),
        }
        return {
            name: [seen.model_dump(mode="json") for seen in found] for name, found in facts.items() if found
        }

    def _record(self, config: Mapping[str, Any], code: str) -> SearchRecord:
        return SearchRecord(self._key(config, code), config, code, self._facts(config, code))

    def work_of(self, record: SearchRecord) -> Work:
        """The work that another process has recorded, for a chunk of it to be done here.

        Raises:
            WorkerUnfit: here it would be other work.
            BacktestError, OSError: as `loaded`.
        """
        facts = self._facts(record.config, record.code)
        differing = [
            words
            for name, words in _DIFFERS.items()
            if canonical_json_of(facts.get(name) or {}) != canonical_json_of(record.facts.get(name) or {})
        ]
        if differing:
            raise WorkerUnfit(platform.node(), " and ".join(differing))
        return self._work_of(record.config, record.code)
