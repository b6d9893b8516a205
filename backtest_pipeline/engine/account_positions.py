"""Positions of one account over many symbols: entered, added to, reduced, closed, liquidated.

The rules are those of `docs/execution-model.md`, in its order. Compiled into `account_kernel`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.kernel import (
    LIQUIDATION,
    STOP_LOSS,
    TAKE_PROFIT,
    TOLERANCE,
    TRAILING_STOP,
    _level,
)

NO_CASH, NO_SLOT, NO_STOP, NO_VOLATILITY = range(4)
MARKET, LIMIT, STOP = range(3)


@compiled_within
def worth_of(book: Any) -> tuple[float, float, float]:
    """Value of all positions at market prices, shorts negative; the same, shorts positive; that of shorts."""
    value = gross = shorts = 0.0
    if book.state[0].positions == 0:
        return value, gross, shorts
    for symbol in range(len(book.positions)):
        position = book.positions[symbol]
        if position.side != 0:
            held = position.quantity * position.mark
            value += position.side * held
            gross += held
            if position.side < 0:
                shorts += held
    return value, gross, shorts


@compiled_within
def _worth_of_others(book: Any, symbol: int) -> float:
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
    value, gross, shorts = worth_of(book)
    if rules.leverage == 1.0:
        room: float = book.state[0].cash - 2.0 * shorts
        return room
    leveraged: float = rules.leverage * (book.state[0].cash + value) - gross
    return leveraged


@compiled_within
def see_price(position: Any, price: float) -> None:
    """Lets the open position's best and worst price take notice of `price`."""
    position.highest = max(position.highest, price)
    position.lowest = min(position.lowest, price)


@compiled_within
def _note_change(book: Any, symbol: int, bar: int, price: float) -> None:
    """Writes a position as it stands after a fill at a raw price."""
    state, position = book.state[0], book.positions[symbol]
    quantity = position.side * position.quantity if position.side != 0 else 0.0
    mark, position.mark = position.mark, price
    value, _, _ = worth_of(book)
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
def trailing_level(position: Any, rules: Any) -> tuple[float, float]:
    """The trailing stop and the first price that reaches it; infinitely far where there is none yet."""
    side = position.side
    if rules.trailing_stop > 0.0:
        best = position.highest if side > 0 else position.lowest
        if rules.activation > 0.0:
            _, start = _level(position.entry_price, side * rules.activation)
            if (best < start) if side > 0 else (best > start):
                return -side * np.inf, -side * np.inf
        return _level(best, -side * rules.trailing_stop)
    return -side * np.inf, -side * np.inf


@compiled_within
def _set_target(position: Any, frac: float) -> None:
    """The target as a fraction of the entry price."""
    side = position.side
    position.target_level = position.entry_price * (1.0 + side * frac)
    if side > 0:
        position.target_reach = position.target_level * (1.0 - TOLERANCE)
    else:
        position.target_reach = position.entry_price * (1.0 - frac + TOLERANCE)


@compiled_within
def renew_target(position: Any, rules: Any, steps: Any, bar: int) -> None:
    """The target that counts at a bar: fractions may change with the bars held."""
    if position.has_own_target != 0:
        return
    frac = rules.take_profit if rules.take_profit > 0.0 else -1.0
    held = bar - position.entry_bar
    for place in range(0, len(steps), 2):
        if steps[place] <= held:
            frac = steps[place + 1]
    if frac >= 0.0:
        _set_target(position, frac)
    else:
        position.target_level = position.target_reach = position.side * np.inf


@compiled_within
def measure_liquidation(book: Any, rules: Any) -> None:
    """Renews every position's liquidation price, the others being worth their market prices."""
    state = book.state[0]
    if state.positions == 0 or (state.shorts == 0 and rules.margin == 0.0):
        return
    for symbol in range(len(book.positions)):
        if book.positions[symbol].side != 0:
            measure_own_liquidation(book, rules, symbol)


