"""How positions begin and grow: sizes, room and turns.

Compiled into `account_kernel`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.account_closing import note_change
from backtest_pipeline.engine.account_levels import LIMIT, set_levels
from backtest_pipeline.engine.account_worth import measure_own_liquidation, room_of, worth_of
from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.kernel import TOLERANCE

NO_CASH, NO_SLOT, NO_STOP, NO_VOLATILITY = range(4)
REASONS = 4


@compiled_within
def level_at(prices: Any, place: int) -> float:
    """One of a strategy's prices, NaN where it gave none at all."""
    return float(prices[place]) if len(prices) > 0 else np.nan


@compiled_within
def whole_steps(quantity: float, step: float) -> float:
    """A quantity rounded down to a whole number of steps."""
    if step > 0.0:
        return float(np.floor(quantity / step * (1.0 + TOLERANCE)) * step)
    return quantity


@compiled_within
def affordable(quantity: float, fill_price: float, room: float, rules: Any) -> float:
    """A quantity made smaller until its price and fees are not above the room; 0 where none is."""
    step, leverage = rules.quantity_step, rules.leverage
    steps = np.rint(quantity / step) if step > 0.0 else 0.0
    shrink = 2.0**-53
    while quantity > 0.0 and (
        quantity * fill_price + leverage * (quantity * fill_price * rules.fee_rate + rules.fee_fixed) > room
    ):
        if step > 0.0:
            steps = np.floor(steps - max(1.0, steps * shrink))
            quantity = steps * step
        else:
            quantity *= 1.0 - shrink
        shrink *= 2.0
    return max(quantity, 0.0)


@compiled_within
def _stop_of(rules: Any, side: int, fill_price: float, stop_price: float) -> float:
    """The stop that a position entered at `fill_price` would have, NaN for none."""
    if not np.isnan(stop_price):
        return stop_price
    stop: float = np.nan
    if rules.stop_loss > 0.0:
        stop = fill_price * (1.0 - side * rules.stop_loss)
    return stop


@compiled_within
def _wanted(
    rules: Any, side: int, fill_price: float, equity: float, stop_price: float, size_frac: float
) -> tuple[float, int]:
    """The quantity that an entry is to have, and why there is none, or -1."""
    if rules.risk_frac > 0.0 and np.isnan(size_frac):
        stop = _stop_of(rules, side, fill_price, stop_price)
        if np.isnan(stop):
            return 0.0, NO_STOP
        exit_price = stop * (1.0 - side * rules.slippage)
        loss = side * (fill_price - exit_price) + rules.fee_rate * (fill_price + exit_price)
        if loss <= 0.0:
            return 0.0, NO_STOP
        return (equity * rules.risk_frac - 2.0 * rules.fee_fixed) / loss, -1
    frac = size_frac
    if np.isnan(frac):
        if rules.is_sized != 0:
            return 0.0, NO_VOLATILITY
        frac = rules.own_frac
    return (equity * frac - rules.fee_fixed) / (fill_price * (1.0 + rules.fee_rate)), -1


@compiled_within
def entry_quantity(
    book: Any, rules: Any, side: int, fill_price: float, equity: float, stop_price: float, size_frac: float
) -> tuple[float, int]:
    """Units that an entry gets, and why there are none, or -1."""
    room = room_of(book, rules)
    if room <= TOLERANCE * equity:
        return 0.0, NO_CASH
    quantity, problem = _wanted(rules, side, fill_price, equity, stop_price, size_frac)
    if problem >= 0:
        return 0.0, problem
    leverage = rules.leverage
    most = (room - leverage * rules.fee_fixed) / (fill_price * (1.0 + leverage * rules.fee_rate))
    is_cut = quantity > most
    if is_cut:
        quantity = most
    quantity = whole_steps(quantity, rules.quantity_step)
    if not (0.0 < quantity < np.inf):
        return 0.0, NO_CASH
    if side > 0 or is_cut:
        quantity = affordable(quantity, fill_price, room, rules)
    return quantity, -1 if quantity > 0.0 else NO_CASH


@compiled_within
def skip_entry(book: Any, symbol: int, problem: int) -> None:
    """Counts an entry that does not take place."""
    book.skipped[REASONS * symbol + problem] += 1


