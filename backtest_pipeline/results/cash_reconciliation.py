"""The cash of an account, bar by bar, from its trades alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backtest_pipeline.model.holdings import holdings_of
from backtest_pipeline.results.equity_account import TOLERANCE, Account, moments, running_sum

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.request import BacktestRequest

    Flags = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_END = "end_of_data"


def side_of(trades: pd.DataFrame) -> Floats:
    """1 for a long trade, -1 for a short one."""
    return np.where(trades["side"].to_numpy() == "long", 1.0, -1.0)


def ended_of(trades: pd.DataFrame) -> Flags:
    """Which trades ended before the candles did."""
    return (trades["exit_reason"] != _END).to_numpy(bool)


def event_times(trades: pd.DataFrame, ended: Flags) -> Ints:
    """The moments of all entries, then of the exits of those that ended."""
    return np.concatenate([moments(trades["entry_time"]), moments(trades["exit_time"])[ended]])


def bar_ends(request: BacktestRequest, account: Account) -> list[Ints]:
    """Up to which moments what happened counts to each bar.

    An entry or exit bears the time of its bar's open, and of several symbols a row bears that of the latest
    open. Of finer candles it may bear the time inside the bar: then it counts to the row before it as well.
    """
    ends = [account.time]
    if request.detail_timeframe is not None:
        ends.append(np.append(account.time[1:] - 1, np.iinfo(np.int64).max))
    return ends


def cash_problems(
    request: BacktestRequest, trades: pd.DataFrame, positions: pd.DataFrame | None, account: Account
) -> list[str]:
    """The cash of every bar, and the equity of the last, as the trades make it.

    An entry takes (a short one brings) its notional and pays its fee, an exit brings the rest of the pnl.
    Of a trade that took part in several entries, or paid interest or funding, only what it left is known:
    bars at which one is open are passed over.
    """
    side, pnl = side_of(trades), trades["pnl"].to_numpy(np.float64)
    ended, unclear = ended_of(trades), _unclear(request, trades, positions)
    notional = trades["quantity"].to_numpy(np.float64) * trades["entry_price"].to_numpy(np.float64)
    fee = notional * request.fee_bps / 10_000 + request.fee_fixed
    entry_flow = np.where(unclear, 0.0, -side * notional - fee)
    times = event_times(trades, ended)
    flows = np.concatenate([entry_flow, (pnl - entry_flow)[ended]])
    opened = np.concatenate([unclear, -unclear[ended].astype(np.float64)])
    wrong = np.ones(len(account.time), dtype=np.bool_)
    cash = account.cash
    for at in bar_ends(request, account):
        cash = account.initial_cash + running_sum(times, flows, at)
        known = running_sum(times, opened, at) == 0.0
        wrong &= known & (np.abs(account.cash - cash) > TOLERANCE * account.peak)
    problems = []
    if wrong.any():
        bar = int(np.argmax(wrong))
        problems.append(
            f"equity.parquet: cash at {account.moment(bar)} is {float(account.cash[bar])!r}, "
            f"the trades make it {float(cash[bar])!r}"
        )
    if request.leverage == 1 and (account.cash < -TOLERANCE * account.peak).any():
        bar = int(np.argmax(account.cash < -TOLERANCE * account.peak))
        problems.append(f"equity.parquet: cash at {account.moment(bar)} is below zero, without leverage")
    final = account.initial_cash + float(pnl.sum())
    if abs(final - account.equity[-1]) > TOLERANCE * account.peak[-1]:
        problems.append(
            f"equity.parquet: ends at {float(account.equity[-1])!r}, "
            f"initial cash and the pnl of all trades make it {final!r}"
        )
    return problems


def _unclear(request: BacktestRequest, trades: pd.DataFrame, positions: pd.DataFrame | None) -> Flags:
    """Trades of which the tables do not say when between entry and exit which amount was paid."""
    if request.funding or request.borrow_apr or request.max_entries > 1:
        return np.ones(len(trades), dtype=np.bool_)
    if positions is None:
        return np.zeros(len(trades), dtype=np.bool_)
    rebuilt = [symbol for symbol, held in holdings_of(positions).items() if held.is_rebuilt]
    return trades["symbol"].isin(rebuilt).to_numpy(bool)
