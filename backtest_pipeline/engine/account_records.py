"""What the kernel of one account and Python share: rules in, state between chunks, trades and changes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.records import SETTINGS, settings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.request import BacktestRequest

    Floats = NDArray[np.float64]

SKIPPED = ("cash", "slots", "stop", "volatility")
"""Why an entry is skipped, in the order of the kernel's counts."""

RULES = np.dtype(
    [
        *SETTINGS.descr,
        ("own_frac", "f8"),  # share of equity that an entry takes where the strategy does not say
        ("is_sized", "i8"),  # 1: an entry without a size of its own is skipped
        ("risk_frac", "f8"),  # 0: not sized by risk
        ("max_positions", "i8"),  # 0 is any number
        ("max_entries", "i8"),
        ("leverage", "f8"),
        ("margin", "f8"),  # equity over gross that liquidates; 0 is none
        ("borrow_rate", "f8"),  # a year
        ("good_for", "i8"),  # bars that a pending order lives
        ("fills_on_touch", "i8"),
        ("ignores_conflicts", "i8"),
        ("activation", "f8"),  # 0: the trailing stop is there from the entry
        ("pessimistic_trail", "i8"),
    ]
)

POSITION = np.dtype(
    [
        ("side", "i8"),  # 1 long, -1 short, 0 flat
        ("is_running", "i8"),  # 1: the newest bar has opened and not ended
        ("mark", "f8"),  # the newest price that exists
        ("quantity", "f8"),
        ("own_cash", "f8"),  # initial cash, and what this symbol alone has added since
        ("entry_order", "i8"),  # side of the entry due at the next open, 0 for none
        ("exit_order", "i8"),  # reason of the exit due at the next open, 0 for none
        ("opened_us", "i8"),  # when the newest bar has opened, microseconds since 1970
        ("entry_bar", "i8"),
        ("entries", "i8"),
        ("entry_price", "f8"),  # of all entries
        ("entry_fee", "f8"),  # and what was paid for interest and funding
        ("slippage_cost", "f8"),
        ("stop_level", "f8"),
        ("stop_reach", "f8"),  # the first price that counts as touching the level; as for the other two
        ("target_level", "f8"),
        ("target_reach", "f8"),
        ("has_own_stop", "i8"),  # 1: a price of the strategy, which replaces the request's fraction
        ("has_own_target", "i8"),  # as the stop, and no bars held change it
        ("liquidation_level", "f8"),
        ("liquidation_reach", "f8"),
        ("ends_alone", "i8"),  # 1: that price is the nearer one, and the maintenance margin does not matter
        ("covered_level", "f8"),  # of a short at leverage 1: the price up to which the cash buys it back
        ("highest", "f8"),  # best and worst price seen since entry
        ("lowest", "f8"),
        ("order_bar", "i8"),  # the bar that ordered it
        ("wanted_weight", "f8"),  # target weight that waits for the next open, NaN for none
        ("wanted_quantity", "f8"),  # that the weight asks for beside what there is
        ("part", "i8"),  # of the bar: the next of its finer candles to pass
        ("parts", "i8"),
        ("fill_side", "i8"),  # an entry that the bar fills, which waits for its turn; 0 for none
        ("fill_kind", "i8"),
        ("fill_price", "f8"),
        ("fill_bar", "i8"),
        ("fills_at_open", "i8"),
        ("was_entered", "i8"),  # 1: the entry whose turn it was took place
        ("interest_paid", "f8"),  # by this symbol's positions so far
        ("funding_paid", "f8"),
        ("goes_on", "i8"),  # 1: the rest of the bar is still to come
    ]
)
"""What is read at every bar comes first, in one line of a processor's cache."""

ORDER = np.dtype(
    [
        ("kind", "i8"),  # MARKET (nothing is pending), LIMIT, STOP
        ("price", "f8"),
        ("bar", "i8"),  # the bar that placed it
    ]
)

STATE = np.dtype(
    [
        ("cash", "f8"),
        ("trades", "i8"),  # written so far, as changes
        ("changes", "i8"),
        ("positions", "i8"),  # open ones
        ("shorts", "i8"),
        ("pending", "i8"),  # orders that wait for their price
        ("is_liquidated", "i8"),  # 1: a position met the price of the maintenance margin inside a bar
    ]
)

CHANGE = np.dtype([("symbol", "i8"), ("bar", "i8"), ("quantity", "f8"), ("price", "f8"), ("weight", "f8")])


def rules_of(request: BacktestRequest, max_hold_bars: int | None) -> NDArray[Any]:
    """The request's rules as the kernel's record, shape (1,)."""
    rules = np.zeros(1, dtype=RULES)
    simple = settings_of(request, max_hold_bars)
    for name in SETTINGS.names or ():
        rules[name] = simple[name]
    rules["own_frac"] = request.position_frac
    if request.sizing == "slots":
        rules["own_frac"] = 1.0 / (request.max_positions or 1)
    rules["is_sized"] = request.sizing == "volatility"
    rules["risk_frac"] = request.risk_frac or 0.0
    rules["max_positions"] = request.max_positions or 0
    rules["max_entries"] = request.max_entries
    rules["leverage"] = request.leverage
    rules["margin"] = request.maintenance_margin_frac or 0.0
    rules["borrow_rate"] = request.borrow_apr
    rules["good_for"] = request.good_for_bars
    rules["fills_on_touch"] = request.limit_fills_on_touch
    rules["ignores_conflicts"] = request.on_conflict == "ignore"
    rules["activation"] = request.trailing_activation_frac or 0.0
    rules["pessimistic_trail"] = request.same_bar_trail == "pessimistic"
    return rules


def steps_of_target(request: BacktestRequest) -> Floats:
    """`take_profit_steps`, shape (2 * m,): bars held and fraction in turn."""
    return np.array(request.take_profit_steps, dtype=np.float64).reshape(-1)
