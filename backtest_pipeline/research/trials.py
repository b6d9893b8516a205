"""Runs trials: the same computation as a backtest of its own, with everything shared that can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.account_choice import Extras
from backtest_pipeline.engine.indicators.sharing import IndicatorMemo, sharing
from backtest_pipeline.engine.inputs import answer_of, holding_period_of, warmup_bars_of
from backtest_pipeline.engine.records import SETTINGS
from backtest_pipeline.model.candles import CANDLE_COLUMNS
from backtest_pipeline.model.errors import BacktestError, ParamsInvalid, RequestInvalid
from backtest_pipeline.model.signal_checks import carries_levels
from backtest_pipeline.model.space_values import PARAM
from backtest_pipeline.model.span import zone_of
from backtest_pipeline.model.strategy import Signals, Strategy, checked_params
from backtest_pipeline.research.account_trials import AccountTrials, ExtrasOf
from backtest_pipeline.research.combinations import groups_of
from backtest_pipeline.research.space import Points, Space
from backtest_pipeline.research.trial_batch import TrialBatch
from backtest_pipeline.research.trial_groups import AskedTrials, ChosenSettings
from backtest_pipeline.research.trial_market import MARKET_FIELDS, CandlesByTimeframe
from backtest_pipeline.research.trial_rows import TrialRows
from backtest_pipeline.research.trial_settings import TrialSetting, TrialSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.inputs import SeenCandles
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.strategy import AnyStrategy
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.research.trial_market import CandlesGiven, Market
    from backtest_pipeline.research.trial_table import TrialChunk

    Rows = NDArray[np.int64]
    _Group = tuple[Rows, BacktestRequest, Mapping[str, Any]]

SIGNAL_FIELDS = ("strategy", "seed", "warmup_bars", *MARKET_FIELDS)
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
        extras: finer candles and funding rates, as far as trials ask for them.

    Raises:
        RequestInvalid: there are no candles of some symbol that a trial needs, or no such time zone.
    """

    def __init__(
        self,
        candles: CandlesGiven,
        request: SweepRequest,
        strategies: Mapping[str, AnyStrategy],
        *,
        timezone: str = "UTC",
        extras: ExtrasOf = lambda _: Extras(),
    ) -> None:
        zone_of(timezone)
        self.request = request
        self.space = Space.of(request.space)
        self._strategies = strategies
        self._extras = extras
        self._accounts: AccountTrials | None = None
        given = CandlesByTimeframe(candles)
        given.check(request)
        choices = request.space.get("symbols", (request.backtest.symbols,))
        self.most_bars = given.bars(request.symbols_traded)
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

    def forget(self) -> None:
        """Gives back the memory of indicators and markets that further trials would share."""
        self._memo = IndicatorMemo()
        self._accounts = None
        self._settings.forget()

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
        chosen = ChosenSettings(settings, setting_of, records, cash)
        for groups in self._groups_by_market(points, settings, setting_of, usable):
            self._run_market(groups, chosen, rows)
        return rows.chunk(self.space, points, self.request.objective)

    def _run_market(self, groups: Iterable[_Group], chosen: ChosenSettings, rows: TrialRows) -> None:
        """Runs trials of the same candles, as many at once as a batch has room for."""
        batch: TrialBatch | None = None
        shared: Sequence[SeenCandles] = ()
        for one in self._by_warm_up(groups, rows):
            try:
                batch = batch or TrialBatch(self._settings.market(one.request))
                seen = batch.market.seen(one.warmup_bars)
                if seen is not shared:
                    shared = seen
                    self._memo.begin(getattr(own.candles, name) for own in seen for name in CANDLE_COLUMNS)
                self._memo.copies = self._copies[one.request.strategy]
                self._run_asked(batch, seen, one, chosen, rows)
            except BacktestError as error:
                rows.fail(one.trials, str(error))
            if batch is not None and batch.is_full:
                batch.flush(chosen.records, chosen.cash, rows)
        if batch is not None:
            batch.flush(chosen.records, chosen.cash, rows)

    def _run_asked(
        self,
        batch: TrialBatch,
        seen: Sequence[SeenCandles],
        one: AskedTrials,
        chosen: ChosenSettings,
        rows: TrialRows,
    ) -> None:
        """Puts trials that have the same signals into the batch, or runs those that a batch cannot hold."""
        is_simple = chosen.are_simple(one.trials)
        if is_simple.all() and isinstance(one.strategy, Strategy):
            hold_bars, has_levels = _put_signals(batch, seen, one)
            if not has_levels:
                batch.add(one.trials, hold_bars)
                return
        answers: list[object] = []
        if isinstance(one.strategy, Strategy):
            answers = [answer_of(one.strategy, one.params, own.candles, one.request.seed) for own in seen]
            if not any(isinstance(own, Signals) and carries_levels(own) for own in answers):
                if is_simple.any():
                    hold_bars, _ = _put_signals(batch, seen, one)
                    batch.add(one.trials[is_simple], hold_bars)
                one = one._replace(trials=one.trials[~is_simple])
        self._run_one_by_one(batch.market, seen, one, answers, chosen, rows)

    def _run_one_by_one(
        self,
        market: Market,
        seen: Sequence[SeenCandles],
        one: AskedTrials,
        answers: Sequence[object],
        chosen: ChosenSettings,
        rows: TrialRows,
    ) -> None:
        if self._accounts is None or self._accounts.market is not market:
            self._accounts = AccountTrials(market, self._extras)
        symbols = [own.symbol for own in market.candles]
        for trial in one.trials.tolist():
            own, found = np.array([trial]), rows.room(1, len(symbols))
            try:
                request = chosen.request_of(trial)
                self._accounts.run(request, one.strategy, one.params, seen, answers, found)
            except RequestInvalid as error:
                rows.refuse(own, str(error))
            except BacktestError as error:
                rows.fail(own, str(error))
            else:
                rows.take(own, symbols, found)

    def _by_warm_up(self, groups: Iterable[_Group], rows: TrialRows) -> list[AskedTrials]:
        """What strategies are to be asked, equally long warm-ups together, as these share indicators."""
        asked = []
        for trials, request, params in groups:
            strategy = self._strategies[request.strategy]
            try:
                checked = checked_params(strategy, params)
                warmup_bars = warmup_bars_of(request, strategy, checked)
            except ParamsInvalid as error:
                rows.refuse(trials, str(error))
            except BacktestError as error:
                rows.fail(trials, str(error))
            else:
                asked.append(AskedTrials(trials, request, strategy, checked, warmup_bars))
        asked.sort(key=lambda one: one.warmup_bars)
        return asked

    def _groups_by_market(
        self,
        points: Points,
        settings: Sequence[TrialSetting],
        setting_of: Rows,
        usable: NDArray[np.bool_],
    ) -> Iterator[Iterator[_Group]]:
        """Trials with the same signals, their request and parameters; those of the same candles together."""
        first_rows, signals_of = groups_of(points, self._signal_keys)
        _, market_of = groups_of(points, [key for key in self.space.axes if key in MARKET_FIELDS])
        order = np.argsort(signals_of, kind="stable")
        bounds = np.searchsorted(signals_of[order], np.arange(len(first_rows) + 1)).tolist()
        names = self.request.varied_params
        axes = [self.space.axes[PARAM + name] for name in names]
        columns = [axis.values_at(points.places[axis.key][first_rows]) for axis in axes]
        values = list(zip(*columns, strict=True)) if names else [()] * len(first_rows)
        base = dict(self.request.backtest.params)
        all_usable = bool(usable.all())

        def groups(places: list[int]) -> Iterator[_Group]:
            for place in places:
                trials = order[bounds[place] : bounds[place + 1]]
                if not all_usable:
                    trials = trials[usable[trials]]
                    if not len(trials):
                        continue
                params = dict(zip(names, values[place]))  # noqa: B905  a value for each name
                request: Any = settings[setting_of[trials[0]]].request
                yield trials, request, base | params if base else params

        by_market = np.argsort(market_of[first_rows], kind="stable")
        edges = np.flatnonzero(np.diff(market_of[first_rows][by_market])) + 1
        for part in np.split(by_market, edges):
            yield groups(part.tolist())


def _put_signals(
    batch: TrialBatch, seen: Sequence[SeenCandles], asked: AskedTrials
) -> tuple[int | None, bool]:
    """Asks the strategy for the signals of every symbol.

    Returns:
        Its holding period, and whether there are prices or sizes among the signals, of which a batch knows
        nothing.
    """
    hold_bars, strategy, params = None, asked.strategy, asked.params
    if not isinstance(strategy, Strategy):
        return None, True
    for symbol, own in enumerate(seen):
        answer = answer_of(strategy, params, own.candles, asked.request.seed)
        if isinstance(answer, Signals) and carries_levels(answer):
            return None, True
        batch.put_signals(symbol, strategy.name, answer, own.warmup_bars)
        if symbol == 0:
            hold_bars = holding_period_of(strategy, params)
    return hold_bars, False