@compiled_within
def add_to_position(
    book: Any,
    rules: Any,
    steps: Any,
    symbol: int,
    bar: int,
    side: int,
    quantity: float,
    raw_price: float,
    fill_price: float,
    stop_price: float,
    target_price: float,
) -> bool:
    """Opens a position, or adds to the one there is.

    Returns:
        Whether it was done; a short is not opened whose liquidation price would not lie above the market.
    """
    position, state = book.positions[symbol], book.state[0]
    notional = quantity * fill_price
    fee = notional * rules.fee_rate + rules.fee_fixed
    is_new = position.side == 0
    cash, former = state.cash, 0.0
    if is_new:
        position.side = side
        position.quantity = quantity
        state.positions += 1
        if side < 0:
            state.shorts += 1
    else:
        former, position.quantity = position.quantity, position.quantity + quantity
    if side > 0:
        state.cash = cash - (notional + fee)
    else:
        state.cash = cash + (notional - fee)
    measure_own_liquidation(book, rules, symbol)
    if side < 0 and rules.leverage == 1.0 and position.covered_level * (1.0 - TOLERANCE) <= raw_price:
        state.cash = cash
        if is_new:
            position.side = 0
            position.quantity = 0.0
            state.positions -= 1
            state.shorts -= 1
        else:
            position.quantity = former
            measure_own_liquidation(book, rules, symbol)
        return False
    slippage = abs(fill_price - raw_price) * quantity
    if is_new:
        position.entry_bar = bar
        position.entries = 1
        position.entry_price = fill_price
        position.entry_fee = fee
        position.slippage_cost = slippage
        position.stop_level = position.stop_reach = -side * np.inf
        position.target_level = position.target_reach = side * np.inf
        position.has_own_stop = position.has_own_target = 0
        position.highest = position.lowest = fill_price
    else:
        position.entries += 1
        position.entry_price = (former * position.entry_price + quantity * fill_price) / (former + quantity)
        position.entry_fee += fee
        position.slippage_cost += slippage
    set_levels(position, rules, steps, bar, stop_price, target_price)
    position.own_cash += -side * notional - fee
    position.mark = raw_price
    note_change(book, symbol, bar, raw_price)
    return True


@compiled_within
def enter(
    book: Any, rules: Any, signals: Any, steps: Any, bars: Any, symbol: int, bar: int, equity: float
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
        skip_entry(book, symbol, NO_SLOT)
        return False
    fill_price = raw_price if kind == LIMIT else raw_price * (1.0 + side * rules.slippage)
    stop_price, target_price = level_at(signals.stop_price, ordered), level_at(signals.target_price, ordered)
    stop_in_force = stop_price
    if np.isnan(stop_price) and position.side != 0 and position.has_own_stop != 0:
        stop_in_force = position.stop_level
    quantity, problem = entry_quantity(
        book, rules, side, fill_price, equity, stop_in_force, level_at(signals.size_frac, ordered)
    )
    if problem < 0 and not add_to_position(
        book, rules, steps, symbol, bar, side, quantity, raw_price, fill_price, stop_price, target_price
    ):
        problem = NO_CASH
    if problem >= 0:
        skip_entry(book, symbol, problem)
    return problem < 0


@compiled_within
def rank_entries(book: Any, signals: Any, bars: Any, count: int) -> None:
    """Orders the symbols in the queue by the confidence of their entries, then by the request's order."""
    for first in range(1, count):
        symbol = book.queue[first]
        own = signals.confidence[bars.offsets[symbol] + book.positions[symbol].fill_bar]
        place = first
        while place > 0:
            other = book.queue[place - 1]
            others = signals.confidence[bars.offsets[other] + book.positions[other].fill_bar]
            if others > own or (others == own and book.ranks[other] < book.ranks[symbol]):
                break
            book.queue[place] = other
            place -= 1
        book.queue[place] = symbol


@compiled_within
def enter_all(book: Any, rules: Any, signals: Any, steps: Any, bars: Any, count: int) -> None:
    """Lets the entries of the symbols in the queue have their turns."""
    if count == 0:
        return
    rank_entries(book, signals, bars, count)
    value, _, _ = worth_of(book.state, book.positions)
    equity = book.state[0].cash + value
    for place in range(count):
        symbol = book.queue[place]
        entered = enter(book, rules, signals, steps, bars, symbol, book.next_bar[symbol] - 1, equity)
        book.positions[symbol].was_entered = entered
