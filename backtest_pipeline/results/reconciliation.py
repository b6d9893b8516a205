"""A result's numbers against each other: trades against cash, cash against equity, tables against metrics.

Nothing here comes from the engine: each number is computed again, in another way, from the tables alone, by
the rules of docs/execution-model.md. Amounts may differ by `TOLERANCE` of the highest equity so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backtest_pipeline.results.equity_account import TOLERANCE, Account, moments
from backtest_pipeline.results.metric_reconciliation import metric_problems
from backtest_pipeline.results.table_shapes import shape_problems

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.request import BacktestRequest

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_END = "end_of_data"


def account_problems(
    manifest: Manifest,
    request: BacktestRequest,
    *,
    signals: pd.DataFrame,
    trades: pd.DataFrame,
    equity: pd.DataFrame,
) -> list[str]:
    """What does not add up in a completed task, as sentences; empty where everything does.

    The tables have the columns that they must have.
    """
    problems = shape_problems(manifest, signals, trades, equity)
    if problems:
        return problems  # what follows needs rows in order and finite numbers
    account = Account.of(request, equity)
    return [
        *_trade_problems(trades),
        *_cash_problems(request, trades, account),
        *_position_problems(trades, account),
        *_drawdown_problems(account),
        *metric_problems(manifest, request, signals, trades, account),
    ]


def _trade_problems(trades: pd.DataFrame) -> list[str]:
    """Each trade's own arithmetic."""
    quantity, entry, leaving, fees, pnl = (
        trades[name].to_numpy(np.float64) for name in ("quantity", "entry_price", "exit_price", "fees", "pnl")
    )
    if (quantity <= 0).any() or (entry <= 0).any():
        return ["trades.parquet: a quantity or an entry price is not positive"]
    limit = TOLERANCE * quantity * np.maximum(entry, leaving)
    own = _side(trades) * (leaving - entry) * quantity - fees
    problems = []
    for name, stated, found, allowed in (
        ("pnl", pnl, own, limit),
        ("return_frac", trades["return_frac"].to_numpy(np.float64), pnl / (entry * quantity), TOLERANCE),
    ):
        wrong = np.flatnonzero(np.abs(stated - found) > allowed)
        if len(wrong):
            row = wrong[0]
            problems.append(
                f"trades.parquet: row {row}: {name} is {stated[row]!r}, its prices make it {found[row]!r}"
            )
    return problems


def _cash_problems(request: BacktestRequest, trades: pd.DataFrame, account: Account) -> list[str]:
    """The cash of every bar, and the equity of the last, from the trades alone.

    An entry takes (a short one brings) its notional and pays its fee, an exit brings the rest of the pnl.
    """
    side, pnl = _side(trades), trades["pnl"].to_numpy(np.float64)
    notional = trades["quantity"].to_numpy(np.float64) * trades["entry_price"].to_numpy(np.float64)
    entry_flow = -side * notional - (notional * request.fee_bps / 10_000 + request.fee_fixed)
    ended = (trades["exit_reason"] != _END).to_numpy(bool)
    flows = np.concatenate([entry_flow, (pnl - entry_flow)[ended]])
    cash = account.initial_cash + _so_far(_event_times(trades, ended), flows, account.time)
    problems = []
    bar = account.first_apart(account.cash, cash)
    if bar is not None:
        problems.append(
            f"equity.parquet: cash at {account.moment(bar)} is {float(account.cash[bar])!r}, "
            f"the trades make it {float(cash[bar])!r}"
        )
    final = account.initial_cash + float(pnl.sum())
    if abs(final - account.equity[-1]) > TOLERANCE * account.peak[-1]:
        problems.append(
            f"equity.parquet: ends at {float(account.equity[-1])!r}, "
            f"initial cash and the pnl of all trades make it {final!r}"
        )
    return problems


def _position_problems(trades: pd.DataFrame, account: Account) -> list[str]:
    """Equity is cash plus long less short positions, and there are positions while there are open trades."""
    side, ended = _side(trades), (trades["exit_reason"] != _END).to_numpy(bool)
    times = _event_times(trades, ended)
    longs, shorts = (
        _so_far(times, np.concatenate([ones, -ones[ended]]), account.time)
        for ones in ((side > 0).astype(np.float64), (side < 0).astype(np.float64))
    )
    gross = account.exposure_frac * account.equity
    value = account.equity - account.cash
    alive = account.equity > 0
    checks = {
        "exposure_frac is not that of the open trades": alive
        & ((account.exposure_frac > 0) != (longs + shorts > 0)),
        "equity is not cash and positions": (
            (np.abs(value) - gross > TOLERANCE * account.peak)
            | ((shorts == 0) & (np.abs(value - gross) > TOLERANCE * account.peak))
            | ((longs == 0) & (np.abs(value + gross) > TOLERANCE * account.peak))
        ),
    }
    return [
        f"equity.parquet: at {account.moment(int(np.argmax(wrong)))} {what}"
        for what, wrong in checks.items()
        if wrong.any()
    ]


def _drawdown_problems(account: Account) -> list[str]:
    found = (account.peak - account.equity) / account.peak
    wrong = np.flatnonzero(np.abs(account.drawdown_frac - found) > TOLERANCE)
    if not len(wrong):
        return []
    bar = int(wrong[0])
    stated = (
        f"equity.parquet: drawdown_frac at {account.moment(bar)} is {float(account.drawdown_frac[bar])!r}"
    )
    return [f"{stated}, the equity makes it {float(found[bar])!r}"]


def _event_times(trades: pd.DataFrame, ended: NDArray[np.bool_]) -> Ints:
    return np.concatenate([moments(trades["entry_time"]), moments(trades["exit_time"])[ended]])


def _so_far(times: Ints, amounts: Floats, at: Ints) -> Floats:
    """Sum of all amounts up to and including each moment of `at`."""
    order = np.argsort(times, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(amounts[order])])
    total: Floats = sums[np.searchsorted(times[order], at, side="right")]
    return total


def _side(trades: pd.DataFrame) -> Floats:
    return np.where(trades["side"].to_numpy() == "long", 1.0, -1.0)
