"""The simulation of one account over many symbols: time before symbols, exits before entries.

The rules are those of `docs/execution-model.md`, *One account, orders and leverage*, in its order. An account
that uses none of them is run by `kernel.simulate`, which is quicker and yields the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine import account_orders, account_positions, account_rebalancing, account_records
from backtest_pipeline.engine import kernel as simple_kernel
from backtest_pipeline.engine.account_orders import (
    enter,
    go_on_after_fill,
    is_fine,
    line_up,
    parts_of,
    pass_part,
    rank_entries,
    slips_at,
    wish_at,
)
from backtest_pipeline.engine.account_positions import (
    LIMIT,
    MARKET,
    STOP,
    close_position,
    exit_of,
    list_open_position,
    measure_liquidation,
    renew_target,
    see_price,
    worth_of,
)
from backtest_pipeline.engine.account_rebalancing import pay_by_selling, rebalance, want_weights
from backtest_pipeline.engine.account_records import (
    BarsIn,
    BookOut,
    CurvesOut,
    PartsIn,
    RulesIn,
    TargetsIn,
    WishesIn,
)
from backtest_pipeline.engine.compiled import (
    FloatsIn,
    IntsIn,
    compiled,
    compiled_within,
    sources_digest,
    types,
)
from backtest_pipeline.engine.kernel import END_OF_DATA, LIQUIDATION, MAX_HOLD, SIGNAL, TOLERANCE

LATEST = 2**63 - 1
YEAR_US = 365.25 * 86_400e6
ROOM = 8
"""Trades that a symbol may have in one step beside those inside its bar, at most; changes: twice as many."""


@compiled_within
def _pay_interest(book: Any, rules: Any, years: float) -> None:
    """What is borrowed costs for the time since the step before."""
    state = book.state[0]
    _, gross, shorts = worth_of(book)
    longs = gross - shorts
    debt = max(0.0, -state.cash)
    for symbol in range(len(book.positions)):
        position = book.positions[symbol]
        if position.side == 0:
            continue
        held = position.quantity * position.mark
        cost = 0.0
        if position.side < 0:
            cost = held * rules.borrow_rate * years
        elif debt > 0.0:
            cost = debt * rules.borrow_rate * years * (held / longs)
        position.entry_fee += cost
        position.own_cash -= cost
        state.cash -= cost


@compiled_within
def _pay_funding(book: Any, rules: Any, bars: Any, symbol: int, bar: int, rate: float) -> None:
    """A position pays, or is paid, the rates that fell due, on its bar's open."""
    position, state = book.positions[symbol], book.state[0]
    if rate == 0.0 or position.side == 0:
        return
    cost = rate * (position.side * position.quantity * bars.open[bars.offsets[symbol] + bar])
    position.entry_fee += cost
    position.own_cash -= cost
    state.cash -= cost
    if state.cash < 0.0 and rules.leverage == 1.0 and position.side > 0:
        pay_by_selling(book, rules, symbol, bar)


@compiled_within
def _liquidate(book: Any, rules: Any) -> None:
    """Ends positions at market prices where the account no longer bears them.

    At leverage 1 shorts that the cash no longer buys back; with a maintenance margin everything.
    """
    state = book.state[0]
    if state.positions == 0 or (state.shorts == 0 and rules.margin == 0.0):
        return
    measure_liquidation(book, rules)
    if rules.margin > 0.0:
        value, gross, _ = worth_of(book)
        if state.cash + value < rules.margin * gross:
            _end_all(book, rules, 1)
            _end_all(book, rules, -1)
            return
    if rules.leverage > 1.0:
        return
    for symbol in range(len(book.positions)):
        position = book.positions[symbol]
        if position.side < 0 and position.mark >= position.liquidation_reach:
            _end_all(book, rules, -1)
            return


@compiled_within
def _end_all(book: Any, rules: Any, side: int) -> None:
    """Liquidates all positions of a side at their market prices.

    Several shorts that the cash does not buy back at these take all of it, in proportion.
    """
    state, scale = book.state[0], 1.0
    is_covered = side < 0 and rules.leverage == 1.0
    if is_covered and state.shorts > 1:
        cost = 0.0
        for symbol in range(len(book.positions)):
            position = book.positions[symbol]
            if position.side < 0:
                cost += position.quantity * position.mark * (1.0 + rules.fee_rate)
        if cost + state.shorts * rules.fee_fixed > state.cash:
            scale = (state.cash - state.shorts * rules.fee_fixed) / cost
    is_single = state.shorts == 1
    for symbol in range(len(book.positions)):
        position = book.positions[symbol]
        if position.side != side:
            continue
        if is_covered and is_single:
            level = (state.cash - rules.fee_fixed) / (position.quantity * (1.0 + rules.fee_rate))
            position.liquidation_level = level
            position.liquidation_reach = level * (1.0 - TOLERANCE)
        elif side < 0:
            position.liquidation_level = position.liquidation_reach = np.inf
        price = position.mark if scale == 1.0 else position.mark * scale
        close_position(book, rules, symbol, book.next_bar[symbol] - 1, price, LIQUIDATION, False)
    if scale < 1.0:
        state.cash = 0.0


