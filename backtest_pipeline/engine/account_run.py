"""Runs one account over its market and puts what the kernel wrote into order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.account_arrays import (
    Book,
    Curves,
    SignalArrays,
    Targets,
    opening_book,
    read_only_arrays,
)
from backtest_pipeline.engine.account_kernel import ROOM, list_open_positions, simulate_account
from backtest_pipeline.engine.account_records import CHANGE, SKIPPED
from backtest_pipeline.engine.accounts import Curve, Outcome, bought_and_held
from backtest_pipeline.engine.joint_grid import elapsed_us
from backtest_pipeline.engine.records import TRADE, joined
from backtest_pipeline.engine.volatility_kernel import write_volatility_fractions
from backtest_pipeline.model.signal_checks import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.engine.account_market import AccountMarket
    from backtest_pipeline.model.signal_checks import CheckedSignals

    Floats = NDArray[np.float64]

VOLATILITY_RETURNS = 20
"""From how many returns a position's volatility is expected."""
LEAST_ROOM = 4_096


@dataclass(frozen=True, eq=False, slots=True)
class AccountOutcome:
    """What one account over several symbols did.

    Attributes:
        outcomes: each symbol's, in the market's order.
        changes: shape (m,), dtype `CHANGE`, in time's order.
        equity, cash, gross: shape (steps,), at the end of each step.
        own_equity, own_gross: shape (bars of all symbols,), each symbol's own curve; empty where not asked.
    """

    outcomes: Sequence[Outcome]
    changes: NDArray[Any]
    equity: Floats
    cash: Floats
    gross: Floats
    own_equity: Floats
    own_gross: Floats


def run_account(
    market: AccountMarket,
    rules: NDArray[Any],
    target_steps: Floats,
    signals: SignalArrays,
    initial_cash: float,
    *,
    targets: Targets | None = None,
    with_own: bool = True,
    chunk_steps: int = 0,
    after_chunk: Callable[[int], None] | None = None,
) -> AccountOutcome:
    """Runs one account.

    Args:
        market: what it can trade.
        rules: shape (1,), dtype `RULES`.
        target_steps: `take_profit_steps`, shape (2 * m,), bars held and fraction in turn.
        signals: signals.
        initial_cash: in quote currency.
        targets: target weights, or none.
        with_own: whether each symbol's own curve is wanted.
        chunk_steps: steps between two calls of `after_chunk`; no result depends on it. 0: all at once.
        after_chunk: takes the number of steps just done.
    """
    steps, symbols = len(market.step_us), len(market.candles)
    bars, parts = read_only_arrays(market.bars), read_only_arrays(market.parts)
    read_only_signals, read_only_targets = (
        read_only_arrays(signals),
        read_only_arrays(targets or no_targets()),
    )
    curves = Curves(*np.empty((3, steps)), *np.empty((2, len(bars.open) if with_own else 0)))
    book = _with_room(opening_book(market.ranks, initial_cash, initial_cash), symbols)
    chunk = chunk_steps or steps
    step = 0
    while step < steps:
        stop = min(step + chunk, steps)
        done = simulate_account(
            book,
            rules,
            target_steps,
            step,
            stop,
            market.step_us,
            bars,
            parts,
            read_only_signals,
            read_only_targets,
            curves,
        )
        if done < stop:
            book = _with_room(book, symbols)
        if after_chunk is not None and done > step:
            after_chunk(done - step)
        step = done
    book = _with_room(book, symbols)
    list_open_positions(book, bars)
    state = book.state[0]
    return AccountOutcome(
        _outcomes(book, int(state["trades"]), symbols),
        book.changes[: state["changes"]].copy(),
        *curves,
    )


