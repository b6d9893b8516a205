"""How positions end: closed, reduced, liquidated.

Compiled into `account_kernel`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.account_levels import see_price, slips_at
from backtest_pipeline.engine.account_worth import (
    measure_liquidation,
    measure_own_liquidation,
    worth_of,
    worth_of_others,
)
from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.kernel import LIQUIDATION, TOLERANCE


@compiled_within
def note_change(book: Any, symbol: int, bar: int, price: float) -> None:
    """Writes a position as it stands after a fill at a raw price."""
    state, position = book.state[0], book.positions[symbol]
    quantity = position.side * position.quantity if position.side != 0 else 0.0
    mark, position.mark = position.mark, price
    value, _, _ = worth_of(book.state, book.positions)
    position.mark = mark
    equity = state.cash + value
    change = book.changes[state.changes]
    change.symbol = symbol
    change.bar = bar
    change.quantity = quantity
    change.price = price
    change.weight = quantity * price / equity if equity > 0.0 else 0.0
    state.changes += 1


@compiled_within
def _write_trade(
    book: Any,
    symbol: int,
    bar: int,
    quantity: float,
    exit_price: float,
    fees: float,
    slippage: float,
    reason: int,
) -> None:
    """Records a part of a symbol's position, or all of it, as a trade that ended at `bar`."""
    position, state = book.positions[symbol], book.state[0]
    side, entry_price = position.side, position.entry_price
    trade = book.trades[state.trades]
    book.owners[state.trades] = symbol
    state.trades += 1
    pnl = side * (exit_price - entry_price) * quantity - fees
    adverse = entry_price - position.lowest if side > 0 else position.highest - entry_price
    favourable = position.highest - entry_price if side > 0 else entry_price - position.lowest
    trade.side = side
    trade.reason = reason
    trade.entry_bar = position.entry_bar
    trade.exit_bar = bar
    trade.quantity = quantity
    trade.entry_price = entry_price
    trade.exit_price = exit_price
    trade.fees = fees
    trade.slippage_cost = slippage
    trade.pnl = pnl
    trade.return_frac = pnl / (entry_price * quantity)
    trade.mae_frac = max(adverse, 0.0) / entry_price
    trade.mfe_frac = max(favourable, 0.0) / entry_price


@compiled_within
def list_open_position(book: Any, symbol: int, bar: int, close: float, reason: int) -> None:
    """Lists a position that the data's last bar leaves open, at its last close and without an exit fee."""
    position = book.positions[symbol]
    _write_trade(
        book, symbol, bar, position.quantity, close, position.entry_fee, position.slippage_cost, reason
    )


@compiled_within
def _cut_fee(fee: float, before_fee: float, others: float, rules: Any) -> float:
    """An exit's fee, as far as the account has it: cash and the rest of its positions, at leverage 1 cash."""
    left = before_fee + others
    if rules.leverage == 1.0:
        left = min(left, before_fee)
    return min(fee, max(left, 0.0))


@compiled_within
def close_position(  # noqa: C901  every way to end a position
    book: Any, rules: Any, symbol: int, bar: int, raw_price: float, reason: int, slips: bool
) -> None:
    """Leaves the market at `raw_price`.

    A short at leverage 1 that would be bought back beyond its liquidation price is bought back at that price,
    and a last position that would leave less than nothing ends at the price that leaves exactly nothing.
    """
    position, state = book.positions[symbol], book.state[0]
    side, quantity = position.side, position.quantity
    fill_price = raw_price
    if slips:
        fill_price = raw_price * (1.0 - side * rules.slippage)
    is_covered = side < 0 and rules.leverage == 1.0
    is_in_proportion = is_covered and np.isinf(position.covered_level)  # as `end_all` asks for
    leaves_nothing = False
    if is_covered:
        if not is_in_proportion:
            measure_own_liquidation(book, rules, symbol)
        if fill_price >= position.covered_level * (1.0 - TOLERANCE):
            reason = LIQUIDATION
            leaves_nothing = state.shorts == 1
            if fill_price > position.covered_level * (1.0 + TOLERANCE):
                fill_price = position.covered_level
            raw_price = fill_price
    fee = quantity * fill_price * rules.fee_rate + rules.fee_fixed
    before_fee = state.cash + side * (quantity * fill_price)
    if (
        state.positions == 1
        and (rules.leverage > 1.0 or rules.margin > 0.0)
        and before_fee - fee < 0.0
        and not leaves_nothing
        and not is_in_proportion
    ):
        reason = LIQUIDATION
        leaves_nothing = True
        if side > 0:
            fill_price = (rules.fee_fixed - state.cash) / (quantity * (1.0 - rules.fee_rate))
        else:
            fill_price = (state.cash - rules.fee_fixed) / (quantity * (1.0 + rules.fee_rate))
        raw_price = fill_price
        fee = quantity * fill_price * rules.fee_rate + rules.fee_fixed
        before_fee = state.cash + side * (quantity * fill_price)
    position.own_cash += side * (quantity * fill_price)
    if leaves_nothing:
        state.cash = 0.0
    else:
        if (fee > before_fee or state.shorts > 0) and not is_in_proportion:
            fee = _cut_fee(fee, before_fee, worth_of_others(book, symbol), rules)
        state.cash = before_fee - fee
    position.own_cash -= fee
    position.slippage_cost += abs(fill_price - raw_price) * quantity
    see_price(position, fill_price)
    _write_trade(
        book,
        symbol,
        bar,
        quantity,
        fill_price,
        position.entry_fee + fee,
        position.slippage_cost,
        reason,
    )
    state.positions -= 1
    if side < 0:
        state.shorts -= 1
    position.side = 0
    position.exit_order = 0
    position.quantity = 0.0
    note_change(book, symbol, bar, raw_price)


