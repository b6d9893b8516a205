"""What happens inside a bar: positions meet their levels, and pending orders are filled.

The rules are those of `docs/execution-model.md`, in its order. Compiled into `account_kernel`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.account_positions import (
    LIMIT,
    MARKET,
    STOP,
    add_to_position,
    close_position,
    entry_quantity,
    exit_at_own_extreme,
    exit_of,
    see_price,
    skip_entry,
    trailing_level,
)
from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.kernel import (
    LIQUIDATION,
    SIGNAL,
    STOP_LOSS,
    TAKE_PROFIT,
    TOLERANCE,
    TRAILING_STOP,
)


@compiled_within
def wish_at(prices: Any, place: int) -> float:
    """One of a strategy's prices, NaN where it gave none at all."""
    return float(prices[place]) if len(prices) > 0 else np.nan


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
    order.kind = MARKET
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


@compiled_within
def slips_at(reason: int) -> bool:
    """Whether an exit is a market order."""
    return reason not in (TAKE_PROFIT, LIQUIDATION)


@compiled_within
def close_in_bar(book: Any, rules: Any, symbol: int, bar: int, raw_price: float, reason: int) -> None:
    """Ends a position inside a bar; where the account's maintenance margin does, all others end with it."""
    if reason == LIQUIDATION and rules.margin > 0.0:
        book.state[0].is_liquidated = 1
    close_position(book, rules, symbol, bar, raw_price, reason, slips_at(reason))


@compiled_within
def _live_to_close(
    book: Any, rules: Any, symbol: int, bar: int, high: float, low: float, close: float
) -> None:
    """Lets a position that no level has ended see the rest of a bar, whose best price moves its trail."""
    position = book.positions[symbol]
    see_price(position, high if position.side > 0 else low)
    reason, raw_price = exit_at_own_extreme(position, rules, close)
    if reason == 0 and rules.pessimistic_trail != 0:
        reason, raw_price = exit_at_own_extreme(position, rules, low if position.side > 0 else high)
    if reason != 0:
        close_in_bar(book, rules, symbol, bar, raw_price, reason)
    else:
        see_price(position, high)
        see_price(position, low)


@compiled_within
def _meet_bar(
    book: Any, rules: Any, symbol: int, bar: int, open_price: float, high: float, low: float, close: float
) -> None:
    """Lets a position meet a whole bar."""
    position = book.positions[symbol]
    reason, raw_price = exit_of(position, rules, open_price, high, low)
    if reason != 0:
        close_in_bar(book, rules, symbol, bar, raw_price, reason)
    else:
        _live_to_close(book, rules, symbol, bar, high, low, close)


@compiled_within
def meet_rest(
    book: Any,
    rules: Any,
    symbol: int,
    bar: int,
    fill: float,
    kind: int,
    high: float,
    low: float,
    close: float,
) -> None:
    """Lets a position that was entered inside a bar meet the rest of it."""
    position = book.positions[symbol]
    side = position.side
    stop, reach, reason = position.stop_level, position.stop_reach, STOP_LOSS
    trailing, trailing_reach = trailing_level(position, rules)
    if (trailing - reach) * side > 0.0:
        stop, reach, reason = trailing, trailing_reach, TRAILING_STOP
    if (position.liquidation_level - reach) * side > 0.0:
        stop, reach, reason = position.liquidation_level, position.liquidation_reach, LIQUIDATION
    worst, best = (low, high) if side > 0 else (high, low)
    if (worst - reach) * side <= 0.0:
        raw_price = max(min(stop, fill), low) if side > 0 else min(max(stop, fill), high)
        close_in_bar(book, rules, symbol, bar, raw_price, reason)
        return
    seen = best if kind == STOP else close
    if (seen - position.target_reach) * side >= 0.0:
        target = position.target_level
        raw_price = min(max(target, fill), high) if side > 0 else max(min(target, fill), low)
        close_position(book, rules, symbol, bar, raw_price, TAKE_PROFIT, False)
        return
    if kind == STOP:
        _live_to_close(book, rules, symbol, bar, high, low, close)
    else:
        see_price(position, worst)
        see_price(position, close)


@compiled_within
def parts_of(parts: Any, place: int) -> int:
    """How many finer candles a bar has; without any, the bar itself is the one."""
    if len(parts.first) == 0:
        return 1
    return max(1, int(parts.first[place + 1] - parts.first[place]))


@compiled_within
def is_fine(parts: Any, place: int) -> bool:
    """Whether a bar has finer candles."""
    return len(parts.first) > 0 and parts.first[place + 1] > parts.first[place]