@compiled_within
def _exit_at_open(book: Any, rules: Any, steps: Any, symbol: int, bar: int) -> None:
    """The exit ordered at the close before, or one at a level that the open has reached."""
    position = book.positions[symbol]
    if position.side == 0:
        return
    open_price = position.mark
    see_price(position, open_price)
    if position.exit_order != 0:
        close_position(book, rules, symbol, bar, open_price, position.exit_order, True)
        return
    renew_target(position, rules, steps, bar)
    reason, raw_price = exit_of(position, rules, open_price, open_price, open_price)
    if reason != 0:
        close_position(book, rules, symbol, bar, raw_price, reason, slips_at(reason))


@compiled_within
def _line_up_at_open(book: Any, rules: Any, symbol: int, bar: int) -> bool:
    """Puts the entry ordered at the close before in line, or a pending one that the open fills."""
    position = book.positions[symbol]
    if position.entry_order != 0:
        side, position.entry_order = position.entry_order, 0
        if position.side != 0 and position.entries >= rules.max_entries:
            return False
        position.fill_side = side
        position.fill_kind = MARKET
        position.fill_price = position.mark
        position.fill_bar = position.order_bar
        return True
    mark = position.mark
    return bool(line_up(book, rules, symbol, bar, mark, mark, mark, at_open=True))


@compiled_within
def _enter_all(book: Any, rules: Any, wishes: Any, steps: Any, bars: Any, count: int) -> None:
    """Lets the entries of the symbols in the queue have their turns."""
    if count == 0:
        return
    rank_entries(book, wishes, bars, count)
    value, _, _ = worth_of(book)
    equity = book.state[0].cash + value
    for place in range(count):
        symbol = book.queue[place]
        entered = enter(book, rules, wishes, steps, bars, symbol, book.next_bar[symbol] - 1, equity)
        book.positions[symbol].was_entered = entered


@compiled_within
def _passing(book: Any, bars: Any, parts: Any, step: int) -> int:
    """Lists the symbols whose bars end in this step and to which something may happen before; how many."""
    count = 0
    for symbol in range(len(book.positions)):
        position = book.positions[symbol]
        place = bars.offsets[symbol] + book.next_bar[symbol] - 1
        if position.is_running == 0 or bars.close_step[place] != step:
            continue
        if (
            position.side != 0
            or book.orders[2 * symbol].kind != MARKET
            or book.orders[2 * symbol + 1].kind != MARKET
        ):
            position.part = 0
            position.parts = parts_of(parts, place)
            book.passing[count] = symbol
            count += 1
    return count


@compiled_within
def _next_moment(book: Any, bars: Any, parts: Any, count: int) -> int:
    """The earliest moment at which a part of the bars that pass opens; the symbols of that part go on."""
    earliest = LATEST
    for turn in range(2):
        for place in range(count):
            symbol = book.passing[place]
            position = book.positions[symbol]
            if position.part >= position.parts:
                continue
            bar_place = bars.offsets[symbol] + book.next_bar[symbol] - 1
            moment = position.opened_us
            if is_fine(parts, bar_place):
                moment = parts.moment_us[parts.first[bar_place] + position.part]
            if turn == 0:
                earliest = min(earliest, moment)
            elif moment == earliest:
                position.goes_on = 1
                if is_fine(parts, bar_place):
                    position.mark = parts.open[parts.first[bar_place] + position.part]
    return earliest


@compiled_within
def _pass_bars(book: Any, rules: Any, wishes: Any, steps: Any, bars: Any, parts: Any, step: int) -> None:
    """Takes all bars that end in this step through their insides, part by part, entries in turn."""
    state, passing = book.state[0], _passing(book, bars, parts, step)
    while passing > 0 and _next_moment(book, bars, parts, passing) < LATEST:
        measure_liquidation(book, rules)
        count = 0
        for place in range(passing):
            symbol = book.passing[place]
            if book.positions[symbol].goes_on != 0 and pass_part(
                book, rules, bars, parts, symbol, book.next_bar[symbol] - 1
            ):
                book.queue[count] = symbol
                count += 1
        if state.is_liquidated == 0 and count > 0:
            _enter_all(book, rules, wishes, steps, bars, count)
            for place in range(count):
                book.positions[book.queue[place]].goes_on = 2
        for place in range(passing):
            symbol = book.passing[place]
            position = book.positions[symbol]
            if position.goes_on == 2 and state.is_liquidated == 0:
                go_on_after_fill(book, rules, bars, parts, symbol, book.next_bar[symbol] - 1)
            position.part += 1 if position.goes_on != 0 else 0
            position.goes_on = position.fill_side = 0
        if state.is_liquidated != 0:
            state.is_liquidated = 0
            _end_all(book, rules, 1)
            _end_all(book, rules, -1)
            return


