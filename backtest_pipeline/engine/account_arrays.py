"""The arrays that the kernel of one account takes, by name, and their types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numba
import numpy as np

from backtest_pipeline.engine.account_records import CHANGE, ORDER, POSITION, RULES, SKIPPED, STATE
from backtest_pipeline.engine.compiled import FlagsIn, FloatsIn, FloatsOut, IntsIn, IntsOut, TradesOut, types
from backtest_pipeline.engine.records import TRADE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

Arrays = TypeVar("Arrays", bound=tuple[Any, ...])


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


class SignalArrays(NamedTuple):
    """Signals of k symbols, one after another: shape (bars,), or empty where nobody gave any.

    `wanted` is whether there is any flag.
    """

    wanted: Flags
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
SignalArraysIn = types.NamedTuple([*[FlagsIn] * 5, *[FloatsIn] * 8], SignalArrays)
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


def opening_book(ranks: Sequence[int], initial_cash: float, own_cash: float) -> Book:
    """A flat account before its first bar, without room for trades.

    Args:
        ranks: each symbol's place in the request.
        initial_cash: of the account.
        own_cash: what each symbol's own curve begins with.
    """
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
