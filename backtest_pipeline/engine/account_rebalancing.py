"""Target weights of a portfolio become positions: sells before buys, costs included.

Compiled into `account_kernel`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.account_closing import close_position, reduce_position
from backtest_pipeline.engine.account_entries import (
    NO_CASH,
    add_to_position,
    affordable,
    skip_entry,
    whole_steps,
)
from backtest_pipeline.engine.account_worth import room_of, worth_of
from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.kernel import SIGNAL, TOLERANCE


@compiled_within
def want_weights(book: Any, targets: Any, due: int) -> None:
    """Lets a row's weights wait for the next opens, in place of those that still do."""
    symbols = len(book.positions)
    for symbol in range(symbols):
        weight = targets.weight[due * symbols + symbol]
        if not np.isnan(weight):
            book.positions[symbol].wanted_weight = weight


@compiled_within
def rebalance(book: Any, rules: Any, steps: Any, targets: Any, opening: Any, count: int) -> None:
    """Brings the symbols that open and have a weight waiting to that weight."""
    value, _, _ = worth_of(book.state, book.positions)
    equity = book.state[0].cash + value
    waiting = 0
    for place in range(count):
        symbol = opening[place]
        position = book.positions[symbol]
        weight, position.wanted_weight = position.wanted_weight, np.nan
        if np.isnan(weight) or equity <= 0.0:
            continue
        held = position.side * (position.quantity * position.mark) if position.side != 0 else 0.0
        distance = abs(weight * equity - held)
        if distance <= TOLERANCE * equity or distance < targets.drift_frac[0] * equity:
            continue
        wanted = whole_steps(abs(weight * equity / position.mark), rules.quantity_step)
        if wanted == np.inf:
            continue
        side = 1 if weight > 0.0 else -1
        bar = book.next_bar[symbol] - 1
        if position.side != 0 and (position.side != side or wanted == 0.0):
            close_position(book, rules, symbol, bar, position.mark, SIGNAL, True)
        elif position.side != 0 and wanted < position.quantity:
            _sell_down(book, rules, symbol, bar, wanted)
            continue
        if wanted > (position.quantity if position.side != 0 else 0.0):
            position.fill_side = side
            position.wanted_quantity = wanted - (position.quantity if position.side != 0 else 0.0)
            book.queue[waiting] = symbol
            waiting += 1
    if waiting > 0:
        _buy(book, rules, steps, waiting, equity)


@compiled_within
def _sell_down(book: Any, rules: Any, symbol: int, bar: int, wanted: float) -> None:
    """Makes a position smaller; a short that cannot be bought back below its liquidation price ends there."""
    position = book.positions[symbol]
    fill_price = position.mark * (1.0 - position.side * rules.slippage)
    if (
        position.side < 0
        and rules.leverage == 1.0
        and fill_price >= position.covered_level * (1.0 - TOLERANCE)
    ):
        close_position(book, rules, symbol, bar, position.mark, SIGNAL, True)
    else:
        reduce_position(book, rules, symbol, bar, wanted, SIGNAL)


@compiled_within
def _buy(book: Any, rules: Any, steps: Any, count: int, equity: float) -> None:
    """Makes the positions in the queue larger, all in proportion where there is too little cash."""
    leverage = rules.leverage
    room, cost = room_of(book, rules), 0.0
    for place in range(count):
        position = book.positions[book.queue[place]]
        fill_price = position.mark * (1.0 + position.fill_side * rules.slippage)
        cost += position.wanted_quantity * fill_price * (1.0 + leverage * rules.fee_rate)
    fixed = count * leverage * rules.fee_fixed
    scale = 1.0
    if room <= TOLERANCE * equity:
        scale = 0.0
    elif cost + fixed > room:
        scale = (room - fixed) / cost
    for place in range(count):
        symbol = book.queue[place]
        position = book.positions[symbol]
        side, position.fill_side = position.fill_side, 0
        raw_price = position.mark
        fill_price = raw_price * (1.0 + side * rules.slippage)
        quantity = position.wanted_quantity
        if scale < 1.0:
            quantity = whole_steps(quantity * scale, rules.quantity_step) if scale > 0.0 else 0.0
        if quantity > 0.0:
            quantity = affordable(quantity, fill_price, room_of(book, rules), rules)
        bar = book.next_bar[symbol] - 1
        if quantity <= 0.0 or not add_to_position(
            book, rules, steps, symbol, bar, side, quantity, raw_price, fill_price, np.nan, np.nan
        ):
            skip_entry(book, symbol, NO_CASH)
