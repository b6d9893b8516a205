"""What an account is worth, and at which prices it no longer bears its positions.

Compiled into `account_kernel`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.kernel import TOLERANCE


@compiled_within
def worth_of(states: Any, positions: Any) -> tuple[float, float, float]:
    """Value of all positions at market prices, shorts negative; the same, shorts positive; that of shorts."""
    value = gross = shorts = 0.0
    left = states[0].positions
    for symbol in range(len(positions)):
        if left == 0:
            break
        position = positions[symbol]
        if position.side != 0:
            held = position.quantity * position.mark
            value += position.side * held
            gross += held
            if position.side < 0:
                shorts += held
            left -= 1
    return value, gross, shorts


@compiled_within
def worth_of_others(book: Any, symbol: int) -> float:
    """Value of all positions but a symbol's."""
    value = 0.0
    if book.state[0].positions > 1:
        for place in range(len(book.positions)):
            other = book.positions[place]
            if place != symbol and other.side != 0:
                value += other.side * (other.quantity * other.mark)
    return value


@compiled_within
def room_of(book: Any, rules: Any) -> float:
    """What entries may use."""
    value, gross, shorts = worth_of(book.state, book.positions)
    if rules.leverage == 1.0:
        room: float = book.state[0].cash - 2.0 * shorts
        return room
    leveraged: float = rules.leverage * (book.state[0].cash + value) - gross
    return leveraged


@compiled_within
def set_liquidation(position: Any, level: float) -> None:
    position.liquidation_level = level
    position.liquidation_reach = level * (1.0 + position.side * TOLERANCE)


@compiled_within
def may_be_liquidated(state: Any, rules: Any) -> bool:
    """Whether any position has a liquidation price."""
    return bool(state.positions > 0 and (state.shorts > 0 or rules.margin > 0.0))


@compiled_within
def measure_liquidation(book: Any, rules: Any) -> None:
    """Renews every position's liquidation price, the others being worth their market prices."""
    for symbol in range(len(book.positions)):
        if book.positions[symbol].side != 0:
            measure_own_liquidation(book, rules, symbol)


@compiled_within
def measure_own_liquidation(book: Any, rules: Any, symbol: int) -> None:
    """Renews one position's liquidation price."""
    position, state, margin = book.positions[symbol], book.state[0], rules.margin
    side = position.side
    level = -side * np.inf
    others = value = gross = 0.0
    if state.positions > 1:
        for place in range(len(book.positions)):
            other = book.positions[place]
            if place != symbol and other.side != 0:
                held = other.quantity * other.mark
                value += other.side * held
                gross += held
                if other.side < 0:
                    others += held * (1.0 + rules.fee_rate)
    if side < 0 and rules.leverage == 1.0:
        level = (state.cash - others - state.shorts * rules.fee_fixed) / (
            position.quantity * (1.0 + rules.fee_rate)
        )
        position.covered_level = level
    if margin > 0.0 and side > 0:
        level = (margin * gross - state.cash - value) / (position.quantity * (1.0 - margin))
    elif margin > 0.0:
        own = (state.cash + value - margin * gross) / (position.quantity * (1.0 + margin))
        position.ends_alone = level < own
        level = min(level, own)
    set_liquidation(position, level)
