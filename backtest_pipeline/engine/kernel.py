"""The simulation of one account: orders at the open, stops inside the bar, decisions at the close.

Everything that the bar loop calls stands in this file: Numba renews a cached kernel when the kernel's own
file changes, and only then.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from backtest_pipeline.engine.compiled import (
    AccountOut,
    FlagsIn,
    FloatsIn,
    FloatsOut,
    SettingsIn,
    TradesOut,
    compiled,
    types,
)

EXIT_REASONS = (
    "signal",
    "stop_loss",
    "take_profit",
    "trailing_stop",
    "max_hold",
    "liquidation",
    "end_of_data",
)
SIGNAL, STOP_LOSS, TAKE_PROFIT, TRAILING_STOP, MAX_HOLD, LIQUIDATION, END_OF_DATA = range(1, 8)

# What decimal fractions make equal differs by a few steps of 2^-53 in binary ones, a ten-thousandth of this
# share: 0.3 / 0.1 is three whole steps, and a high of 110 reaches the target 10 % above 100.
TOLERANCE = 1e-12


@compiled()
def _affordable_quantity(cash: float, fill_price: float, is_long: bool, settings: Any) -> float:
    """Units that `position_frac` of the cash pays for, fees included; never more than all the cash does.

    Returns:
        Zero where the cash buys nothing.
    """
    fee_rate, fee_fixed, step = settings.fee_rate, settings.fee_fixed, settings.quantity_step
    quantity: float = (cash * settings.position_frac - fee_fixed) / (fill_price * (1.0 + fee_rate))
    steps = 0.0
    if step > 0.0:
        steps = np.floor(quantity / step * (1.0 + TOLERANCE))
        quantity = steps * step
    if not (0.0 < quantity < np.inf):
        return 0.0
    if not is_long:
        return quantity
    shrink = 2.0**-53
    while quantity * fill_price + (quantity * fill_price * fee_rate + fee_fixed) > cash:
        if step > 0.0:
            steps = np.floor(steps - max(1.0, steps * shrink))
            quantity = steps * step
        else:
            quantity *= 1.0 - shrink
        shrink *= 2.0
    return max(quantity, 0.0)


@compiled()
def _level(price: float, change_frac: float) -> tuple[float, float]:
    """A level above or below a price, and the first price on the way there that counts as reaching it.

    The tolerance is a share of the higher one of level and price, as rounding is.
    """
    level = price * (1.0 + change_frac)
    if change_frac < 0.0:
        return level, price * (1.0 + change_frac + TOLERANCE)
    return level, level * (1.0 - TOLERANCE)


@compiled()
def _open_position(account: Any, settings: Any, bar: int, raw_price: float, side: int) -> None:
    """Enters the market at `raw_price` plus slippage, or counts the entry as skipped for lack of cash.

    A short is skipped as well where its liquidation price would not lie above the market.
    """
    fill_price = raw_price * (1.0 + side * settings.slippage)
    quantity = _affordable_quantity(account.cash, fill_price, side > 0, settings)
    if quantity <= 0.0:
        account.skipped_entries += 1
        return
    notional = quantity * fill_price
    fee = notional * settings.fee_rate + settings.fee_fixed
    if side > 0:
        cash = account.cash - (notional + fee)
        liquidation = np.inf
    else:
        cash = account.cash + (notional - fee)
        liquidation = (cash - settings.fee_fixed) / (quantity * (1.0 + settings.fee_rate))
        if liquidation * (1.0 - TOLERANCE) <= raw_price:
            account.skipped_entries += 1
            return
    account.cash = cash
    account.side = side
    account.quantity = quantity
    account.entry_bar = bar
    account.entry_price = fill_price
    account.entry_fee = fee
    account.slippage_cost = abs(fill_price - raw_price) * quantity
    account.stop_level = account.stop_reach = -side * np.inf
    if settings.stop_loss > 0.0:
        account.stop_level, account.stop_reach = _level(fill_price, -side * settings.stop_loss)
    account.target_level = account.target_reach = side * np.inf
    if settings.take_profit > 0.0:
        account.target_level, account.target_reach = _level(fill_price, side * settings.take_profit)
    account.liquidation_level, account.liquidation_reach = liquidation, liquidation * (1.0 - TOLERANCE)
    account.highest = fill_price
    account.lowest = fill_price


@compiled()
def _see_price(account: Any, price: float) -> None:
    """Lets the open position's best and worst price take notice of `price`."""
    account.highest = max(account.highest, price)
    account.lowest = min(account.lowest, price)