@compiled_within
def reduce_position(book: Any, rules: Any, symbol: int, bar: int, rest: float, reason: int) -> None:
    """Closes a position down to `rest` at the market price, with slippage; costs so far go in proportion."""
    position, state = book.positions[symbol], book.state[0]
    side, quantity = position.side, position.quantity - rest
    share = quantity / position.quantity
    raw_price = position.mark
    fill_price = raw_price * (1.0 - side * rules.slippage)
    before_fee = state.cash + side * (quantity * fill_price)
    fee = quantity * fill_price * rules.fee_rate + rules.fee_fixed
    if fee > before_fee or state.shorts > 0:
        others = worth_of_others(book, symbol) + side * (rest * position.mark)
        fee = _cut_fee(fee, before_fee, others, rules)
    state.cash = before_fee - fee
    position.own_cash += side * (quantity * fill_price) - fee
    entry_fee, slippage = position.entry_fee * share, position.slippage_cost * share
    highest, lowest = position.highest, position.lowest
    see_price(position, fill_price)
    _write_trade(
        book,
        symbol,
        bar,
        quantity,
        fill_price,
        entry_fee + fee,
        slippage + abs(fill_price - raw_price) * quantity,
        reason,
    )
    position.highest, position.lowest = highest, lowest
    position.quantity = rest
    position.entry_fee -= entry_fee
    position.slippage_cost -= slippage
    note_change(book, symbol, bar, raw_price)


@compiled_within
def close_in_bar(book: Any, rules: Any, symbol: int, bar: int, raw_price: float, reason: int) -> None:
    """Ends a position inside a bar; where the account's maintenance margin does, all others end with it."""
    position = book.positions[symbol]
    is_covered = position.side < 0 and rules.leverage == 1.0
    if reason == LIQUIDATION and rules.margin > 0.0 and not (is_covered and position.ends_alone != 0):
        book.state[0].is_liquidated = 1
    close_position(book, rules, symbol, bar, raw_price, reason, slips_at(reason))


@compiled_within
def liquidate(book: Any, rules: Any) -> None:
    """Ends positions at market prices where the account no longer bears them.

    At leverage 1 shorts that the cash no longer buys back; with a maintenance margin everything. For accounts
    that `may_be_liquidated`.
    """
    state = book.state[0]
    measure_liquidation(book, rules)
    if rules.margin > 0.0:
        value, gross, _ = worth_of(book.state, book.positions)
        if state.cash + value < rules.margin * gross:
            end_all(book, rules, 1)
            end_all(book, rules, -1)
            return
    if rules.leverage > 1.0:
        return
    for symbol in range(len(book.positions)):
        position = book.positions[symbol]
        if position.side < 0 and position.mark >= position.covered_level * (1.0 - TOLERANCE):
            end_all(book, rules, -1)
            return


@compiled_within
def end_all(book: Any, rules: Any, side: int) -> None:
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
        if is_covered and not is_single:
            position.covered_level = np.inf
        price = position.mark if scale == 1.0 else position.mark * scale
        close_position(book, rules, symbol, book.next_bar[symbol] - 1, price, LIQUIDATION, False)
    if scale < 1.0:
        state.cash = 0.0
