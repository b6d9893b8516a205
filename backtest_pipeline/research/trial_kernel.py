"""Many trials of the same candles in one compiled call: the engine's own kernels, one after the other.

Nothing is computed here but what joins them, so that a trial's figures are those of its own backtest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine import joint_kernel, kernel, study_kernel
from backtest_pipeline.engine.compiled import (
    AccountOut,
    FloatsIn,
    FloatsOut,
    IntsIn,
    SettingsIn,
    TradesOut,
    compiled,
    compiled_within,
    sources_digest,
    types,
)
from backtest_pipeline.engine.joint_kernel import add_carried
from backtest_pipeline.engine.kernel import mark_open_position, simulate
from backtest_pipeline.engine.metrics import curve_kernels, list_kernels
from backtest_pipeline.engine.metrics.curve_kernels import (
    CURVE_FIGURES,
    bar_returns,
    bars_with_position,
    curve_figures,
    squared_distances,
)
from backtest_pipeline.engine.metrics.list_kernels import (
    SIGNAL_FIGURES,
    TRADE_FIGURES,
    signal_figures,
    trade_figures,
)
from backtest_pipeline.engine.study_kernel import write_study

FIGURES = (*CURVE_FIGURES, *TRADE_FIGURES, *SIGNAL_FIGURES)
"""Names of a row's figures, in their order."""

BLOCKS = 16
_CURVE, _TRADES, _SIGNALS = len(CURVE_FIGURES), len(TRADE_FIGURES), len(SIGNAL_FIGURES)
_BEFORE_SIGNALS = _CURVE + _TRADES

_Table = types.Array(types.float64, 2, "C")
_Flags = types.Array(types.boolean, 2, "C")
_Sides = types.Array(types.int8, 1, "C")
_Ints = types.Array(types.int64, 1, "C")
_Market = types.Tuple(
    (
        IntsIn,  # offsets: shape (k + 1,), where each symbol's bars begin and end in what is flat
        FloatsIn,  # open, flat, as the next three
        FloatsIn,  # high
        FloatsIn,  # low
        FloatsIn,  # close
        IntsIn,  # moments of the bars, flat, microseconds since 1970
        IntsIn,  # slots of the bars on the joint grid, flat
        IntsIn,  # the joint grid's slots
        IntsIn,  # the joint grid's moments
        IntsIn,  # elapsed time: of each symbol, then of all, microseconds
        FloatsIn,  # bars a year: of each symbol, then of the account
        FloatsIn,  # exponents of `curve_figures`
    )
)
_Spare = types.Tuple(
    (
        AccountOut,  # shape (1,)
        AccountOut,  # shape (1,), flat, without cash
        TradesOut,  # room for every trade there can be
        _Ints,  # bars of signals, shape (2 * bars,)
        _Ints,  # bars of their exits
        _Ints,  # moments of signals
        _Sides,  # sides of signals
        FloatsOut,  # returns of signals
        _Table,  # at least `SPARE_ROWS` rows of the longest account's bars, and 2 * bars
    )
)
SPARE_ROWS = 9
(_EQUITY, _CASH, _GROSS, _RETURNS, _KEPT, _CHANGES, _JOINT_EQUITY, _JOINT_GROSS, _JOINT_CHANGES) = range(9)


@compiled_within
def _write_blocks(returns: Any, counts: Any, sums: Any, squares: Any) -> None:
    """Writes the number, sum and sum of squares of the returns in each even block of time."""
    for block in range(BLOCKS):
        start, stop = block * len(returns) // BLOCKS, (block + 1) * len(returns) // BLOCKS
        whole = start + (stop - start) // 4 * 4
        sum_0 = sum_1 = sum_2 = sum_3 = 0.0  # four at a time, as each addition waits for the one before
        square_0 = square_1 = square_2 = square_3 = 0.0
        for first in range(start, whole, 4):
            part = returns[first : first + 4]
            sum_0 += part[0]
            sum_1 += part[1]
            sum_2 += part[2]
            sum_3 += part[3]
            square_0 += part[0] * part[0]
            square_1 += part[1] * part[1]
            square_2 += part[2] * part[2]
            square_3 += part[3] * part[3]
        for value in returns[whole:stop]:
            sum_0 += value
            square_0 += value * value
        counts[block] = stop - start
        sums[block] = (sum_0 + sum_1) + (sum_2 + sum_3)
        squares[block] = (square_0 + square_1) + (square_2 + square_3)


