"""What happens inside bars: positions meet their levels, and pending orders are filled.

Compiled into `account_kernel`.
"""

from __future__ import annotations

from typing import Any

from backtest_pipeline.engine.account_closing import close_in_bar, close_position, end_all
from backtest_pipeline.engine.account_entries import enter_all
from backtest_pipeline.engine.account_levels import (
    MARKET,
    STOP,
    exit_of,
    live_to_close,
    meet_bar,
    nearest_stop,
    see_price,
)
from backtest_pipeline.engine.account_orders import first_fill, line_up, take_fill
from backtest_pipeline.engine.account_worth import may_be_liquidated, measure_liquidation
from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.kernel import TAKE_PROFIT

LATEST = 2**63 - 1


@compiled_within
def parts_of(first: Any, place: int) -> int:
    """How many finer candles a bar has; without any, the bar itself is the one."""
    return max(1, int(first[place + 1] - first[place]))


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
    stop, reach, reason = nearest_stop(position, rules, True)
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
        reason, raw_price = live_to_close(position, rules, high, low, close)
        if reason != 0:
            close_in_bar(book, rules, symbol, bar, raw_price, reason)
    else:
        see_price(position, worst)
        see_price(position, close)


@compiled_within
def _meet_bar(
    book: Any, rules: Any, symbol: int, bar: int, open_price: float, high: float, low: float, close: float
) -> None:
    """Lets a position meet a whole bar and closes it where that ends it."""
    reason, raw_price = meet_bar(book.positions[symbol], rules, open_price, high, low, close)
    if reason != 0:
        close_in_bar(book, rules, symbol, bar, raw_price, reason)


@compiled_within
def _pass_part(book: Any, rules: Any, bars: Any, parts: Any, symbol: int, bar: int) -> bool:
    """Takes a symbol through the part of its bar that is next, or until an entry waits for its turn.

    Returns:
        Whether one does.
    """
    position = book.positions[symbol]
    open_price, high, low, close = part_of(bars, parts, bars.offsets[symbol] + bar, position.part)
    if position.side != 0:
        see_price(position, open_price)
        reason, raw_price = exit_of(position, rules, open_price, open_price, open_price, True)
        if reason != 0:
            close_in_bar(book, rules, symbol, bar, raw_price, reason)
            return False
    if line_up(book, rules, symbol, bar, open_price, high, low, at_open=True):
        return True
    if position.side == 0:
        return bool(line_up(book, rules, symbol, bar, open_price, high, low, at_open=False))
    reason, raw_price = exit_of(position, rules, open_price, high, low, True)
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
def _go_on_after_fill(book: Any, rules: Any, bars: Any, parts: Any, symbol: int, bar: int) -> None:
    """Takes a symbol to the end of the part of its bar in which an entry had its turn."""
    position = book.positions[symbol]
    if position.side == 0:
        return
    open_price, high, low, close = part_of(bars, parts, bars.offsets[symbol] + bar, position.part)
    if position.was_entered == 0 or position.fills_at_open != 0:
        see_price(position, open_price)
        _meet_bar(book, rules, symbol, bar, open_price, high, low, close)
    else:
        kind, fill = position.fill_kind, position.fill_price
        meet_rest(book, rules, symbol, bar, fill, kind, high, low, close)


@compiled_within
def _passing(book: Any, bars: Any, parts: Any, step: int) -> int:
    """Lists the symbols whose bars end in this step and to which something may happen before; how many."""
    positions, orders, next_bar, passing = book.positions, book.orders, book.next_bar, book.passing
    offsets, close_step = bars.offsets, bars.close_step
    pending, has_parts, count = book.state[0].pending, len(parts.first) > 0, 0
    for symbol in range(len(positions)):
        position = positions[symbol]
        if position.is_running != 0 and (
            position.side != 0
            or (pending > 0 and (orders[2 * symbol].kind != MARKET or orders[2 * symbol + 1].kind != MARKET))
        ):
            place = offsets[symbol] + next_bar[symbol] - 1
            if close_step[place] == step:
                position.part = 0
                position.parts = parts_of(parts.first, place) if has_parts else 1
                passing[count] = symbol
                count += 1
    return count


