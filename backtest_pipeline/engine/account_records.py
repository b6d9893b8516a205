"""What the kernel of one account and Python share: rules in, state between chunks, trades and changes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numba
import numpy as np

from backtest_pipeline.engine.compiled import FlagsIn, FloatsIn, FloatsOut, IntsIn, IntsOut, TradesOut, types
from backtest_pipeline.engine.records import SETTINGS, settings_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.request import BacktestRequest

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

Arrays = TypeVar("Arrays", bound=tuple[Any, ...])

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
        ("quantity", "f8"),
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
        ("highest", "f8"),  # best and worst price seen since entry
        ("lowest", "f8"),
        ("exit_order", "i8"),  # reason of the exit due at the next open, 0 for none
        ("entry_order", "i8"),  # side of the entry due at the next open, 0 for none
        ("order_bar", "i8"),  # the bar that ordered it
        ("wanted_weight", "f8"),  # target weight that waits for the next open, NaN for none
        ("wanted_quantity", "f8"),  # that the weight asks for beside what there is
        ("mark", "f8"),  # the newest price that exists
        ("own_cash", "f8"),  # initial cash, and what this symbol alone has added since
        ("is_running", "i8"),  # 1: the newest bar has opened and not ended
        ("opened_us", "i8"),  # when the newest bar has opened, microseconds since 1970
        ("part", "i8"),  # of the bar: the next of its finer candles to pass
        ("parts", "i8"),
        ("fill_side", "i8"),  # an entry that the bar fills, which waits for its turn; 0 for none
        ("fill_kind", "i8"),
        ("fill_price", "f8"),
        ("fill_bar", "i8"),
        ("fills_at_open", "i8"),
        ("was_entered", "i8"),  # 1: the entry whose turn it was took place
        ("goes_on", "i8"),  # 1: the rest of the bar is still to come
    ]
)

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
        ("is_liquidated", "i8"),  # 1: a position met the price of the maintenance margin inside a bar
    ]
)

CHANGE = np.dtype([("symbol", "i8"), ("bar", "i8"), ("quantity", "f8"), ("price", "f8"), ("weight", "f8")])


class Bars(NamedTuple):
    """Candles of k symbols, one after another.

    Attributes:
        offsets: shape (k + 1,), where each symbol's bars begin.
        open, high, low, close: shape (bars,).
        open_step, close_step: shape (bars,), the steps in which each bar opens and ends.
        funding_before: shape (bars,) or empty, the rates due between the end of the bar before and the open.
        funding_within: shape (bars,) or empty, those due inside the bar.
    """

    offsets: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    open_step: NDArray[np.int32]
    close_step: NDArray[np.int32]
    funding_before: Floats
    funding_within: Floats


class Parts(NamedTuple):
    """Finer candles, which decide what came first inside a bar.

    Attributes:
        first: shape (bars + 1,), where those of each bar begin; empty where there are none at all.
        moment_us: shape (finer candles,), when they open.
        open, high, low, close: shape (finer candles,).
    """

    first: Ints
    moment_us: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats


class Wishes(NamedTuple):
    """Signals of k symbols, one after another: shape (bars,), or empty where nobody gave any."""

    entry: Flags
    exit: Flags
    short_entry: Flags
    short_exit: Flags
    confidence: Floats
    entry_limit: Floats
    entry_stop: Floats
    short_entry_limit: Floats
    short_entry_stop: Floats
    stop_price: Floats
    target_price: Floats
    size_frac: Floats


class Targets(NamedTuple):
    """Target weights that are acted upon.

    Attributes:
        step: shape (m,), the steps at whose end they are known, rising.
        weight: shape (m * k,), NaN: leave alone.
        drift_frac: shape (1,), no trade below this distance.
    """

    step: Ints
    weight: Floats
    drift_frac: Floats


class Book(NamedTuple):
    """What the kernel changes.

    Attributes:
        state: shape (1,), dtype `STATE`.
        positions: shape (k,), dtype `POSITION`.
        orders: shape (2 * k,), dtype `ORDER`: each symbol's pending order to buy, and to sell short.
        next_bar: shape (k,), the next of each symbol's bars to open.
        skipped: shape (4 * k,), entries skipped, by symbol and `SKIPPED`.
        trades: dtype `TRADE`, with `owners` its symbols.
        owners: shape as `trades`.
        changes: dtype `CHANGE`.
        queue: shape (k,), memory for symbols in line.
        passing: shape (k,), memory for symbols whose bars end.
        ranks: shape (k,), the symbols' places in the request.
    """

    state: NDArray[Any]
    positions: NDArray[Any]
    orders: NDArray[Any]
    next_bar: Ints
    skipped: Ints
    trades: NDArray[Any]
    owners: Ints
    changes: NDArray[Any]
    queue: Ints
    passing: Ints
    ranks: Ints


class Curves(NamedTuple):
    """What the kernel writes of the account, shape (steps,), and of each symbol, shape (bars,)."""

    equity: Floats
    cash: Floats
    gross: Floats
    own_equity: Floats
    own_gross: Floats


Int32sIn = types.Array(types.int32, 1, "C", readonly=True)


def _records(dtype: np.dtype[Any], *, readonly: bool = False) -> Any:
    return types.Array(numba.from_dtype(dtype), 1, "C", readonly=readonly)


BarsIn = types.NamedTuple(
    [IntsIn, *[FloatsIn] * 4, Int32sIn, Int32sIn, FloatsIn, FloatsIn],
    Bars,
)
PartsIn = types.NamedTuple([IntsIn, IntsIn, *[FloatsIn] * 4], Parts)
WishesIn = types.NamedTuple([*[FlagsIn] * 4, *[FloatsIn] * 8], Wishes)
TargetsIn = types.NamedTuple([IntsIn, FloatsIn, FloatsIn], Targets)
RulesIn = _records(RULES, readonly=True)
BookOut = types.NamedTuple(
    [
        _records(STATE),
        _records(POSITION),
        _records(ORDER),
        IntsOut,
        IntsOut,
        TradesOut,
        IntsOut,
        _records(CHANGE),
        IntsOut,
        IntsOut,
        IntsOut,
    ],
    Book,
)
CurvesOut = types.NamedUniTuple(FloatsOut, 5, Curves)


def read_only_arrays(arrays: Arrays) -> Arrays:
    """The same arrays, which nobody can write to: inside of tuples, Numba's types tell these from others."""
    views = [array.view() for array in arrays]
    for view in views:
        view.flags.writeable = False
    return type(arrays)(*views)


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


def opening_book(ranks: Sequence[int], initial_cash: float, own_cash: float) -> Book:
    """A flat account before its first bar, without room for trades.

    Args:
        ranks: each symbol's place in the request.
        initial_cash: of the account.
        own_cash: what each symbol's own curve begins with.
    """
    from backtest_pipeline.engine.records import TRADE  # noqa: PLC0415  beside its kernel's own

    symbols = len(ranks)
    state, positions = np.zeros(1, dtype=STATE), np.zeros(symbols, dtype=POSITION)
    state["cash"] = initial_cash
    positions["own_cash"] = own_cash
    positions["wanted_weight"] = np.nan
    return Book(
        state,
        positions,
        np.zeros(2 * symbols, dtype=ORDER),
        np.zeros(symbols, dtype=np.int64),
        np.zeros(len(SKIPPED) * symbols, dtype=np.int64),
        np.empty(0, dtype=TRADE),
        np.empty(0, dtype=np.int64),
        np.empty(0, dtype=CHANGE),
        np.empty(symbols, dtype=np.int64),
        np.empty(symbols, dtype=np.int64),
        np.array(ranks, dtype=np.int64),
    )