@compiled_within
def _measure_signals(
    market: Any, flags: Any, row: int, hold_bars: int, settings: Any, spare: Any, found: Any
) -> None:
    """Writes the figures of a row of signals: each symbol's, then those of all."""
    offsets, close, moments = market[0], market[4], market[5]
    bars, exit_bars, signal_moments, sides, returns = spare[3], spare[4], spare[5], spare[6], spare[7]
    kept = spare[8][_KEPT]
    longs, shorts = settings.allow_long != 0, settings.allow_short != 0
    symbols = len(offsets) - 1
    ended = 0
    for symbol in range(symbols):
        start, stop = offsets[symbol], offsets[symbol + 1]
        entry, short_entry = flags[0][row][start:stop], flags[2][row][start:stop]
        count = 0
        for bar in range(stop - start):
            count += (longs and entry[bar]) + (shorts and short_entry[bar])
        own = slice(ended, ended + count)
        write_study(
            entry,
            flags[1][row][start:stop],
            short_entry,
            flags[3][row][start:stop],
            close[start:stop],
            longs,
            shorts,
            hold_bars,
            bars[own],
            exit_bars[own],
            sides[own],
            returns[own],
        )
        signal_figures(returns[own], kept, found[symbol])
        if symbols > 1:
            for place in range(ended, ended + count):
                signal_moments[place] = moments[start + bars[place]]
        ended += count
    if symbols > 1:
        order = np.argsort(signal_moments[:ended], kind="mergesort")
        signal_figures(returns[:ended][order], kept, found[symbols])


@compiled_within
def _simulate_symbol(
    market: Any, symbol: int, flags: Any, row: int, settings: Any, cash: float, spare: Any, ended: int
) -> int:
    """Runs one symbol's account, writes its curve, and lists its trades after those that have `ended`.

    Returns:
        How many trades are listed.
    """
    offsets = market[0]
    start, stop = offsets[symbol], offsets[symbol + 1]
    count = stop - start
    account, trades, table = spare[0], spare[2], spare[8]
    account[0] = spare[1][0]
    account[0].cash = cash
    listed = ended + simulate(
        account,
        settings,
        0,
        count,
        market[1][start:stop],
        market[2][start:stop],
        market[3][start:stop],
        market[4][start:stop],
        flags[0][row][start:stop],
        flags[1][row][start:stop],
        flags[2][row][start:stop],
        flags[3][row][start:stop],
        table[_EQUITY][:count],
        table[_CASH][:count],
        table[_GROSS][:count],
        trades[ended:],
    )
    return listed + mark_open_position(account, count - 1, market[4][stop - 1], trades[listed:])


@compiled_within
def _joint_benchmark(market: Any, cash_each: float, values: Any, changes: Any) -> tuple[float, float, float]:
    """Writes the returns of buying each symbol with its share of the cash at its first close.

    Args:
        market: `_Market`.
        cash_each: each symbol's share.
        values: shape (n,), used up.
        changes: shape (n,), written.

    Returns:
        Mean of the returns, sum of their squared distances from it, last value over the first.
    """
    offsets, close = market[0], market[4]
    values[:] = 0.0
    total_cash = 0.0
    for symbol in range(len(offsets) - 1):
        own = close[offsets[symbol] : offsets[symbol + 1]]
        own_slots = market[6][offsets[symbol] : offsets[symbol + 1]]
        add_carried(market[7], own_slots, own, cash_each / own[0], cash_each, values)
        total_cash += cash_each
    mean, _ = bar_returns(values, total_cash, changes)
    return mean, squared_distances(changes, mean), values[-1] / total_cash


@compiled_within
def _measure_account(
    moments: Any,
    equity: Any,
    gross: Any,
    initial_cash: float,
    elapsed_us: int,
    periods_per_year: float,
    benchmark: Any,
    exponents: Any,
    trades: Any,
    signal_found: Any,
    table: Any,
    found: Any,
) -> None:
    """Writes all figures of one account; `benchmark`: changes, their mean, their spread, growth."""
    changes, mean_change, spread, growth = benchmark
    curve_figures(
        moments,
        equity,
        initial_cash,
        bars_with_position(gross),
        elapsed_us,
        periods_per_year,
        changes,
        mean_change,
        spread,
        growth,
        exponents,
        table[_RETURNS][: len(equity)],
        table[_KEPT][: len(equity)],
        found[:_CURVE],
    )
    trade_figures(trades, table[_KEPT], found[_CURVE:_BEFORE_SIGNALS])
    found[_BEFORE_SIGNALS:] = signal_found


@compiled_within
def _run_symbols(
    market: Any,
    flags: Any,
    row: int,
    settings: Any,
    cash_each: float,
    spare: Any,
    moments_of_changes: Any,
    signal_found: Any,
    found: Any,
) -> int:
    """Runs and measures each symbol's account, and adds them up where there are several.

    Returns:
        How many trades all of them have.
    """
    offsets, close, table, trades = market[0], market[4], spare[8], spare[2]
    symbols, bars = len(offsets) - 1, len(market[8])
    joint_equity, joint_gross = table[_JOINT_EQUITY][:bars], table[_JOINT_GROSS][:bars]
    if symbols > 1:
        joint_equity[:] = 0.0
        joint_gross[:] = 0.0
    ended = 0
    for symbol in range(symbols):
        start, stop = offsets[symbol], offsets[symbol + 1]
        listed = _simulate_symbol(market, symbol, flags, row, settings, cash_each, spare, ended)
        equity, gross = table[_EQUITY][: stop - start], table[_GROSS][: stop - start]
        if symbols > 1:
            add_carried(market[7], market[6][start:stop], equity, 1.0, cash_each, joint_equity)
            add_carried(market[7], market[6][start:stop], gross, 1.0, 0.0, joint_gross)
        mean_change, spread = moments_of_changes[symbol]
        _measure_account(
            market[5][start:stop],
            equity,
            gross,
            cash_each,
            market[9][symbol],
            market[10][symbol],
            (table[_CHANGES][start:stop], mean_change, spread, close[stop - 1] / close[start]),
            market[11],
            trades[ended:listed],
            signal_found[symbol],
            table,
            found[symbol],
        )
        ended = listed
    return ended


