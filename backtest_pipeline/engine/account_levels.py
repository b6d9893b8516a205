"""Levels of a position: stops, targets, trailing stops, and the exits that they make.

They read and change one position alone. Compiled into `account_kernel`.
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

MARKET, LIMIT, STOP = range(3)


@compiled_within
def see_price(position: Any, price: float) -> None:
    """Lets the open position's best and worst price take notice of `price`."""
    position.highest = max(position.highest, price)
    position.lowest = min(position.lowest, price)


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
def set_levels(
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
def nearest_stop(position: Any, rules: Any, may_liquidate: bool) -> tuple[float, float, int]:
    """The nearest of stop, trailing stop and liquidation price, the first price to reach it, its reason.

    Args:
        position: an open one.
        rules: of the account.
        may_liquidate: whether the liquidation price is one of them; not where the whole account has just been
            asked whether it bears its positions.
    """
    side = position.side
    stop, reach, reason = position.stop_level, position.stop_reach, STOP_LOSS
    trailing, trailing_reach = trailing_level(position, rules)
    if (trailing - reach) * side > 0.0:
        stop, reach, reason = trailing, trailing_reach, TRAILING_STOP
    if may_liquidate and (position.liquidation_level - reach) * side > 0.0:
        stop, reach, reason = position.liquidation_level, position.liquidation_reach, LIQUIDATION
    return stop, reach, reason


@compiled_within
def exit_of(  # noqa: PLR0911  both sides of one rule
    position: Any, rules: Any, open_price: float, high: float, low: float, may_liquidate: bool
) -> tuple[int, float]:
    """Finds the exit inside a bar that a position meets from its open on, stops before the target.

    Returns:
        Reason and raw price; reason 0 where the position lives through the bar.
    """
    stop, reach, reason = nearest_stop(position, rules, may_liquidate)
    target, target_reach = position.target_level, position.target_reach
    if position.side > 0:
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


@compiled_within
def live_to_close(position: Any, rules: Any, high: float, low: float, close: float) -> tuple[int, float]:
    """Lets a position that no level has ended see the rest of a bar, whose best price moves its trail.

    Returns:
        As `exit_of`.
    """
    see_price(position, high if position.side > 0 else low)
    reason, raw_price = exit_at_own_extreme(position, rules, close)
    if reason == 0 and rules.pessimistic_trail != 0:
        reason, raw_price = exit_at_own_extreme(position, rules, low if position.side > 0 else high)
    if reason == 0:
        see_price(position, high)
        see_price(position, low)
    return reason, raw_price


@compiled_within
def meet_bar(
    position: Any, rules: Any, open_price: float, high: float, low: float, close: float
) -> tuple[int, float]:
    """Lets a position meet a whole bar, whose prices it sees as far as it lives.

    Returns:
        As `exit_of`; the caller closes the position.
    """
    reason, raw_price = exit_of(position, rules, open_price, high, low, True)
    if reason != 0:
        return reason, raw_price
    return live_to_close(position, rules, high, low, close)


@compiled_within
def slips_at(reason: int) -> bool:
    """Whether an exit is a market order."""
    return reason not in (TAKE_PROFIT, LIQUIDATION)
