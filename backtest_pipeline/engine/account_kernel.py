"""The simulation of one account over many symbols: time before symbols, exits before entries.

The rules are those of `docs/execution-model.md`, *One account, orders and leverage*, in its order. An account
that uses none of them is run by `kernel.simulate`, which is quicker and yields the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine import (
    account_arrays,
    account_closing,
    account_decisions,
    account_entries,
    account_financing,
    account_insides,
    account_levels,
    account_opens,
    account_orders,
    account_rebalancing,
    account_records,
    account_worth,
)
from backtest_pipeline.engine import kernel as simple_kernel
from backtest_pipeline.engine.account_arrays import (
    BarsIn,
    BookOut,
    CurvesOut,
    PartsIn,
    RulesIn,
    SignalArraysIn,
    TargetsIn,
)
from backtest_pipeline.engine.account_closing import close_position, liquidate, list_open_position
from backtest_pipeline.engine.account_decisions import decide
from backtest_pipeline.engine.account_entries import enter_all
from backtest_pipeline.engine.account_financing import YEAR_US, pay_interest
from backtest_pipeline.engine.account_insides import pass_bars
from backtest_pipeline.engine.account_levels import see_price
from backtest_pipeline.engine.account_opens import line_up_at_open, open_bars
from backtest_pipeline.engine.account_rebalancing import rebalance, want_weights
from backtest_pipeline.engine.account_worth import may_be_liquidated, worth_of
from backtest_pipeline.engine.compiled import (
    FloatsIn,
    IntsIn,
    compiled,
    compiled_within,
    sources_digest,
    types,
)
from backtest_pipeline.engine.kernel import END_OF_DATA

ROOM = 8
"""Trades that a symbol may have in one step, at most; of changes there may be twice as many."""


@compiled_within
def _close_bars(  # noqa: C901  the order of a close, in one place
    book: Any, rules: Any, signals: Any, steps: Any, bars: Any, step: int
) -> None:
    """What happens at the close of all bars that end in this step."""
    positions, next_bar = book.positions, book.next_bar
    offsets, close_step, close = bars.offsets, bars.close_step, bars.close
    state, count = book.state[0], 0
    listed, closing, wanted = 0, book.passing, signals.wanted
    for symbol in range(len(positions)):
        position = positions[symbol]
        if position.is_running != 0:
            place = offsets[symbol] + next_bar[symbol] - 1
            if close_step[place] == step:
                position.mark = close[place]
                position.is_running = 2
                if wanted[place] or state.pending > 0 or (position.side != 0 and rules.max_hold > 0):
                    closing[listed] = symbol
                    listed += 1
    if may_be_liquidated(state, rules):
        liquidate(book, rules)
    for turn in range(listed):
        symbol = closing[turn]
        position = positions[symbol]
        bar = next_bar[symbol] - 1
        decide(book, rules, signals, bars, symbol, bar)
        if rules.at_close == 0:
            continue
        if position.exit_order != 0:
            close_position(book, rules, symbol, bar, position.mark, position.exit_order, True)
        if position.entry_order != 0 and line_up_at_open(book, rules, symbol, bar):
            book.queue[count] = symbol
            count += 1
    if count > 0:
        enter_all(book, rules, signals, steps, bars, count)


@compiled_within
def _write_down(book: Any, bars: Any, curves: Any, step: int) -> None:
    """Writes the account at the end of a step, and each symbol whose bar has ended."""
    positions, next_bar, offsets = book.positions, book.next_bar, bars.offsets
    own_equity, own_gross = curves.own_equity, curves.own_gross
    state, has_own = book.state[0], len(curves.own_equity) > 0
    value, gross, _ = worth_of(book.state, positions)
    curves.equity[step] = state.cash + value
    curves.cash[step] = state.cash
    curves.gross[step] = gross
    for symbol in range(len(positions)):
        position = positions[symbol]
        if position.is_running == 2:
            position.is_running = 0
            if has_own:
                place = offsets[symbol] + next_bar[symbol] - 1
                held = position.quantity * position.mark if position.side != 0 else 0.0
                own_gross[place] = held
                own_equity[place] = position.own_cash + position.side * held


def _kernels_of(sources: str) -> tuple[Any, Any]:  # noqa: C901  as the kernel in it
    """Makes the kernels, which close over the digest of what they call and so are renewed with it."""

    @compiled(
        types.int64(
            BookOut,
            RulesIn,
            FloatsIn,
            types.int64,
            types.int64,
            IntsIn,
            BarsIn,
            PartsIn,
            SignalArraysIn,
            TargetsIn,
            CurvesOut,
        )
    )
    def simulate_account(  # noqa: C901  the order of a step, in one place
        book: Any,
        all_rules: Any,
        steps: Any,
        start: int,
        stop: int,
        step_us: Any,
        bars: Any,
        parts: Any,
        signals: Any,
        targets: Any,
        curves: Any,
    ) -> int:
        """Runs an account through the steps `start` to `stop` (excluded), as far as there is room for trades.

        The book carries everything from call to call, so their number changes no digit.

        Args:
            book: what is known and done so far.
            all_rules: shape (1,), dtype `RULES`.
            steps: `take_profit_steps`, shape (2 * m,), bars held and fraction in turn.
            start: first step.
            stop: step after the last.
            step_us: shape (steps,), moments in microseconds.
            bars: candles of k symbols.
            parts: finer candles.
            signals: signals.
            targets: target weights.
            curves: written for the steps.

        Returns:
            The first step that is not done: `stop`, or less where trades or changes need more room.
        """
        state, rules = book.state[0], all_rules[0]
        positions, next_bar = book.positions, book.next_bar
        offsets, open_step, opens = bars.offsets, bars.open_step, bars.open
        symbols, has_targets = len(positions), len(targets.step) > 0
        opening = np.empty(symbols, dtype=np.int64)
        due = np.searchsorted(targets.step, start)
        for step in range(start, stop):
            if (
                state.trades + ROOM * symbols > len(book.trades)
                or state.changes + 2 * ROOM * symbols > len(book.changes)
                or len(sources) == 0
            ):
                return step
            if rules.borrow_rate > 0.0 and step > 0 and state.positions > 0:
                pay_interest(book, rules, (step_us[step] - step_us[step - 1]) / YEAR_US)
            count, may_enter = 0, False
            for symbol in range(symbols):
                place = offsets[symbol] + next_bar[symbol]
                if place < offsets[symbol + 1] and open_step[place] == step:
                    position = positions[symbol]
                    position.mark = opens[place]
                    if position.side != 0:
                        see_price(position, position.mark)
                    position.is_running = 1
                    position.opened_us = step_us[step]
                    next_bar[symbol] += 1
                    opening[count] = symbol
                    count += 1
                    may_enter = may_enter or position.entry_order != 0
            if may_enter or state.positions > 0 or state.pending > 0 or has_targets:
                open_bars(book, rules, signals, steps, targets, bars, opening, count)
            if state.pending > 0 or state.positions > 0:
                pass_bars(book, rules, signals, steps, bars, parts, step)
            _close_bars(book, rules, signals, steps, bars, step)
            while due < len(targets.step) and targets.step[due] == step:
                want_weights(book, targets, int(due))
                due += 1
            if len(targets.step) > 0 and rules.at_close != 0:
                count = 0
                for symbol in range(symbols):
                    if positions[symbol].is_running == 2:
                        opening[count] = symbol
                        count += 1
                rebalance(book, rules, steps, targets, opening, count)
            _write_down(book, bars, curves, step)
        return stop

    @compiled(types.unicode_type(BookOut, BarsIn))
    def list_open_positions(book: Any, bars: Any) -> str:
        """Lists the positions that the data's last bars leave open, for which the book has room."""
        for symbol in range(len(book.positions)):
            if book.positions[symbol].side != 0:
                place = bars.offsets[symbol + 1] - 1
                list_open_position(book, symbol, place - bars.offsets[symbol], bars.close[place], END_OF_DATA)
        return sources

    return simulate_account, list_open_positions


simulate_account, list_open_positions = _kernels_of(
    sources_digest(
        simple_kernel,
        account_arrays,
        account_closing,
        account_decisions,
        account_entries,
        account_financing,
        account_insides,
        account_levels,
        account_opens,
        account_orders,
        account_rebalancing,
        account_records,
        account_worth,
    )
)