@compiled_within
def _place(order: Any, limit: float, stop: float, bar: int) -> None:
    """Makes an order pending."""
    order.kind = STOP if np.isnan(limit) else LIMIT
    order.price = stop if np.isnan(limit) else limit
    order.bar = bar


@compiled_within
def _decide(  # noqa: C901, PLR0912  what signals ask for, in one place
    book: Any, rules: Any, wishes: Any, bars: Any, symbol: int, bar: int
) -> None:
    """What the signals at a bar's close ask for: orders for the next open, and pending ones."""
    position, place = book.positions[symbol], bars.offsets[symbol] + bar
    long_order, short_order = book.orders[2 * symbol], book.orders[2 * symbol + 1]
    entry, short_entry = wishes.entry[place], wishes.short_entry[place]
    leave_long, leave_short = wishes.exit[place], wishes.short_exit[place]
    if rules.ignores_conflicts != 0:
        if entry and leave_long:
            entry = leave_long = False
        if short_entry and leave_short:
            short_entry = leave_short = False
    go_long, go_short = rules.allow_long != 0 and entry, rules.allow_short != 0 and short_entry
    if leave_long or bar >= long_order.bar + rules.good_for:
        long_order.kind = MARKET
    if leave_short or bar >= short_order.bar + rules.good_for:
        short_order.kind = MARKET
    held = bar - position.entry_bar + (0 if rules.at_close != 0 else 1)
    is_held_out = position.side != 0 and 0 < rules.max_hold <= held
    if not (go_long or go_short or is_held_out or (leave_long if position.side > 0 else leave_short)):
        return
    long_limit, long_stop = wish_at(wishes.entry_limit, place), wish_at(wishes.entry_stop, place)
    short_limit = wish_at(wishes.short_entry_limit, place)
    short_stop = wish_at(wishes.short_entry_stop, place)
    long_waits = not (np.isnan(long_limit) and np.isnan(long_stop))
    short_waits = not (np.isnan(short_limit) and np.isnan(short_stop))
    side = position.side
    if side != 0:
        leaves = leave_long if side > 0 else leave_short
        turns = (go_short and not short_waits) if side > 0 else (go_long and not long_waits)
        if leaves or turns:
            position.exit_order = SIGNAL
        elif is_held_out:
            position.exit_order = MAX_HOLD
        adds = position.exit_order == 0 and position.entries < rules.max_entries
        go_long, go_short = go_long and (side < 0 or adds), go_short and (side > 0 or adds)
    if go_long and go_short and not (long_waits and short_waits):
        go_long = go_short = False
    if go_long:
        long_order.kind = MARKET
        if long_waits:
            _place(long_order, long_limit, long_stop, bar)
        else:
            position.entry_order, position.order_bar = 1, bar
    if go_short:
        short_order.kind = MARKET
        if short_waits:
            _place(short_order, short_limit, short_stop, bar)
        else:
            position.entry_order, position.order_bar = -1, bar


@compiled_within
def _close_bars(book: Any, rules: Any, wishes: Any, steps: Any, bars: Any, step: int) -> None:
    """What happens at the close of all bars that end in this step."""
    for symbol in range(len(book.positions)):
        position = book.positions[symbol]
        place = bars.offsets[symbol] + book.next_bar[symbol] - 1
        if position.is_running != 0 and bars.close_step[place] == step:
            position.mark = bars.close[place]
            position.is_running = 2
    _liquidate(book, rules)
    count = 0
    for symbol in range(len(book.positions)):
        position = book.positions[symbol]
        if position.is_running != 2:
            continue
        bar = book.next_bar[symbol] - 1
        _decide(book, rules, wishes, bars, symbol, bar)
        if rules.at_close == 0:
            continue
        if position.exit_order != 0:
            close_position(book, rules, symbol, bar, position.mark, position.exit_order, True)
        if position.entry_order != 0 and _line_up_at_open(book, rules, symbol, bar):
            book.queue[count] = symbol
            count += 1
    _enter_all(book, rules, wishes, steps, bars, count)


