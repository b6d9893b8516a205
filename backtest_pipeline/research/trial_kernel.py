"""Many trials of the same candles in one compiled call.

Nothing is computed here but what joins the engine's own kernels, so that a trial's figures are those of its
own backtest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine import joint_kernel, kernel, study_kernel
from backtest_pipeline.engine.compiled import (
    FloatsIn,
    IntsIn,
    SettingsIn,
    compiled,
    sources_digest,
    types,
)
from backtest_pipeline.engine.metrics import curve_kernels, list_kernels, tail_kernel
from backtest_pipeline.engine.metrics.curve_kernels import bar_returns, squared_distances
from backtest_pipeline.research import kernel_arrays, trial_passes
from backtest_pipeline.research.kernel_arrays import (
    CHANGES,
    JOINT_CHANGES,
    RETURNS,
    SIGNALS,
    FlagsTable,
    MarketArrays,
    SpareArrays,
    Table,
)
from backtest_pipeline.research.trial_passes import (
    joint_benchmark,
    measure_joint,
    measure_signals,
    run_symbols,
    write_blocks,
)


def _kernel_of(sources: str) -> Any:
    """Makes the kernel, which closes over the digest of what it calls and so is renewed with it."""

    @compiled(
        types.unicode_type(
            MarketArrays,
            types.UniTuple(FlagsTable, 4),
            IntsIn,
            IntsIn,
            SettingsIn,
            FloatsIn,
            SpareArrays,
            Table,
            Table,
            types.Array(types.int64, 2, "C"),
            Table,
            Table,
        )
    )
    def run_trials(
        market: Any,
        flags: Any,
        hold_bars: Any,
        rows: Any,
        all_settings: Any,
        all_cash: Any,
        spare: Any,
        metrics: Any,
        by_symbol: Any,
        counts: Any,
        sums: Any,
        squares: Any,
    ) -> str:
        """Runs trials and writes what each of them yields.

        Args:
            market: `MarketArrays`, the candles of k symbols.
            flags: four arrays of shape (rows, bars of all symbols): entry, exit, short_entry, short_exit.
            hold_bars: shape (rows,), the strategies' holding periods, below 0 for none.
            rows: shape (trials,), the row of signals that each trial has.
            all_settings: shape (trials,), dtype `SETTINGS`.
            all_cash: shape (trials,), initial cash of each account.
            spare: `SpareArrays`, memory to work in.
            metrics: shape (trials, figures), written in the order of `FIGURES`.
            by_symbol: shape (trials * k, figures), written where k is more than 1.
            counts: shape (trials, 16), written: bars of each even block of time.
            sums: shape (trials, 16), written: of the account's bar returns in each block.
            squares: shape (trials, 16), written: sums of the squares of these.

        Returns:
            The digest of the sources that it calls.
        """
        offsets, benchmarks, table = market[0], market[12], spare[8]
        symbols, bars = len(offsets) - 1, len(market[8])
        moments_of_changes = np.empty((symbols, 2))
        for symbol in range(symbols):
            own, changes = (
                benchmarks[offsets[symbol] : offsets[symbol + 1]],
                table[CHANGES][offsets[symbol] :],
            )
            mean, _ = bar_returns(own, own[0], changes)
            moments_of_changes[symbol, 0] = mean
            moments_of_changes[symbol, 1] = squared_distances(changes[: len(own)], mean)
        joint_cash, benchmark = np.nan, (np.nan, np.nan, np.nan)
        signal_found = np.empty((symbols + 1, SIGNALS))
        measured, measured_side = -1, 0
        for trial in range(len(rows)):
            row, settings = rows[trial], all_settings[trial : trial + 1]
            side = settings[0].allow_long + 2 * settings[0].allow_short
            if row != measured or side != measured_side:
                measure_signals(market, flags, row, hold_bars[row], settings[0], spare, signal_found)
                measured, measured_side = row, side
            cash_each = all_cash[trial] / symbols
            found = metrics[trial : trial + 1]
            if symbols > 1:
                found = by_symbol[trial * symbols : (trial + 1) * symbols]
            ended = run_symbols(
                market, flags, row, settings, cash_each, spare, moments_of_changes, signal_found, found
            )
            if symbols > 1:
                if all_cash[trial] != joint_cash:
                    joint_cash = all_cash[trial]
                    changes = table[JOINT_CHANGES][:bars]
                    benchmark = joint_benchmark(market, cash_each, table[RETURNS][:bars], changes)
                measure_joint(market, cash_each, benchmark, ended, spare, signal_found, metrics[trial])
            write_blocks(table[RETURNS][:bars], counts[trial], sums[trial], squares[trial])
        return sources

    return run_trials


_SOURCES = (
    kernel,
    study_kernel,
    joint_kernel,
    curve_kernels,
    list_kernels,
    tail_kernel,
    kernel_arrays,
    trial_passes,
)
SOURCES = tuple(module.__name__ for module in _SOURCES)
"""Names of the modules that the kernel is made of, beside its own."""

run_trials = _kernel_of(sources_digest(*_SOURCES))