@compiled()
def _write_trade(account: Any, trade: Any, bar: int, exit_price: float, fees: float, reason: int) -> None:
    """Records the account's position as a trade that ended at `bar`."""
    side, quantity, entry_price = account.side, account.quantity, account.entry_price
    pnl = side * (exit_price - entry_price) * quantity - fees
    adverse = entry_price - account.lowest if side > 0 else account.highest - entry_price
    favourable = account.highest - entry_price if side > 0 else entry_price - account.lowest
    trade.side = side
    trade.reason = reason
    trade.entry_bar = account.entry_bar
    trade.exit_bar = bar
    trade.quantity = quantity
    trade.entry_price = entry_price
    trade.exit_price = exit_price
    trade.fees = fees
    trade.slippage_cost = account.slippage_cost
    trade.pnl = pnl
    trade.return_frac = pnl / (entry_price * quantity)
    trade.mae_frac = adverse / entry_price
    trade.mfe_frac = favourable / entry_price


@compiled()
def _close_position(account: Any, settings: Any, trade: Any, bar: int, raw_price: float, reason: int) -> None:
    """Leaves the market at `raw_price`, with slippage unless a limit order or a liquidation does it.

    A short that would be bought back beyond its liquidation price is bought back at that price.
    """
    side, quantity = account.side, account.quantity
    fill_price = raw_price
    if reason not in {TAKE_PROFIT, LIQUIDATION}:
        fill_price = raw_price * (1.0 - side * settings.slippage)
    if reason == LIQUIDATION or fill_price >= account.liquidation_reach:
        reason = LIQUIDATION
        if fill_price > account.liquidation_level * (1.0 + TOLERANCE):
            fill_price = account.liquidation_level
        raw_price = fill_price
    fee = quantity * fill_price * settings.fee_rate + settings.fee_fixed
    if reason == LIQUIDATION:
        account.cash = 0.0
    else:
        before_fee = account.cash + side * (quantity * fill_price)
        fee = min(fee, before_fee)
        account.cash = before_fee - fee
    account.slippage_cost += abs(fill_price - raw_price) * quantity
    _see_price(account, fill_price)
    _write_trade(account, trade, bar, fill_price, account.entry_fee + fee, reason)
    account.side = 0


@compiled()
def _long_exit(account: Any, settings: Any, open_price: float, high: float, low: float) -> tuple[int, float]:
    stop, reach, reason = account.stop_level, account.stop_reach, STOP_LOSS
    if settings.trailing_stop > 0.0:
        trailing, trailing_reach = _level(account.highest, -settings.trailing_stop)
        if trailing > reach:
            stop, reach, reason = trailing, trailing_reach, TRAILING_STOP
    if open_price <= reach:
        return reason, open_price
    if open_price >= account.target_reach:
        return TAKE_PROFIT, open_price
    if low <= reach:
        return reason, max(stop, low)
    if high >= account.target_reach:
        return TAKE_PROFIT, min(account.target_level, high)
    return 0, np.nan


@compiled()
def _short_exit(account: Any, settings: Any, open_price: float, high: float, low: float) -> tuple[int, float]:
    stop, reach, reason = account.stop_level, account.stop_reach, STOP_LOSS
    if settings.trailing_stop > 0.0:
        trailing, trailing_reach = _level(account.lowest, settings.trailing_stop)
        if trailing < reach:
            stop, reach, reason = trailing, trailing_reach, TRAILING_STOP
    if account.liquidation_level < reach:
        stop, reach, reason = account.liquidation_level, account.liquidation_reach, LIQUIDATION
    if open_price >= reach:
        return reason, open_price
    if open_price <= account.target_reach:
        return TAKE_PROFIT, open_price
    if high >= reach:
        return reason, min(stop, high)
    if low <= account.target_reach:
        return TAKE_PROFIT, max(account.target_level, low)
    return 0, np.nan


