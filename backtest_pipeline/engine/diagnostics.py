"""Remarks that a reader of the numbers should know, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.engine.calendar import DAY_US, Calendar
from backtest_pipeline.engine.compiled import IntsIn, compiled, types
from backtest_pipeline.engine.kernel import END_OF_DATA, LIQUIDATION
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from backtest_pipeline.engine.accounts import Outcome
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest

FEW_TRADES = 30

# A weekend with a holiday on either side closes an exchange for four days, and clocks may change meanwhile.
LONGEST_CLOSURE_US = 4 * DAY_US + DAY_US // 2
MOST_NAMES = 5


def diagnose(
    request: BacktestRequest,
    candles: Sequence[Candles],
    calendars: Sequence[Calendar],
    outcomes: Sequence[Outcome],
) -> list[str]:
    """Looks for what makes a result doubtful.

    Args:
        request: what was asked.
        candles: each symbol's candles.
        calendars: each symbol's calendar, in the same order.
        outcomes: each symbol's outcome, in the same order.
    """
    remarks = list(_about_trades(outcomes))
    if request.fill == "close":
        remarks.append("Orders fill at the close of the bar whose signals they follow, which is optimistic.")
    counts = {
        "ends in an open position, marked to the last close": [_left_open(own) for own in outcomes],
        "was liquidated": [_liquidations(own) for own in outcomes],
        "has gaps in the candles during a position": [
            _positions_with_gaps(one, calendar, own)
            for one, calendar, own in zip(candles, calendars, outcomes, strict=True)
        ],
        "has fills on bars without volume": [
            _fills_without_volume(one, own) for one, own in zip(candles, outcomes, strict=True)
        ],
        "skipped entries for lack of cash": [own.skipped_entries for own in outcomes],
    }
    for what, per_symbol in counts.items():
        names = [one.symbol for one, count in zip(candles, per_symbol, strict=True) if count]
        if names:
            times = sum(per_symbol)
            remarks.append(f"{_listed(names)} {what} ({times} {'time' if times == 1 else 'times'}).")
    return remarks


def _about_trades(outcomes: Sequence[Outcome]) -> Iterator[str]:
    pnl = np.concatenate([own.trades["pnl"] for own in outcomes])
    if not len(pnl):
        yield "There was no trade."
        return
    if len(pnl) < FEW_TRADES:
        trades = "1 trade is" if len(pnl) == 1 else f"{len(pnl)} trades are"
        yield f"{trades} too few to tell skill from luck; look for {FEW_TRADES} or more."
    if len(pnl) > 1 and pnl.sum() > 0.0 >= pnl.sum() - pnl.max():
        yield "The whole profit comes from one trade; without it there is none."


def _left_open(outcome: Outcome) -> int:
    return int(np.count_nonzero(outcome.trades["reason"] == END_OF_DATA))


def _liquidations(outcome: Outcome) -> int:
    return int(np.count_nonzero(outcome.trades["reason"] == LIQUIDATION))


def _positions_with_gaps(candles: Candles, calendar: Calendar, outcome: Outcome) -> int:
    """Positions that were open while candles are missing.

    An always-open market misses candles where two are further apart than one and a half bars; any other
    where they are also further apart than its longest closure.
    """
    allowed = BAR_SECONDS[candles.timeframe] * 1_500_000
    if not calendar.always_open:
        allowed = max(allowed, LONGEST_CLOSURE_US)
    if calendar.longest_step_us <= allowed:
        return 0
    entries, exits = (np.ascontiguousarray(outcome.trades[name]) for name in ("entry_bar", "exit_bar"))
    return _stretches_with_steps(candles.timestamp.view(np.int64), entries, exits, allowed)


@compiled(types.int64(IntsIn, IntsIn, IntsIn, types.int64))
def _stretches_with_steps(moments: Any, starts: Any, stops: Any, longest: int) -> int:
    """Counts the stretches of bars in which a bar comes more than `longest` after the one before it."""
    found = 0
    for stretch in range(len(starts)):
        for bar in range(starts[stretch] + 1, stops[stretch] + 1):
            if moments[bar] - moments[bar - 1] > longest:
                found += 1
                break
    return found


def _fills_without_volume(candles: Candles, outcome: Outcome) -> int:
    trades = outcome.trades
    exits = trades["exit_bar"][trades["reason"] != END_OF_DATA]
    entries_without = np.count_nonzero(candles.volume[trades["entry_bar"]] == 0.0)
    return int(entries_without + np.count_nonzero(candles.volume[exits] == 0.0))


def _listed(names: Sequence[str]) -> str:
    if len(names) <= MOST_NAMES:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMES])} and {len(names) - MOST_NAMES} more"