@compiled_within
def _next_moment(book: Any, bars: Any, parts: Any, count: int) -> int:
    """The earliest moment at which a part of the bars that pass opens; the symbols of that part go on."""
    positions, next_bar, passing = book.positions, book.next_bar, book.passing
    earliest, has_parts = LATEST, len(parts.first) > 0
    for turn in range(2):
        for place in range(count):
            symbol = passing[place]
            position = positions[symbol]
            if position.part >= position.parts:
                continue
            moment = position.opened_us
            if has_parts:
                bar_place = bars.offsets[symbol] + next_bar[symbol] - 1
                if is_fine(parts, bar_place):
                    moment = parts.moment_us[parts.first[bar_place] + position.part]
            if turn == 0:
                earliest = min(earliest, moment)
            elif moment == earliest:
                position.goes_on = 1
                if has_parts:
                    bar_place = bars.offsets[symbol] + next_bar[symbol] - 1
                    if is_fine(parts, bar_place):
                        position.mark = parts.open[parts.first[bar_place] + position.part]
    return earliest


@compiled_within
def _pass_parts(book: Any, rules: Any, bars: Any, parts: Any, count: int) -> int:
    """Takes the symbols that go on through a part of their bars; how many of them wait to enter."""
    positions, orders, next_bar, passing = book.positions, book.orders, book.next_bar, book.passing
    offsets, opens, highs, lows, closes = bars.offsets, bars.open, bars.high, bars.low, bars.close
    pending, has_parts, waiting = book.state[0].pending, len(parts.first) > 0, 0
    for place in range(count):
        symbol = passing[place]
        position = positions[symbol]
        if position.goes_on == 0:
            continue
        bar = next_bar[symbol] - 1
        if pending > 0 and (orders[2 * symbol].kind != MARKET or orders[2 * symbol + 1].kind != MARKET):
            if _pass_part(book, rules, bars, parts, symbol, bar):
                book.queue[waiting] = symbol
                waiting += 1
            continue
        if position.side == 0:  # ended by an earlier part of the bar
            continue
        own = offsets[symbol] + bar
        open_price, high, low, close = opens[own], highs[own], lows[own], closes[own]
        if has_parts:
            open_price, high, low, close = part_of(bars, parts, own, position.part)
        see_price(position, open_price)
        reason, raw_price = meet_bar(position, rules, open_price, high, low, close)
        if reason != 0:
            close_in_bar(book, rules, symbol, bar, raw_price, reason)
    return waiting


@compiled_within
def pass_bars(book: Any, rules: Any, signals: Any, steps: Any, bars: Any, parts: Any, step: int) -> None:
    """Takes all bars that end in this step through their insides, part by part, entries in turn."""
    state, passing = book.state[0], _passing(book, bars, parts, step)
    while passing > 0 and _next_moment(book, bars, parts, passing) < LATEST:
        if may_be_liquidated(state, rules):
            measure_liquidation(book, rules)
        count = _pass_parts(book, rules, bars, parts, passing)
        if state.is_liquidated == 0 and count > 0:
            enter_all(book, rules, signals, steps, bars, count)
            for place in range(count):
                symbol = book.queue[place]
                book.positions[symbol].goes_on = 2
        for place in range(passing):
            symbol = book.passing[place]
            position = book.positions[symbol]
            if position.goes_on == 2 and state.is_liquidated == 0:
                _go_on_after_fill(book, rules, bars, parts, symbol, book.next_bar[symbol] - 1)
            position.part += 1 if position.goes_on != 0 else 0
            position.goes_on = position.fill_side = 0
        if state.is_liquidated != 0:
            state.is_liquidated = 0
            end_all(book, rules, 1)
            end_all(book, rules, -1)
            return
