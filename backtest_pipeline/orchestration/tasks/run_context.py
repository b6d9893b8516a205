"""What a run works on, kept in its process between the ops.

Nothing is pickled between ops. A run that resumes at a later op ("re-execute from failure") finds the
context empty and fills it again: candles are read and the result is computed once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from backtest_pipeline.candles.resampling import partial_bars
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.engine.inputs import SeenCandles
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.exchanges import AUTO
from backtest_pipeline.model.gaps import Gaps
from backtest_pipeline.model.manifest import CandleFingerprint
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.run_config import as_asked, from_run_config
from backtest_pipeline.model.schedule import Schedule
from backtest_pipeline.model.task_request import TaskRequest
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import Settings
from backtest_pipeline.strategies.registry import Resolved, resolve
from backtest_pipeline.workflows.execution_data import (
    ExecutionData,
    load_execution_data,
    require_execution_data,
    times_of,
)
from backtest_pipeline.workflows.needed_candles import NeededCandles, needed_candles
from backtest_pipeline.workflows.run_backtest import run_resolved

ProgressCallback = Callable[[float, str], None]


@dataclass(frozen=True)
class LoadedCandles:
    """A request's candles with what the record needs to know of them.

    Attributes:
        candles: by symbol, those before the request's `start` included that its strategy may see.
        fingerprints: of each symbol's.
        gaps: by symbol, of those that are traded.
        schedules: by symbol, where they are known.
        partial: by symbol, how many resampled bars lack some of the shorter ones of which they were made.
    """

    candles: dict[str, Candles]
    fingerprints: list[CandleFingerprint]
    gaps: dict[str, Gaps]
    schedules: dict[str, Schedule]
    partial: dict[str, int] = field(default_factory=dict)

    @property
    def traded(self) -> list[Candles]:
        """Each symbol's without those of the warm-up."""
        return [own.traded for own in self.seen.values()]

    @property
    def seen(self) -> dict[str, SeenCandles]:
        """By symbol, with how many of the candles were not traded."""
        return {
            own.symbol: SeenCandles(self.candles[own.symbol], own.warmup_rows) for own in self.fingerprints
        }


class TaskContext(Protocol):
    """What is known of a run whatever kind of task it belongs to.

    Attributes:
        candle_store: where candles are read.
        task_store: where results go.
        ttl_days: how long they live.
    """

    candle_store: CandleStore
    task_store: TaskStore
    ttl_days: int

    def request(self, config: Mapping[str, Any]) -> TaskRequest:
        """The request of a run config, checked, every default written out.

        Raises:
            RequestInvalid: the config asks for something that cannot be run.
        """

    def asked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The request's fields for the record, as they were asked where they were refused.

        Raises:
            RequestInvalid: nothing can be said of the request.
        """


def require_candles(store: CandleStore, request: TaskRequest) -> None:
    """Makes sure that the store has a request's candles and what else it asks for, without reading them all.

    Raises:
        SymbolsUnknown, CandlesMissing, DetailMissing, FundingMissing: it has not.
        CandleFileUnreadable, CandlesInvalid: that cannot be found out.
    """
    for needed in needed_candles(request, store.zone):
        store.require(needed.symbols, needed.timeframe, needed.start, needed.end)
    require_execution_data(store, request)


def load_candles(store: CandleStore, needed: NeededCandles, calendar: str) -> LoadedCandles:
    """Loads candles and what is to be known of them.

    Raises:
        BacktestError: they cannot be used.
    """
    candles = needed.load(store)
    fingerprints = [needed.fingerprint(own, store.zone) for own in candles.values()]
    traded = {own.symbol: SeenCandles(candles[own.symbol], own.warmup_rows).traded for own in fingerprints}
    asked = None if calendar == AUTO else calendar
    return LoadedCandles(
        candles=candles,
        fingerprints=fingerprints,
        gaps={symbol: store.gaps(one, asked) for symbol, one in traded.items()},
        schedules=schedules_of(store, traded, calendar),
        partial={symbol: _partial(store, one) for symbol, one in traded.items()},
    )


def _partial(store: CandleStore, candles: Candles) -> int:
    marked = partial_bars(store, candles.symbol, candles.timeframe)
    if not marked:
        return 0
    opens = np.array([moment.replace(tzinfo=None) for moment in marked], dtype="datetime64[us]")
    return int(np.isin(candles.timestamp, opens).sum())


def schedules_of(store: CandleStore, candles: Mapping[str, Candles], calendar: str) -> dict[str, Schedule]:
    """The sessions of each symbol's exchange, where they are known."""
    asked = None if calendar == AUTO else calendar
    found = {
        symbol: store.schedule(store.calendar(one, asked), one.timestamp) for symbol, one in candles.items()
    }
    return {symbol: schedule for symbol, schedule in found.items() if schedule}


class RunContext:
    """One run's request, candles and result, each made on first use."""

    def __init__(self, settings: Settings) -> None:
        self.candle_store = CandleStore(settings.data_root, settings.candle_timezone)
        self.task_store = TaskStore(settings.data_root)
        self.ttl_days = settings.task_result_ttl_days
        self._resolved: Resolved | None = None
        self._loaded: LoadedCandles | None = None
        self._execution_data: ExecutionData | None = None
        self._result: BacktestResult | None = None

    def request(self, config: Mapping[str, Any]) -> BacktestRequest:
        """The request of a run config, checked, every default written out.

        Raises:
            RequestInvalid: the config asks for something that cannot be run.
        """
        return self._resolve(config).request

    def _resolve(self, config: Mapping[str, Any]) -> Resolved:
        """The strategy and its parameters, once for all ops of the run."""
        if self._resolved is None:
            self._resolved = resolve(from_run_config(config))
        return self._resolved

    def asked(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The request's fields for the record, as they were asked where they were refused."""
        try:
            return self.request(config).to_dict()
        except RequestInvalid:
            return as_asked(config)

    def loaded(self, config: Mapping[str, Any]) -> LoadedCandles:
        """The request's candles.

        Raises:
            BacktestError: the request is invalid or its candles cannot be used.
        """
        if self._loaded is None:
            request = self.request(config)
            [needed] = needed_candles(request, self.candle_store.zone)
            self._loaded = load_candles(self.candle_store, needed, request.calendar)
        return self._loaded

    def execution_data(self, config: Mapping[str, Any]) -> ExecutionData:
        """Finer candles and funding rates, as far as the request asks for them.

        Raises:
            BacktestError: as `loaded`, or there are none.
        """
        if self._execution_data is None:
            times = times_of(self.loaded(config).traded)
            self._execution_data = load_execution_data(self.candle_store, self.request(config), times)
        return self._execution_data

    def result(self, config: Mapping[str, Any], progress: ProgressCallback | None = None) -> BacktestResult:
        """The request's result.

        Raises:
            BacktestError: as `loaded`, or the strategy is faulty.
        """
        if self._result is None:
            loaded = self.loaded(config)
            self._result = run_resolved(
                loaded.candles,
                self._resolve(config),
                progress,
                timezone=self.candle_store.zone.key,
                schedules=loaded.schedules,
                **self.execution_data(config).of(self.request(config)),
            )
        return self._result
