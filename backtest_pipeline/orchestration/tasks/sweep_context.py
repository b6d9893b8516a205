"""What a run of a sweep works on, kept in its process between the ops.

A run that resumes at a later op finds the context empty and fills it again: candles are read, and the trials
are found in the parts that are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.compute.local_processes import LocalProcesses, cores
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.request import SERVICE_FIELDS, canonical_json_of
from backtest_pipeline.model.sweep_config import from_sweep_config, sweep_as_asked
from backtest_pipeline.orchestration.tasks.run_context import LoadedCandles, load_candles, schedules_of
from backtest_pipeline.results.sweep_parts import PartDamaged, SweepParts
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.strategies.sweep_resolution import resolve_sweep
from backtest_pipeline.workflows.needed_candles import needed_candles
from backtest_pipeline.workflows.run_sweep import trial_runner
from backtest_pipeline.workflows.sweep_chunks import SweepProgress, SweepWork, run_trials
from backtest_pipeline.workflows.sweep_files import SweepFiles, write_sweep

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import CandleFingerprint
    from backtest_pipeline.model.schedule import Schedule
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.settings import Settings
    from backtest_pipeline.workflows.trial_tally import TrialTally

MOST_TRIES = 3
"""How often parts that go while a sweep needs them are made again."""
_LIBRARIES = ("numpy", "pandas", "pyarrow", "numba", "optuna", "scipy")


class SweepContext:
    """One run's sweep, its candles and what its trials have yielded, each made on first use."""

    def __init__(self, settings: Settings) -> None:
        self.candle_store = CandleStore(settings.data_root, settings.candle_timezone)
        self.task_store = TaskStore(settings.data_root)
        self.ttl_days = settings.task_result_ttl_days
        self._processes = settings.sweep_processes or cores()
        self._request: SweepRequest | None = None
        self._loaded: dict[str, LoadedCandles] | None = None
        self._work: SweepWork | None = None
        self._tally: TrialTally | None = None
        self._written: SweepFiles | None = None
        self._used = ExitStack()

    def request(self, config: Mapping[str, Any]) -> SweepRequest:
        """The sweep of a run config, checked, every default written out.

        Raises:
            RequestInvalid: the config asks for something that cannot be run.
        """
        if self._request is None:
            self._request = resolve_sweep(from_sweep_config(config)).request
        return self._request

    def asked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The sweep's fields for the record, as they were asked where they were refused."""
        try:
            return self.request(config).to_dict()
        except RequestInvalid:
            return sweep_as_asked(config)

    def loaded(self, config: Mapping[str, Any]) -> Mapping[str, LoadedCandles]:
        """The candles of all trials, by timeframe.

        Raises:
            BacktestError: the sweep is invalid or its candles cannot be used.
        """
        if self._loaded is None:
            request = self.request(config)
            self._loaded = {
                needed.timeframe: load_candles(self.candle_store, needed, request.backtest.calendar)
                for needed in needed_candles(request, self.candle_store.zone)
            }
        return self._loaded

    def fingerprints(self, config: Mapping[str, Any]) -> list[CandleFingerprint]:
        """What the sweep has seen, by timeframe and symbol."""
        return [
            seen.model_copy(
                update={"timeframe": timeframe, "calendar": loaded.candles[seen.symbol].recorded_calendar}
            )
            for timeframe, loaded in self.loaded(config).items()
            for seen in loaded.fingerprints
        ]

    def trials(
        self,
        config: Mapping[str, Any],
        code: str,
        progress: Callable[[SweepProgress], None] = lambda _: None,
    ) -> TrialTally:
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
            with LocalProcesses(self._processes, initializer=work.begin) as executor:
                self._tally = run_trials(work, executor, self._processes, progress)
        return self._tally

    def write(self, folder: Path, config: Mapping[str, Any], code: str) -> SweepFiles:
        """Writes the sweep's files; parts that have gone meanwhile are made again.

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

    def _written_once(self, folder: Path, config: Mapping[str, Any], code: str) -> SweepFiles:
        tally = self.trials(config, code)
        self._written = write_sweep(folder, self._work_of(config, code), tally, self._schedules)
        return self._written

    def outcome(self) -> tuple[TrialTally, SweepFiles]:
        """What is known of the trials, and what has been written last; after `write`."""
        if self._tally is None or self._written is None:
            raise AssertionError("nothing has been written yet")
        return self._tally, self._written

    def release(self) -> None:
        """Lets others delete the parts; repeated, it does nothing."""
        self._used.close()

    def forget_parts(self) -> None:
        """Deletes the parts, unless another sweep of the same key uses them as well."""
        self.release()
        if self._work is not None:
            self._work.parts.delete()

    def _work_of(self, config: Mapping[str, Any], code: str) -> SweepWork:
        if self._work is None:
            request = self.request(config)
            candles = {timeframe: loaded.candles for timeframe, loaded in self.loaded(config).items()}
            timezone = self.candle_store.zone.key
            parts = SweepParts(self.task_store.layout.sweep_parts(self._key(config, code)))
            self._used.enter_context(parts.in_use())
            self._work = SweepWork(
                trial_runner(candles, request, timezone=timezone), candles, parts, timezone
            )
        return self._work

    def _key(self, config: Mapping[str, Any], code: str) -> str:
        """What decides the bytes of a chunk: two sweeps with the same key may share their parts."""
        asked = self.request(config).to_dict()
        asked["backtest"] = {
            name: value for name, value in asked["backtest"].items() if name not in SERVICE_FIELDS
        }
        facts = {
            "request": asked,
            "candles": [seen.model_dump(mode="json") for seen in self.fingerprints(config)],
            "timezone": self.candle_store.zone.key,
            "code": code,
            "libraries": {name: version(name) for name in _LIBRARIES},
        }
        return hashlib.sha256(canonical_json_of(facts).encode()).hexdigest()

    def _schedules(self, timeframe: str, calendar: str) -> dict[str, Schedule]:
        loaded = (self._loaded or {})[timeframe]
        return schedules_of(self.candle_store, loaded.candles, calendar)
