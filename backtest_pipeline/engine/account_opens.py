"""What happens at the open: what is due is paid, positions end, and others begin.

Compiled into `account_kernel`.
"""

from __future__ import annotations

from typing import Any

from backtest_pipeline.engine.account_closing import close_position, liquidate
from backtest_pipeline.engine.account_entries import enter_all
from backtest_pipeline.engine.account_financing import pay_funding
from backtest_pipeline.engine.account_levels import (
    MARKET,
    STOP,
    exit_of,
    renew_target,
    see_price,
    slips_at,
)
from backtest_pipeline.engine.account_orders import first_fill, line_up
from backtest_pipeline.engine.account_rebalancing import rebalance
from backtest_pipeline.engine.account_worth import may_be_liquidated
from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.kernel import SIGNAL


@compiled_within
def line_up_at_open(book: Any, rules: Any, symbol: int, bar: int) -> bool:
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
def _turn_at_open(book: Any, rules: Any, symbol: int, bar: int) -> None:
    """Closes a position at an open that fills a pending order of the other side, which comes after it."""
    position = book.positions[symbol]
    mark = position.mark
    side, fill = first_fill(book, rules, symbol, mark, mark, mark, at_open=True)
    if side == -position.side:
        order = book.orders[2 * symbol + (0 if side > 0 else 1)]
        close_position(book, rules, symbol, bar, fill, SIGNAL, order.kind == STOP)


@compiled_within
def open_bars(  # noqa: C901, PLR0912  the order of an open, in one place
    book: Any, rules: Any, signals: Any, steps: Any, targets: Any, bars: Any, opening: Any, count: int
) -> None:
    """What happens at the open of the symbols that open in this step, whose market prices it is."""
    positions, next_bar = book.positions, book.next_bar
    state, lined_up = book.state[0], 0
    may_enter = state.pending > 0
    if len(bars.funding_before) > 0:
        pay_funding(book, rules, bars, bars.funding_before, opening, count)
    if may_be_liquidated(state, rules):
        liquidate(book, rules)
    for place in range(count):
        symbol = opening[place]
        position = positions[symbol]
        may_enter = may_enter or position.entry_order != 0
        if position.side == 0:
            continue
        open_price, bar = position.mark, next_bar[symbol] - 1
        if position.exit_order != 0:
            close_position(book, rules, symbol, bar, open_price, position.exit_order, True)
            continue
        if len(steps) > 0:
            renew_target(position, rules, steps, bar)
        reason, raw_price = exit_of(position, rules, open_price, open_price, open_price, False)
        if reason != 0:
            close_position(book, rules, symbol, bar, raw_price, reason, slips_at(reason))
        elif state.pending > 0 and position.entry_order == 0:
            _turn_at_open(book, rules, symbol, bar)
    if may_enter:
        for place in range(count):
            symbol = opening[place]
            if line_up_at_open(book, rules, symbol, next_bar[symbol] - 1):
                book.queue[lined_up] = symbol
                lined_up += 1
        enter_all(book, rules, signals, steps, bars, lined_up)
    if len(targets.step) > 0 and rules.at_close == 0:
        rebalance(book, rules, steps, targets, opening, count)
        may_enter = True
    if may_enter:
        for place in range(count):
            symbol = opening[place]
            position = positions[symbol]
            if position.side != 0:
                see_price(position, position.mark)
    if len(bars.funding_within) > 0:
        pay_funding(book, rules, bars, bars.funding_within, opening, count)