@compiled_within
def _measure_joint(
    market: Any, cash_each: float, benchmark: Any, ended: int, spare: Any, signal_found: Any, found: Any
) -> None:
    """Writes the figures of the account that several symbols make together."""
    table, bars, symbols = spare[8], len(market[8]), len(market[0]) - 1
    total_cash = 0.0
    for _ in range(symbols):
        total_cash += cash_each
    mean_change, spread, growth = benchmark
    _measure_account(
        market[8],
        table[_JOINT_EQUITY][:bars],
        table[_JOINT_GROSS][:bars],
        total_cash,
        market[9][symbols],
        market[10][symbols],
        (table[_JOINT_CHANGES][:bars], mean_change, spread, growth),
        market[11],
        spare[2][:ended],
        signal_found[symbols],
        table,
        found,
    )


def _kernel_of(sources: str) -> Any:
    """Makes the kernel, which closes over the digest of what it calls and so is renewed with it."""

    @compiled(
        types.unicode_type(
            _Market,
            types.UniTuple(_Flags, 4),
            IntsIn,
            IntsIn,
            SettingsIn,
            FloatsIn,
            _Spare,
            _Table,
            _Table,
            types.Array(types.int64, 2, "C"),
            _Table,
            _Table,
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
            market: `_Market`, the candles of k symbols.
            flags: four arrays of shape (rows, bars of all symbols): entry, exit, short_entry, short_exit.
            hold_bars: shape (rows,), the strategies' holding periods, below 0 for none.
            rows: shape (trials,), the row of signals that each trial has.
            all_settings: shape (trials,), dtype `SETTINGS`.
            all_cash: shape (trials,), initial cash of each account.
            spare: `_Spare`, memory to work in.
            metrics: shape (trials, figures), written in the order of `FIGURES`.
            by_symbol: shape (trials * k, figures), written where k is more than 1.
            counts: shape (trials, 16), written: bars of each even block of time.
            sums: shape (trials, 16), written: of the account's bar returns in each block.
            squares: shape (trials, 16), written: sums of the squares of these.

        Returns:
            The digest of the sources that it calls.
        """
        offsets, close, table = market[0], market[4], spare[8]
        symbols, bars = len(offsets) - 1, len(market[8])
        moments_of_changes = np.empty((symbols, 2))
        for symbol in range(symbols):
            own, changes = close[offsets[symbol] : offsets[symbol + 1]], table[_CHANGES][offsets[symbol] :]
            mean, _ = bar_returns(own, own[0], changes)
            moments_of_changes[symbol, 0] = mean
            moments_of_changes[symbol, 1] = squared_distances(changes[: len(own)], mean)
        joint_cash, joint_benchmark = np.nan, (np.nan, np.nan, np.nan)
        signal_found = np.empty((symbols + 1, _SIGNALS))
        measured, measured_side = -1, 0
        for trial in range(len(rows)):
            row, settings = rows[trial], all_settings[trial : trial + 1]
            side = settings[0].allow_long + 2 * settings[0].allow_short
            if row != measured or side != measured_side:
                _measure_signals(market, flags, row, hold_bars[row], settings[0], spare, signal_found)
                measured, measured_side = row, side
            cash_each = all_cash[trial] / symbols
            found = metrics[trial : trial + 1]
            if symbols > 1:
                found = by_symbol[trial * symbols : (trial + 1) * symbols]
            ended = _run_symbols(
                market, flags, row, settings, cash_each, spare, moments_of_changes, signal_found, found
            )
            if symbols > 1:
                if all_cash[trial] != joint_cash:
                    joint_cash = all_cash[trial]
                    changes = table[_JOINT_CHANGES][:bars]
                    joint_benchmark = _joint_benchmark(market, cash_each, table[_RETURNS][:bars], changes)
                _measure_joint(market, cash_each, joint_benchmark, ended, spare, signal_found, metrics[trial])
            _write_blocks(table[_RETURNS][:bars], counts[trial], sums[trial], squares[trial])
        return sources

    return run_trials


_SOURCES = (kernel, study_kernel, joint_kernel, curve_kernels, list_kernels)
SOURCES = tuple(module.__name__ for module in _SOURCES)
"""Names of the modules whose kernels are called."""

run_trials = _kernel_of(sources_digest(*_SOURCES))
