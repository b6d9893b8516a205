"""Collects trials of the same candles until there are enough for one call of the kernel."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.records import TRADE, opening_account
from backtest_pipeline.model.signal_checks import check_signals, copy_plain_signals
from backtest_pipeline.research.kernel_arrays import SPARE_ROWS
from backtest_pipeline.research.trial_kernel import run_trials

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.research.trial_market import Market
    from backtest_pipeline.research.trial_rows import TrialRows

    Rows = NDArray[np.int64]

MOST_FLAGS = 4_000_000
"""Of all signals in a batch; they should fit into a processor's cache."""
MOST_SIGNALS = 64


class TrialBatch:
    """Signals and the trials that have them, until `flush` runs them.

    Attributes:
        market: the candles that they share.

    Args:
        market: the same.
    """

    def __init__(self, market: Market) -> None:
        self.market = market
        bars, longest = market.bars, market.longest_bars
        symbols = len(market.candles)
        self._room = max(1, min(MOST_SIGNALS, MOST_FLAGS // (4 * bars)))
        self._flags = tuple(np.zeros((self._room, bars), dtype=np.bool_) for _ in range(4))
        spans = [slice(*ends) for ends in pairwise(market.arrays[0].tolist())]
        self._symbols = symbols
        self._views = [
            [flags[row, bars] for flags in self._flags] for row in range(self._room) for bars in spans
        ]
        self._hold_bars = np.empty(self._room, dtype=np.int64)
        self._trials: list[Rows] = []
        self._spare = (
            opening_account(0.0),
            opening_account(0.0),
            np.empty(bars + 2 * symbols, dtype=TRADE),
            *np.empty((3, 2 * bars), dtype=np.int64),
            np.empty(2 * bars, dtype=np.int8),
            np.empty(2 * bars),
            np.empty((SPARE_ROWS, max(longest, 2 * bars))),
        )

    @property
    def is_full(self) -> bool:
        """Whether the batch has to be flushed before there is room for further signals."""
        return len(self._trials) == self._room

    def put_signals(self, symbol: int, strategy: str, answer: object, warmup_bars: int) -> None:
        """Takes a strategy's answer on one symbol for the trials that are added next.

        Args:
            symbol: its place among the market's.
            strategy: the strategy's name.
            answer: on the bars of the warm-up and of the market.
            warmup_bars: how many the former are.

        Raises:
            StrategyFaulty: as `check_signals`.
        """
        flags = self._views[len(self._trials) * self._symbols + symbol]
        if copy_plain_signals(answer, flags, warmup_bars):
            return
        signals = check_signals(strategy, answer, len(flags[0]) + warmup_bars).since(warmup_bars)
        given = (signals.entry, signals.exit, signals.short_entry, signals.short_exit)
        for own, target in zip(given, flags, strict=True):
            target[...] = own

    def add(self, trials: Rows, hold_bars: int | None) -> None:
        """Adds trials that have the signals which were put since the last call.

        Args:
            trials: their rows.
            hold_bars: the strategy's holding period, or none.
        """
        self._hold_bars[len(self._trials)] = -1 if hold_bars is None else hold_bars
        self._trials.append(trials)

    def flush(self, settings: NDArray[Any], cash: NDArray[np.float64], rows: TrialRows) -> None:
        """Runs the trials that were added since the last call.

        Args:
            settings: of all trials, dtype `SETTINGS`; a `max_hold` of 0 is the holding period's.
            cash: of all trials, initial cash of the account.
            rows: takes the results.
        """
        if not self._trials:
            return
        trials = np.concatenate(self._trials)
        signals = np.repeat(np.arange(len(self._trials)), [len(own) for own in self._trials])
        self._trials = []
        own_settings = settings[trials]
        held = np.maximum(self._hold_bars[signals], 0)
        own_settings["max_hold"] = np.where(own_settings["max_hold"] > 0, own_settings["max_hold"], held)
        symbols = [own.symbol for own in self.market.candles]
        found = rows.room(len(trials), len(symbols))
        run_trials(
            self.market.arrays,
            self._flags,
            self._hold_bars,
            signals,
            own_settings,
            cash[trials],
            self._spare,
            *found,
        )
        rows.take(trials, symbols, found)