def _with_room(book: Book, symbols: int) -> Book:
    """The book with room for one more step at least; where it has to grow, it doubles."""
    state = book.state[0]
    needed = int(state["trades"]) + ROOM * symbols
    changes_needed = int(state["changes"]) + 2 * ROOM * symbols
    if len(book.trades) >= needed and len(book.changes) >= changes_needed:
        return book
    room = max(LEAST_ROOM, 2 * max(needed, (changes_needed + 1) // 2))
    trades, changes = np.empty(room, dtype=TRADE), np.empty(2 * room, dtype=CHANGE)
    owners = np.empty(room, dtype=np.int64)
    for larger, own in ((trades, book.trades), (changes, book.changes), (owners, book.owners)):
        larger[: len(own)] = own
    return book._replace(trades=trades, changes=changes, owners=owners)


def _outcomes(book: Book, trades: int, symbols: int) -> list[Outcome]:
    owners = book.owners[:trades]
    order = np.argsort(owners, kind="stable")
    ordered = book.trades[:trades][order]
    bounds = np.searchsorted(owners[order], np.arange(symbols + 1))
    skipped = book.skipped.reshape(symbols, len(SKIPPED)).tolist()
    outcomes = []
    for place in range(symbols):
        cash, slots, stop, volatility = skipped[place]
        own, position = ordered[bounds[place] : bounds[place + 1]], book.positions[place]
        interest, funding = float(position["interest_paid"]), float(position["funding_paid"])
        outcomes.append(Outcome(own, cash, slots, stop, volatility, interest, funding))
    return outcomes


def no_targets() -> Targets:
    """No target weights."""
    return Targets(np.empty(0, dtype=np.int64), np.empty(0), np.zeros(1))


def signal_arrays_of(signals: Sequence[CheckedSignals]) -> SignalArrays:
    """The signals of some symbols, in the market's order, as the kernel takes them."""
    given = {name for own in signals for name in own.levels}
    levels = {
        name: joined([_level_of(own, name) for own in signals]) if name in given else np.empty(0)
        for name in LEVELS
    }
    flags = [own.entry | own.exit | own.short_entry | own.short_exit for own in signals]
    return SignalArrays(
        wanted=joined(flags),
        entry=joined([own.entry for own in signals]),
        exit=joined([own.exit for own in signals]),
        short_entry=joined([own.short_entry for own in signals]),
        short_exit=joined([own.short_exit for own in signals]),
        confidence=np.ascontiguousarray(joined([own.confidence for own in signals])),
        **levels,
    )


def _level_of(signals: CheckedSignals, name: str) -> Floats:
    given = signals.levels.get(name)
    return np.full(len(signals.entry), np.nan) if given is None else given


def no_signal_arrays(bars: int) -> SignalArrays:
    """No signals at all, for as many bars."""
    flags, nothing = np.zeros(bars, dtype=np.bool_), np.empty(0)
    return SignalArrays(flags, flags, flags, flags, flags, nothing, *[nothing] * len(LEVELS))


def own_curve(market: AccountMarket, outcome: AccountOutcome, symbol: int, initial_cash: float) -> Curve:
    """A symbol's own curve in an account that it shares: the first cash and what the symbol added to it."""
    candles, bars = market.candles[symbol], market.values_of(symbol)
    equity, gross = outcome.own_equity[bars], outcome.own_gross[bars]
    return Curve(
        candles.timestamp,
        equity,
        equity,
        gross,
        np.empty(len(candles)),
        candles.close,
        initial_cash,
        float(candles.close[0]),
        candles.timestamp.view(np.int64),
        elapsed_us([candles]),
    )


def account_curve(market: AccountMarket, outcome: AccountOutcome, initial_cash: float) -> Curve:
    """The account at the rows of its grid, measured against buying each symbol with an equal share."""
    grid, rows = market.grid, market.row_steps
    held, initial = bought_and_held(market.candles, grid, initial_cash)
    return Curve(
        grid.timestamp,
        outcome.equity[rows],
        outcome.cash[rows],
        outcome.gross[rows],
        np.empty(len(rows)),
        held,
        initial_cash,
        initial,
        grid.moments_us,
        grid.elapsed_us,
    )


def volatility_fractions(close: Floats, periods_per_year: float, target_volatility: float) -> Floats:
    """The share of equity at which a position is expected to have the target volatility, shape (n,).

    The volatility is the sample standard deviation of the last 20 returns from close to close, times the root
    of the periods a year; NaN without 20 returns, or where they do not vary.
    """
    fractions = np.full(len(close), np.nan)
    write_volatility_fractions(close, VOLATILITY_RETURNS, periods_per_year, target_volatility, fractions)
    return fractions