@compiled_within
def _open_bars(
    book: Any, rules: Any, wishes: Any, steps: Any, targets: Any, bars: Any, opening: Any, count: int
) -> None:
    """What happens at the open of the symbols that open in this step, whose market prices it is."""
    if len(bars.funding_before) > 0:
        for place in range(count):
            symbol = opening[place]
            bar = book.next_bar[symbol] - 1
            _pay_funding(book, rules, bars, symbol, bar, bars.funding_before[bars.offsets[symbol] + bar])
    _liquidate(book, rules)
    lined_up = 0
    for place in range(count):
        symbol = opening[place]
        bar = book.next_bar[symbol] - 1
        _exit_at_open(book, rules, steps, symbol, bar)
    for place in range(count):
        symbol = opening[place]
        if _line_up_at_open(book, rules, symbol, book.next_bar[symbol] - 1):
            book.queue[lined_up] = symbol
            lined_up += 1
    _enter_all(book, rules, wishes, steps, bars, lined_up)
    if len(targets.step) > 0 and rules.at_close == 0:
        rebalance(book, rules, steps, targets, opening, count)
    if len(bars.funding_within) > 0:
        for place in range(count):
            symbol = opening[place]
            bar = book.next_bar[symbol] - 1
            _pay_funding(book, rules, bars, symbol, bar, bars.funding_within[bars.offsets[symbol] + bar])


def _kernel_of(sources: str) -> Any:  # noqa: C901  as the kernel in it
    """Makes the kernel, which closes over the digest of what it calls and so is renewed with it."""

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
            WishesIn,
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
        wishes: Any,
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
            wishes: signals.
            targets: target weights.
            curves: written for the steps.

        Returns:
            The first step that is not done: `stop`, or less where trades or changes need more room.
        """
        state, rules = book.state[0], all_rules[0]
        symbols = len(book.positions)
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
                _pay_interest(book, rules, (step_us[step] - step_us[step - 1]) / YEAR_US)
            count, is_busy = 0, len(targets.step) > 0
            for symbol in range(symbols):
                place = bars.offsets[symbol] + book.next_bar[symbol]
                if place < bars.offsets[symbol + 1] and bars.open_step[place] == step:
                    position = book.positions[symbol]
                    position.mark = bars.open[place]
                    position.is_running = 1
                    position.opened_us = step_us[step]
                    book.next_bar[symbol] += 1
                    opening[count] = symbol
                    count += 1
                    is_busy = (
                        is_busy
                        or position.entry_order != 0
                        or book.orders[2 * symbol].kind != MARKET
                        or book.orders[2 * symbol + 1].kind != MARKET
                    )
            if is_busy or state.positions > 0:
                _open_bars(book, rules, wishes, steps, targets, bars, opening, count)
                _pass_bars(book, rules, wishes, steps, bars, parts, step)
            _close_bars(book, rules, wishes, steps, bars, step)
            if due < len(targets.step) and targets.step[due] == step:
                want_weights(book, targets, int(due))
                due += 1
            if len(targets.step) > 0 and rules.at_close != 0:
                count = 0
                for symbol in range(symbols):
                    if book.positions[symbol].is_running == 2:
                        opening[count] = symbol
                        count += 1
                rebalance(book, rules, steps, targets, opening, count)
            _write_down(book, bars, curves, step)
        return stop

    return simulate_account


@compiled_within
def _write_down(book: Any, bars: Any, curves: Any, step: int) -> None:
    """Writes the account at the end of a step, and each symbol whose bar has ended."""
    state = book.state[0]
    value, gross, _ = worth_of(book)
    curves.equity[step] = state.cash + value
    curves.cash[step] = state.cash
    curves.gross[step] = gross
    for symbol in range(len(book.positions)):
        position = book.positions[symbol]
        if position.is_running == 2:
            position.is_running = 0
            if len(curves.own_equity) > 0:
                place = bars.offsets[symbol] + book.next_bar[symbol] - 1
                held = position.quantity * position.mark if position.side != 0 else 0.0
                curves.own_gross[place] = held
                curves.own_equity[place] = position.own_cash + position.side * held


@compiled(types.void(BookOut, BarsIn))
def list_open_positions(book: Any, bars: Any) -> None:
    """Lists the positions that the data's last bars leave open, for which the book has room."""
    for symbol in range(len(book.positions)):
        if book.positions[symbol].side != 0:
            place = bars.offsets[symbol + 1] - 1
            list_open_position(book, symbol, place - bars.offsets[symbol], bars.close[place], END_OF_DATA)


simulate_account = _kernel_of(
    sources_digest(simple_kernel, account_orders, account_positions, account_rebalancing, account_records)
)