@compiled_within
def part_of(bars: Any, parts: Any, place: int, part: int) -> tuple[float, float, float, float]:
    """Open, high, low and close of one of the parts of a bar."""
    if not is_fine(parts, place):
        return bars.open[place], bars.high[place], bars.low[place], bars.close[place]
    own = parts.first[place] + part
    return parts.open[own], parts.high[own], parts.low[own], parts.close[own]


@compiled_within
def _order_comes_first(side: int, reason: int, raw_price: float, fill: float, open_price: float) -> bool:
    """Whether a pending order is filled inside a bar before a position's level ends it."""
    if reason == 0:
        return True
    is_target = reason == TAKE_PROFIT
    if (fill - open_price) * side < 0.0:  # on the way to the stop
        return is_target or (raw_price - fill) * side < 0.0
    return is_target and (raw_price - fill) * side > 0.0


@compiled_within
def pass_part(book: Any, rules: Any, bars: Any, parts: Any, symbol: int, bar: int) -> bool:
    """Takes a symbol through the part of its bar that is next, or until an entry waits for its turn.

    Returns:
        Whether one does.
    """
    position = book.positions[symbol]
    open_price, high, low, close = part_of(bars, parts, bars.offsets[symbol] + bar, position.part)
    if position.side != 0:
        see_price(position, open_price)
        reason, raw_price = exit_of(position, rules, open_price, open_price, open_price)
        if reason != 0:
            close_in_bar(book, rules, symbol, bar, raw_price, reason)
            return False
    if line_up(book, rules, symbol, bar, open_price, high, low, at_open=True):
        return True
    if position.side == 0:
        return bool(line_up(book, rules, symbol, bar, open_price, high, low, at_open=False))
    reason, raw_price = exit_of(position, rules, open_price, high, low)
    side, fill = first_fill(book, rules, symbol, open_price, high, low, at_open=False)
    if (
        side != 0
        and _order_comes_first(position.side, reason, raw_price, fill, open_price)
        and take_fill(book, rules, symbol, bar, side, fill, at_open=False)
    ):
        return True
    _meet_bar(book, rules, symbol, bar, open_price, high, low, close)
    return False


@compiled_within
def go_on_after_fill(book: Any, rules: Any, bars: Any, parts: Any, symbol: int, bar: int) -> None:
    """Takes a symbol to the end of the part of its bar in which an entry had its turn."""
    position = book.positions[symbol]
    if position.side == 0:
        return
    open_price, high, low, close = part_of(bars, parts, bars.offsets[symbol] + bar, position.part)
    if position.was_entered == 0 or position.fills_at_open != 0:
        _meet_bar(book, rules, symbol, bar, open_price, high, low, close)
    else:
        kind, fill = position.fill_kind, position.fill_price
        meet_rest(book, rules, symbol, bar, fill, kind, high, low, close)


@compiled_within
def enter(
    book: Any, rules: Any, wishes: Any, steps: Any, bars: Any, symbol: int, bar: int, equity: float
) -> bool:
    """Lets the entry that waits have its turn.

    Returns:
        Whether it took place.
    """
    position = book.positions[symbol]
    side, kind, raw_price = position.fill_side, position.fill_kind, position.fill_price
    ordered = bars.offsets[symbol] + position.fill_bar
    position.fill_side = 0
    if 0 < rules.max_positions <= book.state[0].positions and position.side == 0:
        skip_entry(book, symbol, 1)
        return False
    fill_price = raw_price if kind == LIMIT else raw_price * (1.0 + side * rules.slippage)
    stop_price, target_price = wish_at(wishes.stop_price, ordered), wish_at(wishes.target_price, ordered)
    stop_in_force = stop_price
    if np.isnan(stop_price) and position.side != 0 and position.has_own_stop != 0:
        stop_in_force = position.stop_level
    quantity, problem = entry_quantity(
        book, rules, side, fill_price, equity, stop_in_force, wish_at(wishes.size_frac, ordered)
    )
    if problem < 0 and not add_to_position(
        book, rules, steps, symbol, bar, side, quantity, raw_price, fill_price, stop_price, target_price
    ):
        problem = 0
    if problem >= 0:
        skip_entry(book, symbol, problem)
    return problem < 0


@compiled_within
def rank_entries(book: Any, wishes: Any, bars: Any, count: int) -> None:
    """Orders the symbols in the queue by the confidence of their entries, then by the request's order."""
    for first in range(1, count):
        symbol = book.queue[first]
        own = wishes.confidence[bars.offsets[symbol] + book.positions[symbol].fill_bar]
        place = first
        while place > 0:
            other = book.queue[place - 1]
            others = wishes.confidence[bars.offsets[other] + book.positions[other].fill_bar]
            if others > own or (others == own and book.ranks[other] < book.ranks[symbol]):
                break
            book.queue[place] = other
            place -= 1
        book.queue[place] = symbol