@compiled()
def _intrabar_exit(
    account: Any, settings: Any, open_price: float, high: float, low: float
) -> tuple[int, float]:
    """Finds the exit inside a bar, stops before the target where the bar touches both.

    Returns:
        Reason and raw price; reason 0 where the position lives through the bar.
    """
    if account.side > 0:
        return _long_exit(account, settings, open_price, high, low)
    return _short_exit(account, settings, open_price, high, low)


@compiled()
def _exit_before_close(account: Any, settings: Any, close: float) -> tuple[int, float]:
    """Finds the exit at a trailing stop that a bar's best price, which was seen, has moved past its close.

    The close comes after the best price, so the stop was touched on the way.

    Returns:
        As `_intrabar_exit`.
    """
    if settings.trailing_stop > 0.0:
        if account.side > 0:
            stop, reach = _level(account.highest, -settings.trailing_stop)
            if close <= reach:
                return TRAILING_STOP, max(stop, close)
        else:
            stop, reach = _level(account.lowest, settings.trailing_stop)
            if close >= reach:
                return TRAILING_STOP, min(stop, close)
    return 0, np.nan


@compiled()
def _decide(
    account: Any, settings: Any, bar: int, go_long: bool, leave_long: bool, go_short: bool, leave_short: bool
) -> tuple[int, int]:
    """What the signals at a bar's close ask for: reason to exit (or 0) and side to enter (or 0)."""
    side = account.side
    if side == 0:
        if go_long == go_short:
            return 0, 0
        return 0, 1 if go_long else -1
    turn = go_short if side > 0 else go_long
    leave = leave_long if side > 0 else leave_short
    if leave or turn:
        return SIGNAL, -side if turn else 0
    held = bar - account.entry_bar + (0 if settings.at_close else 1)
    if 0 < settings.max_hold <= held:
        return MAX_HOLD, 0
    return 0, 0


@compiled()
def _quiet_until(
    account: Any, settings: Any, bar: int, stop: int, high: Any, low: Any, leave: Any, turn: Any
) -> int:
    """Passes over bars in which nothing can happen to a position, which sees their prices.

    A trailing stop is as near as the bar's own best price could bring it, whatever came first.

    Returns:
        The first bar, from `bar` on, that needs a closer look, or `stop`.
    """
    is_long = account.side > 0
    if settings.max_hold > 0:
        stop = min(stop, account.entry_bar + settings.max_hold - (0 if settings.at_close else 1))
    lower, upper = account.stop_reach, account.target_reach
    if not is_long:
        lower, upper = account.target_reach, min(account.stop_reach, account.liquidation_reach)
    trailing, highest, lowest = settings.trailing_stop, account.highest, account.lowest
    place = np.uintp(bar)  # Numba looks twice at an index that may be negative
    while place < np.uintp(stop):
        peak, bottom = max(highest, high[place]), min(lowest, low[place])
        if trailing > 0.0 and is_long:
            lower = max(lower, _level(peak, -trailing)[1])
        elif trailing > 0.0:
            upper = min(upper, _level(bottom, trailing)[1])
        if leave[place] or turn[place] or low[place] <= lower or high[place] >= upper:
            break
        highest, lowest = peak, bottom
        place += np.uintp(1)
    account.highest, account.lowest = highest, lowest
    return int(np.int64(place))


@compiled()
def _silent_until(bar: int, stop: int, entry: Any, short_entry: Any) -> int:
    """The first bar, from `bar` on, with a signal to enter, or `stop`."""
    place = np.uintp(bar)
    while place < np.uintp(stop) and not (entry[place] or short_entry[place]):
        place += np.uintp(1)
    return int(np.int64(place))


@compiled()
def _mark(account: Any, start: int, stop: int, close: Any, equity: Any, cash: Any, gross: Any) -> None:
    """Writes the account's worth at the closes of bars between which it does not change."""
    held, side = account.cash, float(account.side)
    quantity = account.quantity if side != 0.0 else 0.0
    for bar in range(np.uintp(start), np.uintp(stop)):
        value = quantity * close[bar]
        cash[bar] = held
        gross[bar] = value
        equity[bar] = held + side * value


