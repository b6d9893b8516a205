"""One account a symbol, and the account that they make together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, IntsIn, compiled, types
from backtest_pipeline.engine.kernel import mark_open_position, simulate
from backtest_pipeline.engine.records import TRADE, opening_account

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.signals import CheckedSignals

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Curve:
    """An account, bar by bar, at the close, in quote currency.

    Attributes:
        timestamp: shape (n,), `datetime64[us]`.
        equity: shape (n,), cash plus the marked positions.
        cash: shape (n,).
        gross: shape (n,), market value of the positions, shorts counted positive.
        benchmark: shape (n,), what buying at the first close and holding had made of the same cash.
        initial_cash: cash before the first bar.
    """

    timestamp: NDArray[np.datetime64]
    equity: Floats
    cash: Floats
    gross: Floats
    benchmark: Floats
    initial_cash: float


@dataclass(frozen=True, eq=False, slots=True)
class Outcome:
    """What one symbol's account did.

    Attributes:
        trades: shape (m,), dtype `TRADE`, by exit.
        skipped_entries: entries that found too little cash.
    """

    trades: NDArray[Any]
    skipped_entries: int


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
    equity, cash, gross = np.empty(bars), np.empty(bars), np.empty(bars)
    buffer = np.empty(min(chunk_bars, bars) + 1, dtype=TRADE)
    ended = []
    for start in range(0, bars, chunk_bars):
        stop = min(start + chunk_bars, bars)
        count = simulate(
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
            buffer,
        )
        ended.append(buffer[:count].copy())
        after_chunk(stop - start)
    left_open = mark_open_position(account, bars - 1, candles.close[-1], buffer)
    ended.append(buffer[:left_open].copy())
    benchmark = candles.close * (initial_cash / candles.close[0])
    curve = Curve(candles.timestamp, equity, cash, gross, benchmark, initial_cash)
    return Outcome(np.concatenate(ended), int(account["skipped_entries"][0])), curve


class JointAccount:
    """Adds symbols' accounts up, bar by bar, over the union of their timestamps.

    A symbol's values are carried forward over bars that it lacks; before its first bar it holds its cash.

    Args:
        timestamps: one array a symbol, each `datetime64[us]` and increasing.
    """

    def __init__(self, timestamps: Sequence[NDArray[np.datetime64]]) -> None:
        self._timestamp = _union(timestamps)
        self._alone = len(timestamps) == 1
        self._sum: Curve | None = None

    def add(self, curve: Curve) -> None:
        """Adds one symbol's account."""
        if self._alone:
            self._sum = curve
            return
        if self._sum is None:
            equity, cash, gross, benchmark = np.zeros((4, len(self._timestamp)))
            self._sum = Curve(self._timestamp, equity, cash, gross, benchmark, 0.0)
        joint, union, own = self._sum, self._timestamp.view(np.int64), curve.timestamp.view(np.int64)
        initial_cash = curve.initial_cash
        _add_carried(union, own, curve.equity, initial_cash, joint.equity)
        _add_carried(union, own, curve.cash, initial_cash, joint.cash)
        _add_carried(union, own, curve.gross, 0.0, joint.gross)
        _add_carried(union, own, curve.benchmark, initial_cash, joint.benchmark)

    def curve(self, initial_cash: float) -> Curve:
        """The sum of what was added, which was at least one account."""
        if self._sum is None:
            raise ValueError("no account was added")
        joint = self._sum
        return Curve(joint.timestamp, joint.equity, joint.cash, joint.gross, joint.benchmark, initial_cash)


def _union(timestamps: Sequence[NDArray[np.datetime64]]) -> NDArray[np.datetime64]:
    first = timestamps[0]
    if all(np.array_equal(first, other) for other in timestamps[1:]):
        return first
    return np.unique(np.concatenate(timestamps))


@compiled(types.void(IntsIn, IntsIn, FloatsIn, types.float64, FloatsOut))
def _add_carried(union: Any, own: Any, values: Any, before: float, total: Any) -> None:
    bar, value = 0, before
    for moment in range(len(union)):
        if bar < len(own) and own[bar] == union[moment]:
            value = values[bar]
            bar += 1
        total[moment] += value
