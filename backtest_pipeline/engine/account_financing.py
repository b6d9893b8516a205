"""What positions cost while they are open: interest and funding.

Compiled into `account_kernel`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.account_closing import close_position, reduce_position
from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.kernel import LIQUIDATION, TOLERANCE

YEAR_US = 365.25 * 86_400e6


@compiled_within
def pay_interest(book: Any, rules: Any, years: float) -> None:
    """What is borrowed costs for the time since the step before."""
    state, longs = book.state[0], 0.0
    for symbol in range(len(book.positions)):
        position = book.positions[symbol]
        if position.side > 0:
            longs += position.quantity * position.mark
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
        position.interest_paid += cost
        position.entry_fee += cost
        position.own_cash -= cost
        state.cash -= cost


@compiled_within
def pay_by_selling(book: Any, rules: Any, symbol: int, bar: int) -> None:
    """Sells as much of a long as pays what the cash lacks, at the market price, fee and slippage included."""
    position, state = book.positions[symbol], book.state[0]
    fill_price = position.mark * (1.0 - rules.slippage)
    quantity = (rules.fee_fixed - state.cash) / (fill_price * (1.0 - rules.fee_rate))
    if rules.quantity_step > 0.0:
        quantity = np.ceil(quantity / rules.quantity_step * (1.0 - TOLERANCE)) * rules.quantity_step
    if position.quantity - quantity == position.quantity:
        position.entry_fee += state.cash
        position.own_cash -= state.cash
    elif 0.0 < quantity < position.quantity:
        reduce_position(book, rules, symbol, bar, position.quantity - quantity, LIQUIDATION)
    else:
        fee = position.quantity * fill_price * rules.fee_rate + rules.fee_fixed
        forgiven = max(-state.cash - (position.quantity * fill_price - fee), 0.0)
        position.entry_fee -= forgiven
        position.own_cash += forgiven
        state.cash += forgiven
        close_position(book, rules, symbol, bar, position.mark, LIQUIDATION, True)
    state.cash = max(state.cash, 0.0)


@compiled_within
def pay_funding(book: Any, rules: Any, bars: Any, rates: Any, opening: Any, count: int) -> None:
    """The positions of the symbols that open pay, or are paid, the rates that fell due, on the open."""
    state = book.state[0]
    for place in range(count):
        symbol = opening[place]
        position, bar = book.positions[symbol], book.next_bar[symbol] - 1
        rate = rates[bars.offsets[symbol] + bar]
        if rate == 0.0 or position.side == 0:
            continue
        cost = rate * (position.side * position.quantity * position.mark)
        position.funding_paid += cost
        position.entry_fee += cost
        position.own_cash -= cost
        state.cash -= cost
        if state.cash < 0.0 and rules.leverage == 1.0 and position.side > 0:
            pay_by_selling(book, rules, symbol, bar)