@compiled(
    types.int64(
        AccountOut,
        SettingsIn,
        types.int64,
        types.int64,
        *[FloatsIn] * 4,
        *[FlagsIn] * 4,
        *[FloatsOut] * 3,
        TradesOut,
    )
)
def simulate(  # noqa: C901, PLR0912  the order of events in a bar, in one place
    accounts: Any,
    all_settings: Any,
    start: int,
    stop: int,
    open_price: Any,
    high: Any,
    low: Any,
    close: Any,
    entry: Any,
    exit_: Any,
    short_entry: Any,
    short_exit: Any,
    equity: Any,
    cash: Any,
    gross: Any,
    trades: Any,
) -> int:
    """Runs one account through the bars `start` to `stop` (excluded).

    The account's record carries everything from chunk to chunk, so the chunks' sizes change no digit.

    Args:
        accounts: shape (1,), the account's state, updated.
        all_settings: shape (1,).
        start: first bar.
        stop: bar after the last.
        open_price: shape (n,), as `high`, `low` and `close`.
        high: highest prices.
        low: lowest prices.
        close: last prices.
        entry: shape (n,), signals to enter long; as the other three.
        exit_: signals to leave long.
        short_entry: signals to enter short.
        short_exit: signals to leave short.
        equity: shape (n,), written for the bars; at the close, in quote currency.
        cash: as `equity`.
        gross: as `equity`: quantity times close, positive for shorts as well.
        trades: shape (m,) with m > stop - start, written from the front.

    Returns:
        Number of trades that ended in these bars.
    """
    account, settings = accounts[0], all_settings[0]
    at_close = settings.at_close != 0
    allow_long, allow_short = settings.allow_long != 0, settings.allow_short != 0
    ended = 0
    bar = start
    while bar < stop:
        if account.exit_order != 0:
            _see_price(account, open_price[bar])
            _close_position(account, settings, trades[ended], bar, open_price[bar], account.exit_order)
            account.exit_order = 0
            ended += 1
        if account.entry_order != 0:
            _open_position(account, settings, bar, open_price[bar], account.entry_order)
            account.entry_order = 0

        if account.side != 0:
            _see_price(account, open_price[bar])
            reason, raw_price = _intrabar_exit(account, settings, open_price[bar], high[bar], low[bar])
            if reason == 0:
                _see_price(account, high[bar] if account.side > 0 else low[bar])
                reason, raw_price = _exit_before_close(account, settings, close[bar])
            if reason != 0:
                _close_position(account, settings, trades[ended], bar, raw_price, reason)
                ended += 1
            else:
                _see_price(account, high[bar])
                _see_price(account, low[bar])

        exit_order, entry_order = _decide(
            account,
            settings,
            bar,
            allow_long and entry[bar],
            exit_[bar],
            allow_short and short_entry[bar],
            short_exit[bar],
        )
        if at_close:
            if exit_order != 0:
                _close_position(account, settings, trades[ended], bar, close[bar], exit_order)
                ended += 1
            if entry_order != 0:
                _open_position(account, settings, bar, close[bar], entry_order)
        else:
            account.exit_order, account.entry_order = exit_order, entry_order

        following = bar + 1
        if account.exit_order == 0 and account.entry_order == 0:
            if account.side > 0:
                following = _quiet_until(account, settings, following, stop, high, low, exit_, short_entry)
            elif account.side < 0:
                following = _quiet_until(account, settings, following, stop, high, low, short_exit, entry)
            else:
                following = _silent_until(following, stop, entry, short_entry)
        _mark(account, bar, following, close, equity, cash, gross)
        bar = following
    return ended


@compiled(types.int64(AccountOut, types.int64, types.float64, TradesOut))
def mark_open_position(accounts: Any, bar: int, close: float, trades: Any) -> int:
    """Lists a position that the data's last bar leaves open, at the last close and without an exit fee.

    Returns:
        1 where there was a position, otherwise 0.
    """
    account = accounts[0]
    if account.side == 0:
        return 0
    _write_trade(account, trades[0], bar, close, account.entry_fee, END_OF_DATA)
    return 1
