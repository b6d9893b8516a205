"""Pending orders: which are filled at an open or inside a bar, and at what price.

Compiled into `account_kernel`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.account_closing import close_position
from backtest_pipeline.engine.account_levels import LIMIT, MARKET, STOP
from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.kernel import SIGNAL, TOLERANCE


@compiled_within
def drop_order(state: Any, order: Any) -> None:
    """Takes a pending order away, if there is one."""
    if order.kind != MARKET:
        order.kind = MARKET
        state.pending -= 1


@compiled_within
def place_order(state: Any, order: Any, limit: float, stop: float, bar: int) -> None:
    """Makes an order pending."""
    drop_order(state, order)
    state.pending += 1
    order.kind = STOP if np.isnan(limit) else LIMIT
    order.price = stop if np.isnan(limit) else limit
    order.bar = bar


@compiled_within
def fills_at_open(order: Any, side: int, open_price: float, rules: Any) -> bool:
    """Whether a pending order is filled at an open."""
    if order.kind == LIMIT:
        if rules.fills_on_touch != 0:
            return bool((open_price - order.price * (1.0 + side * TOLERANCE)) * side <= 0.0)
        return bool((open_price - order.price * (1.0 - side * TOLERANCE)) * side < 0.0)
    if order.kind == STOP:
        return bool((open_price - order.price * (1.0 - side * TOLERANCE)) * side >= 0.0)
    return False


@compiled_within
def _fill_inside(order: Any, side: int, high: float, low: float, rules: Any) -> float:
    """The price at which a pending order is filled inside a bar, not at its open; NaN for none."""
    if order.kind == LIMIT:
        reached = low if side > 0 else high
        if rules.fills_on_touch != 0:
            is_filled = (reached - order.price * (1.0 + side * TOLERANCE)) * side <= 0.0
        else:
            is_filled = (reached - order.price * (1.0 - side * TOLERANCE)) * side < 0.0
        if is_filled:
            return float(max(order.price, low)) if side > 0 else float(min(order.price, high))
    elif order.kind == STOP:
        reached = high if side > 0 else low
        if (reached - order.price * (1.0 - side * TOLERANCE)) * side >= 0.0:
            return float(min(order.price, high)) if side > 0 else float(max(order.price, low))
    return np.nan


@compiled_within
def first_fill(
    book: Any, rules: Any, symbol: int, open_price: float, high: float, low: float, at_open: bool
) -> tuple[int, float]:
    """Which of a symbol's pending orders is filled first, at an open or inside a bar that it has not filled.

    Of two it is the one that is nearer to the open.

    Returns:
        The order's side, 0 for none, and the price at which it is filled.
    """
    long_order, short_order = book.orders[2 * symbol], book.orders[2 * symbol + 1]
    if long_order.kind == MARKET and short_order.kind == MARKET:
        return 0, np.nan
    if at_open:
        long_fill = open_price if fills_at_open(long_order, 1, open_price, rules) else np.nan
        short_fill = open_price if fills_at_open(short_order, -1, open_price, rules) else np.nan
    else:
        long_fill = _fill_inside(long_order, 1, high, low, rules)
        short_fill = _fill_inside(short_order, -1, high, low, rules)
    if np.isnan(long_fill):
        return (0, np.nan) if np.isnan(short_fill) else (-1, short_fill)
    if np.isnan(short_fill) or abs(long_fill - open_price) <= abs(short_fill - open_price):
        return 1, long_fill
    return -1, short_fill


@compiled_within
def take_fill(
    book: Any, rules: Any, symbol: int, bar: int, side: int, raw_price: float, at_open: bool
) -> bool:
    """Puts the entry of a pending order in line; closes a position of the other side at its price first.

    Returns:
        Whether an entry waits for its turn; an order lapses where its position may not grow.
    """
    position = book.positions[symbol]
    order = book.orders[2 * symbol + (0 if side > 0 else 1)]
    kind, order_bar = order.kind, order.bar
    drop_order(book.state[0], order)
    if position.side == -side:
        close_position(book, rules, symbol, bar, raw_price, SIGNAL, kind == STOP)
    elif position.side == side and position.entries >= rules.max_entries:
        return False
    position.fill_side = side
    position.fill_kind = kind
    position.fill_price = raw_price
    position.fill_bar = order_bar
    position.fills_at_open = at_open
    return True


@compiled_within
def line_up(
    book: Any, rules: Any, symbol: int, bar: int, open_price: float, high: float, low: float, at_open: bool
) -> bool:
    """Takes the first fill of a symbol's pending orders, if any; whether an entry waits for its turn."""
    side, fill = first_fill(book, rules, symbol, open_price, high, low, at_open=at_open)
    return side != 0 and take_fill(book, rules, symbol, bar, side, fill, at_open=at_open)
