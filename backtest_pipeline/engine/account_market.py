"""The candles of one account as its kernel takes them, and what comes with them: finer ones and funding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.engine.account_arrays import Bars, Parts
from backtest_pipeline.engine.account_steps import AccountSteps, bar_ends_us
from backtest_pipeline.engine.joint_grid import JointGrid
from backtest_pipeline.engine.records import joined
from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.funding_rates import FundingRates

    Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class AccountMarket:
    """What one account can trade.

    Attributes:
        candles: each symbol's, in the alphabetical order of their names.
        ranks: of each, its place in the request.
        step_us: shape (steps,), the steps' moments.
        bars: as the kernel takes them.
        parts: finer candles.
        grid: the moments at which the account is shown.
        row_steps: shape (rows of the grid,), the step whose end each row shows.
    """

    candles: Sequence[Candles]
    ranks: Sequence[int]
    step_us: Ints
    bars: Bars
    parts: Parts
    grid: JointGrid
    row_steps: Ints

    @classmethod
    def of(
        cls,
        candles: Sequence[Candles],
        detail: Mapping[str, Candles] | None = None,
        funding: Mapping[str, FundingRates] | None = None,
    ) -> AccountMarket:
        """The market of some symbols.

        Args:
            candles: in the request's order, none empty, all of one timeframe.
            detail: finer candles by symbol.
            funding: rates by symbol.
        """
        ranks = sorted(range(len(candles)), key=lambda place: candles[place].symbol)
        chosen = [candles[place] for place in ranks]
        steps = AccountSteps.of(chosen)
        grid = JointGrid.of(chosen)
        return cls(
            chosen,
            ranks,
            steps.moment_us,
            _bars(chosen, steps, funding),
            _parts(chosen, detail),
            grid,
            _row_steps(grid, steps),
        )

    def values_of(self, symbol: int) -> slice:
        """Where a symbol's bars stand among those of all."""
        return slice(int(self.bars.offsets[symbol]), int(self.bars.offsets[symbol + 1]))


def _bars(
    candles: Sequence[Candles], steps: AccountSteps, funding: Mapping[str, FundingRates] | None
) -> Bars:
    before, within = _due_rates(candles, funding)
    return Bars(
        offsets=np.array([0, *accumulate(len(own) for own in candles)], dtype=np.int64),
        open=joined([own.open for own in candles]),
        high=joined([own.high for own in candles]),
        low=joined([own.low for own in candles]),
        close=joined([own.close for own in candles]),
        open_step=joined(steps.opens),
        close_step=joined(steps.ends),
        funding_before=before,
        funding_within=within,
    )


def _row_steps(grid: JointGrid, steps: AccountSteps) -> Ints:
    """The step by which the bars of each row, and of all rows before it, have ended."""
    latest = np.zeros(len(grid.slots), dtype=np.int64)
    for own_slots, ends in zip(grid.own_slots, steps.ends, strict=True):
        if len(own_slots) == len(latest):
            np.maximum(latest, ends, out=latest)
        else:
            rows = np.searchsorted(grid.slots, own_slots)
            latest[rows] = np.maximum(latest[rows], ends)
    return np.maximum.accumulate(latest)


def _due_rates(
    candles: Sequence[Candles], funding: Mapping[str, FundingRates] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Funding rates added up that are due up to each bar's open, and inside each bar."""
    if not funding:
        return np.empty(0), np.empty(0)
    before, within = [], []
    for own in candles:
        opens = own.timestamp.view(np.int64)
        ends = bar_ends_us(opens, BAR_SECONDS[own.timeframe] * 1_000_000)
        due_before, due_within = np.zeros((2, len(own)))
        if rates := funding.get(own.symbol):
            moments = rates.timestamp.view(np.int64)
            bar = np.searchsorted(opens, moments, side="left") - 1  # the newest that opened before
            is_within = (bar >= 0) & (moments < ends[np.maximum(bar, 0)])
            np.add.at(due_within, bar[is_within], rates.rate[is_within])
            is_before = ~is_within & (bar + 1 < len(own)) & (bar + 1 > 0)
            np.add.at(due_before, bar[is_before] + 1, rates.rate[is_before])
        before.append(due_before)
        within.append(due_within)
    return joined(before), joined(within)


def _parts(candles: Sequence[Candles], detail: Mapping[str, Candles] | None) -> Parts:
    nothing = np.empty(0)
    if not detail:
        whole = np.empty(0, dtype=np.int64)
        return Parts(whole, whole, nothing, nothing, nothing, nothing)
    firsts, count, used = [], 0, []
    for own in candles:
        opens = own.timestamp.view(np.int64)
        finer = detail.get(own.symbol)
        if finer is None:
            firsts.append(np.full(len(own), count, dtype=np.int64))
            continue
        moments = finer.timestamp.view(np.int64)
        last_end_us = opens[-1] + BAR_SECONDS[own.timeframe] * 1_000_000
        start, stop = np.searchsorted(moments, [opens[0], last_end_us])
        firsts.append(count + np.searchsorted(moments[start:stop], opens))
        used.append(finer.slice(int(start), int(stop)))
        count += int(stop - start)
    return Parts(
        np.append(np.concatenate(firsts), count),
        joined([own.timestamp.view(np.int64) for own in used]) if used else np.empty(0, dtype=np.int64),
        *(
            joined([getattr(own, name) for own in used]) if used else nothing
            for name in ("open", "high", "low", "close")
        ),
    )