@compiled_within
def _set_liquidation(position: Any, level: float) -> None:
    position.liquidation_level = level
    position.liquidation_reach = level * (1.0 + position.side * TOLERANCE)


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
    if margin > 0.0 and side > 0:
        level = (margin * gross - state.cash - value) / (position.quantity * (1.0 - margin))
    elif margin > 0.0:
        own = (state.cash + value - margin * gross) / (position.quantity * (1.0 + margin))
        level = min(level, own)
    _set_liquidation(position, level)


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
def close_position(  # noqa: C901, PLR0912, PLR0915  every way to end a position
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
    leaves_nothing = False
    if is_covered and state.shorts > 1 and not np.isinf(position.liquidation_level):
        level = position.liquidation_level
        measure_own_liquidation(book, rules, symbol)
        if level < position.liquidation_level:
            _set_liquidation(position, level)
    if is_covered and (reason == LIQUIDATION or fill_price >= position.liquidation_reach):
        reason = LIQUIDATION
        is_capped = fill_price > position.liquidation_level * (1.0 + TOLERANCE)
        if is_capped:
            fill_price = position.liquidation_level
        raw_price = fill_price
        leaves_nothing = state.shorts == 1 and (rules.margin == 0.0 or is_capped)
    fee = quantity * fill_price * rules.fee_rate + rules.fee_fixed
    before_fee = state.cash + side * (quantity * fill_price)
    if (
        state.positions == 1
        and (rules.leverage > 1.0 or rules.margin > 0.0)
        and before_fee - fee < 0.0
        and not leaves_nothing
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
        if fee > before_fee or state.shorts > 0:
            left = before_fee + _worth_of_others(book, symbol)
            if rules.leverage == 1.0:
                left = min(left, before_fee)
            fee = min(fee, max(left, 0.0))
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
    _note_change(book, symbol, bar, raw_price)


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
    _note_change(book, symbol, bar, raw_price)


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
    steps = np.floor(quantity / step * (1.0 + TOLERANCE)) if step > 0.0 else 0.0
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
    book.skipped[4 * symbol + problem] += 1


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
    if side < 0 and rules.leverage == 1.0 and position.liquidation_reach <= raw_price:
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
    _set_levels(position, rules, steps, bar, stop_price, target_price)
    position.own_cash += -side * notional - fee
    _note_change(book, symbol, bar, raw_price)
    return True


@compiled_within
def _set_levels(
    position: Any, rules: Any, steps: Any, bar: int, stop_price: float, target_price: float
) -> None:
    side = position.side
    if not np.isnan(stop_price):
        position.has_own_stop = 1
        position.stop_level, position.stop_reach = stop_price, stop_price * (1.0 + side * TOLERANCE)
    elif rules.stop_loss > 0.0 and position.has_own_stop == 0:
        position.stop_level, position.stop_reach = _level(position.entry_price, -side * rules.stop_loss)
    if not np.isnan(target_price):
        position.has_own_target = 1
        position.target_level, position.target_reach = target_price, target_price * (1.0 - side * TOLERANCE)
    else:
        renew_target(position, rules, steps, bar)


@compiled_within
def exit_of(  # noqa: C901, PLR0911  both sides of one rule
    position: Any, rules: Any, open_price: float, high: float, low: float
) -> tuple[int, float]:
    """Finds the exit inside a bar that a position meets from its open on, stops before the target.

    Returns:
        Reason and raw price; reason 0 where the position lives through the bar.
    """
    side = position.side
    stop, reach, reason = position.stop_level, position.stop_reach, STOP_LOSS
    trailing, trailing_reach = trailing_level(position, rules)
    if (trailing - reach) * side > 0.0:
        stop, reach, reason = trailing, trailing_reach, TRAILING_STOP
    if (position.liquidation_level - reach) * side > 0.0:
        stop, reach, reason = position.liquidation_level, position.liquidation_reach, LIQUIDATION
    target, target_reach = position.target_level, position.target_reach
    if side > 0:
        if open_price <= reach:
            return reason, open_price
        if open_price >= target_reach:
            return TAKE_PROFIT, open_price
        if low <= reach:
            return reason, max(stop, low)
        if high >= target_reach:
            return TAKE_PROFIT, min(target, high)
        return 0, np.nan
    if open_price >= reach:
        return reason, open_price
    if open_price <= target_reach:
        return TAKE_PROFIT, open_price
    if high >= reach:
        return reason, min(stop, high)
    if low <= target_reach:
        return TAKE_PROFIT, max(target, low)
    return 0, np.nan


@compiled_within
def exit_at_own_extreme(position: Any, rules: Any, compared: float) -> tuple[int, float]:
    """Finds the exit at a trailing stop that a bar's best price, which was seen, has moved past a later one.

    That price is the bar's close, or where the worst is assumed its low (short: high).

    Returns:
        As `exit_of`.
    """
    if rules.trailing_stop > 0.0:
        stop, reach = trailing_level(position, rules)
        if position.side > 0 and compared <= reach:
            return TRAILING_STOP, max(stop, compared)
        if position.side < 0 and compared >= reach:
            return TRAILING_STOP, min(stop, compared)
    return 0, np.nan
