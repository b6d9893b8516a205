"""What the kernel of trials does for one of them: the engine's own kernels, one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.joint_kernel import add_carried
from backtest_pipeline.engine.kernel import mark_open_position, simulate
from backtest_pipeline.engine.metrics.curve_kernels import (
    bar_returns,
    bars_with_position,
    curve_figures,
    squared_distances,
)
from backtest_pipeline.engine.metrics.list_kernels import signal_figures, trade_figures
from backtest_pipeline.engine.metrics.tail_kernel import value_at_risk
from backtest_pipeline.engine.study_kernel import write_study
from backtest_pipeline.research.kernel_arrays import (
    BEFORE_SIGNALS,
    BLOCKS,
    CASH,
    CHANGES,
    CURVE,
    EQUITY,
    GROSS,
    JOINT_CHANGES,
    JOINT_EQUITY,
    JOINT_GROSS,
    KEPT,
    RETURNS,
)


@compiled_within
def write_blocks(returns: Any, counts: Any, sums: Any, squares: Any) -> None:
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
def measure_signals(
    market: Any, flags: Any, row: int, hold_bars: int, settings: Any, spare: Any, found: Any
) -> None:
    """Writes the figures of a row of signals: each symbol's, then those of all."""
    offsets, close, moments = market[0], market[4], market[5]
    bars, exit_bars, signal_moments, sides, returns = spare[3], spare[4], spare[5], spare[6], spare[7]
    kept = spare[8][KEPT]
    longs, shorts = settings.allow_long != 0, settings.allow_short != 0
    symbols = len(offsets) - 1
    ended = 0
    for symbol in range(symbols):
        start, stop = offsets[symbol], offsets[symbol + 1]
        entry, short_entry = flags[0][row][start:stop], flags[2][row][start:stop]
        count = 0
        if longs:
            for flag in entry:
                count += flag
        if shorts:
            for flag in short_entry:
                count += flag
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
        table[EQUITY][:count],
        table[CASH][:count],
        table[GROSS][:count],
        trades[ended:],
    )
    return listed + mark_open_position(account, count - 1, market[4][stop - 1], trades[listed:])


@compiled_within
def joint_benchmark(market: Any, cash_each: float, values: Any, changes: Any) -> tuple[float, float, float]:
    """Writes the returns of the joint account's benchmark.

    Without one in the market, that is buying each symbol with its share of the cash at its first close.

    Args:
        market: `MarketArrays`.
        cash_each: each symbol's share.
        values: shape (n,), used up.
        changes: shape (n,), written.

    Returns:
        Mean of the returns, sum of their squared distances from it, last value over the first.
    """
    offsets, close, given = market[0], market[4], market[13]
    if len(given) > 0:
        mean, _ = bar_returns(given, given[0], changes)
        return mean, squared_distances(changes, mean), given[-1] / given[0]
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
        table[RETURNS][: len(equity)],
        found[:CURVE],
    )
    loss = value_at_risk(table[RETURNS][: len(equity)], table[KEPT])
    found[CURVE] = loss if np.isfinite(loss) else np.nan
    trade_figures(trades, table[KEPT], found[CURVE + 1 : BEFORE_SIGNALS])
    found[BEFORE_SIGNALS:] = signal_found


@compiled_within
def run_symbols(
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
    offsets, benchmarks, table, trades = market[0], market[12], spare[8], spare[2]
    symbols, bars = len(offsets) - 1, len(market[8])
    joint_equity, joint_gross = table[JOINT_EQUITY][:bars], table[JOINT_GROSS][:bars]
    if symbols > 1:
        joint_equity[:] = 0.0
        joint_gross[:] = 0.0
    ended = 0
    for symbol in range(symbols):
        start, stop = offsets[symbol], offsets[symbol + 1]
        listed = _simulate_symbol(market, symbol, flags, row, settings, cash_each, spare, ended)
        equity, gross = table[EQUITY][: stop - start], table[GROSS][: stop - start]
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
            (table[CHANGES][start:stop], mean_change, spread, benchmarks[stop - 1] / benchmarks[start]),
            market[11],
            trades[ended:listed],
            signal_found[symbol],
            table,
            found[symbol],
        )
        ended = listed
    return ended


@compiled_within
def measure_joint(
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
        table[JOINT_EQUITY][:bars],
        table[JOINT_GROSS][:bars],
        total_cash,
        market[9][symbols],
        market[10][symbols],
        (table[JOINT_CHANGES][:bars], mean_change, spread, growth),
        market[11],
        spare[2][:ended],
        signal_found[symbols],
        table,
        found,
    )
