"""Runs trials: the same computation as a backtest of its own, with everything shared that can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.indicators.sharing import IndicatorMemo, sharing
from backtest_pipeline.engine.inputs import holding_period_of, signals_of_read_only
from backtest_pipeline.engine.records import SETTINGS
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.errors import BacktestError, ParamsInvalid, RequestInvalid
from backtest_pipeline.model.space_values import PARAM
from backtest_pipeline.model.span import zone_of
from backtest_pipeline.model.strategy import checked_params
from backtest_pipeline.research.combinations import groups_of
from backtest_pipeline.research.market import MARKET_FIELDS, CandlesByTimeframe
from backtest_pipeline.research.space import Points, Space
from backtest_pipeline.research.trial_batch import TrialBatch
from backtest_pipeline.research.trial_rows import TrialRows
from backtest_pipeline.research.trial_settings import TrialSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.strategy import Strategy, StrategyParams
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.research.market import CandlesGiven
    from backtest_pipeline.research.trial_table import TrialChunk

    Rows = NDArray[np.int64]
    _Group = tuple[Rows, Mapping[str, Any]]

SIGNAL_FIELDS = ("strategy", "seed", *MARKET_FIELDS)
"""Fields on which signals hang, beside the strategy's parameters."""


BUILT_IN = "backtest_pipeline.strategies.builtin."
"""Where strategies stand that write to no indicator, and so need no copies of shared ones."""


class TrialRunner:
    """Runs the trials of one sweep, in whatever order they are asked for.

    What a trial yields depends on the request and the candles alone. Trials with the same signals share
    them, and trials of the same candles are run together by one call of a kernel.

    Attributes:
        request: the sweep.
        space: what varies.
        most_bars: of all symbols together, that a trial may see at most.

    Args:
        candles: by symbol, or by timeframe and symbol where several timeframes are asked for.
        request: the sweep, resolved.
        strategies: by name, an instance of each strategy that a trial may have.
        timezone: what a `start` or `end` without a zone means.

    Raises:
        RequestInvalid: there are no candles of some symbol that a trial needs, or no such time zone.
    """

    def __init__(
        self,
        candles: CandlesGiven,
        request: SweepRequest,
        strategies: Mapping[str, Strategy],
        *,
        timezone: str = "UTC",
    ) -> None:
        zone_of(timezone)
        self.request = request
        self.space = Space.of(request.space)
        self._strategies = strategies
        given = CandlesByTimeframe(candles)
        backtest = request.backtest
        choices = request.space.get("symbols", (backtest.symbols,))
        symbols = list(dict.fromkeys(symbol for one in choices for symbol in one))
        given.check(symbols, request.space.get("timeframe", (backtest.timeframe,)))
        self.most_bars = given.bars(symbols)
        self._several_symbols = max(len(one) for one in choices) > 1
        self._memo = IndicatorMemo()
        self._copies = {name: not own.__module__.startswith(BUILT_IN) for name, own in strategies.items()}
        self._settings = TrialSettings(given, request, self.space, timezone)
        self._signal_keys = [key for key in request.space if key.startswith(PARAM) or key in SIGNAL_FIELDS]

    def run(self, points: Points) -> TrialChunk:
        """Runs some trials.

        Args:
            points: which combinations, as the sweep's search chooses them.
        """
        with sharing(self._memo):
            return self._run(points)

    def _run(self, points: Points) -> TrialChunk:
        rows = TrialRows(len(points), several_symbols=self._several_symbols)
        settings, setting_of = self._settings.of(points)
        usable = np.ones(len(points), dtype=np.bool_)
        for place, setting in enumerate(settings):
            if isinstance(setting.request, RequestInvalid):
                trials = np.flatnonzero(setting_of == place)
                rows.refuse(trials, str(setting.request))
                usable[trials] = False
        records = np.frombuffer(b"".join(setting.record for setting in settings), dtype=SETTINGS)[setting_of]
        cash = np.array([setting.initial_cash for setting in settings])[setting_of]
        for groups in self._markets(points, usable):
            batch: TrialBatch | None = None
            for trials, params in groups:
                request: Any = settings[setting_of[trials[0]]].request
                batch = self._add(batch, rows, trials, request, params)
                if batch is not None and batch.is_full:
                    batch.flush(records, cash, rows)
            if batch is not None:
                batch.flush(records, cash, rows)
        return rows.chunk(self.space, points, self.request.objective)

    def _add(
        self,
        batch: TrialBatch | None,
        rows: TrialRows,
        trials: Rows,
        request: Any,
        params: Mapping[str, Any],
    ) -> TrialBatch | None:
        """Adds trials with the same signals to the batch, which is made for the first of them."""
        strategy = self._strategies[request.strategy]
        try:
            checked = checked_params(strategy, params)
        except ParamsInvalid as error:
            rows.refuse(trials, str(error))
            return batch
        try:
            if batch is None:
                batch = TrialBatch(self._settings.market(request))
                self._memo.begin(getattr(own, name) for own in batch.candles for name in CANDLE_COLUMNS)
            self._memo.copies = self._copies[request.strategy]
            batch.add(trials, _put_signals(batch, strategy, checked, request.seed))
        except BacktestError as error:
            rows.fail(trials, str(error))
        return batch

    def _markets(self, points: Points, usable: NDArray[np.bool_]) -> Iterator[Iterator[_Group]]:
        """Trials with the same signals and their parameters, those of the same candles together."""
        first_rows, signals_of = groups_of(points, self._signal_keys)
        _, market_of = groups_of(points, [key for key in self.space.axes if key in MARKET_FIELDS])
        order = np.argsort(signals_of, kind="stable")
        bounds = np.searchsorted(signals_of[order], np.arange(len(first_rows) + 1)).tolist()
        names = self.request.varied_params
        columns = [self.space.axes[PARAM + name] for name in names]
        values = list(
            zip(*(axis.values_at(points.places[axis.key][first_rows]) for axis in columns), strict=True)
        )
        base = self.request.backtest.params
        by_market = np.argsort(market_of[first_rows], kind="stable")
        all_usable = bool(usable.all())

        def groups(places: list[int]) -> Iterator[_Group]:
            for place in places:
                trials = order[bounds[place] : bounds[place + 1]]
                if not all_usable:
                    trials = trials[usable[trials]]
                if len(trials):
                    yield (
                        trials,
                        ({**base, **dict(zip(names, values[place], strict=True))} if names else base),
                    )

        edges = np.flatnonzero(np.diff(market_of[first_rows][by_market])) + 1
        for part in np.split(by_market, edges):
            yield groups(part.tolist())


def _put_signals(batch: TrialBatch, strategy: Strategy, params: StrategyParams, seed: int) -> int | None:
    """Asks the strategy for the signals of every symbol, and for its holding period, which is returned."""
    hold_bars = None
    for symbol, candles in enumerate(batch.candles):
        batch.put_signals(symbol, signals_of_read_only(strategy, params, candles, seed))
        if symbol == 0:
            hold_bars = holding_period_of(strategy, params)
    return hold_bars
