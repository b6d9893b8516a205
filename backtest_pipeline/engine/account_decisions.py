"""What the signals at a bar's close ask for: orders for the next open, and pending ones.

Compiled into `account_kernel`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.account_entries import level_at
from backtest_pipeline.engine.account_orders import drop_order, place_order
from backtest_pipeline.engine.compiled import compiled_within
from backtest_pipeline.engine.kernel import MAX_HOLD, SIGNAL


@compiled_within
def decide(  # noqa: C901, PLR0912  what signals ask for, in one place
    book: Any, rules: Any, signals: Any, bars: Any, symbol: int, bar: int
) -> None:
    """What the signals at a bar's close ask for: orders for the next open, and pending ones."""
    position, place = book.positions[symbol], bars.offsets[symbol] + bar
    long_order, short_order = book.orders[2 * symbol], book.orders[2 * symbol + 1]
    entry, short_entry = signals.entry[place], signals.short_entry[place]
    leave_long, leave_short = signals.exit[place], signals.short_exit[place]
    if rules.ignores_conflicts != 0:
        if entry and leave_long:
            entry = leave_long = False
        if short_entry and leave_short:
            short_entry = leave_short = False
    go_long, go_short = rules.allow_long != 0 and entry, rules.allow_short != 0 and short_entry
    state = book.state[0]
    if leave_long or bar >= long_order.bar + rules.good_for:
        drop_order(state, long_order)
    if leave_short or bar >= short_order.bar + rules.good_for:
        drop_order(state, short_order)
    held = bar - position.entry_bar + (0 if rules.at_close != 0 else 1)
    is_held_out = position.side != 0 and 0 < rules.max_hold <= held
    if not (go_long or go_short or is_held_out or (leave_long if position.side > 0 else leave_short)):
        return
    long_limit, long_stop = level_at(signals.entry_limit, place), level_at(signals.entry_stop, place)
    short_limit = level_at(signals.short_entry_limit, place)
    short_stop = level_at(signals.short_entry_stop, place)
    long_waits = not (np.isnan(long_limit) and np.isnan(long_stop))
    short_waits = not (np.isnan(short_limit) and np.isnan(short_stop))
    side = position.side
    if side != 0:
        leaves = leave_long if side > 0 else leave_short
        turns = (go_short and not short_waits) if side > 0 else (go_long and not long_waits)
        if leaves or turns:
            position.exit_order = SIGNAL
        elif is_held_out:
            position.exit_order = MAX_HOLD
        adds = position.exit_order == 0 and position.entries < rules.max_entries
        go_long, go_short = go_long and (side < 0 or adds), go_short and (side > 0 or adds)
    if go_long and go_short and not (long_waits and short_waits):
        go_long = go_short = False
    if go_long:
        drop_order(state, long_order)
        if long_waits:
            place_order(state, long_order, long_limit, long_stop, bar)
        else:
            position.entry_order, position.order_bar = 1, bar
    if go_short:
        drop_order(state, short_order)
        if short_waits:
            place_order(state, short_order, short_limit, short_stop, bar)
        else:
            position.entry_order, position.order_bar = -1, bar
