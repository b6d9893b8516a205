"""One account a symbol, and the account that they make together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.joint_grid import JointGrid, elapsed_us
from backtest_pipeline.engine.joint_kernel import add_carried
from backtest_pipeline.engine.kernel import mark_open_position, simulate
from backtest_pipeline.engine.records import TRADE, opening_account

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.signal_checks import CheckedSignals

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Curve:
    """An account, bar by bar, at the close, in quote currency.

    Attributes:
        timestamp: shape (n,), `datetime64[us]`.
        equity: shape (n,), cash plus the marked positions.
        cash: shape (n,).
        gross: shape (n,), market value of the positions, shorts counted positive.
        spare: shape (n,), memory for whoever measures the curve; large arrays are cheaper in one piece.
        benchmark: shape (n,), value of what was bought before the first bar and held, on any scale.
        initial_cash: cash before the first bar.
        initial_benchmark: value of the benchmark before the first bar.
        grid_us: shape (n,), the moments between which time is measured, microseconds since 1970.
        elapsed_us: time from the first bar's open to the last bar's end, in microseconds.
    """

    timestamp: NDArray[np.datetime64]
    equity: Floats
    cash: Floats
    gross: Floats
    spare: Floats
    benchmark: Floats
    initial_cash: float
    initial_benchmark: float
    grid_us: NDArray[np.int64]
    elapsed_us: int

    def against(self, benchmark: Candles | None) -> Curve:
        """The same account, measured against another symbol; `None` leaves it against its own.

        A bar sees the newest close of the benchmark that is known then, and until its first bar stands still.
        """
        if benchmark is None:
            return self
        closes = benchmark.closes_known_at(self.timestamp)
        return replace(self, benchmark=closes, initial_benchmark=float(closes[0]))


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """What one symbol's account did.

    Attributes:
        trades: shape (m,), dtype `TRADE`, by exit.
        skipped_entries: entries that found too little cash.
        without_slot: entries that found as many positions open as there may be.
        without_stop: entries that are sized by their risk and had no stop that limits it.
        interest_paid, funding_paid: in quote currency, in all; funding below 0 was received.
        without_volatility: entries that are sized by the volatility, of which nothing was known yet.
    """

    trades: NDArray[Any]
    skipped_entries: int
    without_slot: int = 0
    without_stop: int = 0
    without_volatility: int = 0
    interest_paid: float = 0.0
    funding_paid: float = 0.0


def simulate_symbol(
    candles: Candles,
    signals: CheckedSignals,
    settings: NDArray[Any],
    initial_cash: float,
    chunk_bars: int,
    after_chunk: Callable[[int], None],
) -> tuple[Outcome, Curve]:
    """Runs the kernel over one symbol, chunk by chunk.

    Args:
        candles: n bars.
        signals: arrays of shape (n,).
        settings: shape (1,), dtype `SETTINGS`.
        initial_cash: in quote currency.
        chunk_bars: bars between two calls of `after_chunk`; no result depends on it.
        after_chunk: takes the number of bars just done.
    """
    bars = len(candles)
    account = opening_account(initial_cash)
    equity, cash, gross, spare = np.empty((4, bars))
    trades, ended = np.empty(0, dtype=TRADE), 0
    for start in range(0, bars, chunk_bars):
        stop = min(start + chunk_bars, bars)
        trades = _with_room(trades, ended, stop - start + 2)
        ended += simulate(
            account,
            settings,
            start,
            stop,
            candles.open,
            candles.high,
            candles.low,
            candles.close,
            signals.entry,
            signals.exit,
            signals.short_entry,
            signals.short_exit,
            equity,
            cash,
            gross,
            trades[ended:],
        )
        after_chunk(stop - start)
    ended += mark_open_position(account, bars - 1, candles.close[-1], trades[ended:])
    close = candles.close
    curve = Curve(
        candles.timestamp,
        equity,
        cash,
        gross,
        spare,
        close,
        initial_cash,
        float(close[0]),
        candles.timestamp.view(np.int64),
        elapsed_us([candles]),
    )
    return Outcome(trades[:ended].copy(), int(account["skipped_entries"][0])), curve


def _with_room(trades: NDArray[Any], used: int, wanted: int) -> NDArray[Any]:
    """The trades in an array that has room for more; where it has to grow, it doubles."""
    if len(trades) - used >= wanted:
        return trades
    larger = np.empty(2 * (used + wanted), dtype=TRADE)
    larger[:used] = trades[:used]
    return larger


def bought_and_held(candles: Sequence[Candles], grid: JointGrid, initial_cash: float) -> tuple[Floats, float]:
    """What an equal share of the cash in each symbol, bought at its first close, is worth, and was at first.

    Of an only symbol its closes, as the scale does not matter.

    Args:
        candles: each symbol's.
        grid: theirs.
        initial_cash: of all together.

    Returns:
        Shape (n,), a value for each slot of the grid; and the value before the first bar.
    """
    if len(candles) == 1:
        return candles[0].close, float(candles[0].close[0])
    share = initial_cash / len(candles)
    values, initial = np.zeros(len(grid.slots)), 0.0
    for own, slots in zip(candles, grid.own_slots, strict=True):
        add_carried(grid.slots, slots, own.close, share / own.close[0], share, values)
        initial += share
    return values, initial


class JointAccount:
    """Adds symbols' accounts up on the grid of their timeframe: one value a day, a week or a bar's length.

    A symbol's values are carried forward over slots that it lacks; before its first bar it holds its cash.

    Args:
        candles: each symbol's, none empty, all of one timeframe.
    """

    def __init__(self, candles: Sequence[Candles]) -> None:
        self._grid = JointGrid.of(candles)
        self._added = 0
        self._sum: Curve | None = None

    def add(self, curve: Curve) -> None:
        """Adds the account of the next symbol."""
        grid = self._grid
        own = grid.own_slots[self._added]
        self._added += 1
        if len(grid.own_slots) == 1:
            self._sum = curve
            return
        if self._sum is None:
            equity, cash, gross, spare, benchmark = np.zeros((5, len(grid.slots)))
            self._sum = Curve(
                grid.timestamp,
                equity,
                cash,
                gross,
                spare,
                benchmark,
                0.0,
                0.0,
                grid.moments_us,
                grid.elapsed_us,
            )
        joint = self._sum
        initial_cash, share = curve.initial_cash, curve.initial_cash / curve.initial_benchmark
        add_carried(grid.slots, own, curve.equity, 1.0, initial_cash, joint.equity)
        add_carried(grid.slots, own, curve.cash, 1.0, initial_cash, joint.cash)
        add_carried(grid.slots, own, curve.gross, 1.0, 0.0, joint.gross)
        add_carried(grid.slots, own, curve.benchmark, share, initial_cash, joint.benchmark)
        self._sum = replace(
            joint,
            initial_cash=joint.initial_cash + initial_cash,
            initial_benchmark=joint.initial_benchmark + initial_cash,
        )

    def curve(self) -> Curve:
        """The sum of what was added, which was at least one account."""
        if self._sum is None:
            raise ValueError("no account was added")
        return self._sum
