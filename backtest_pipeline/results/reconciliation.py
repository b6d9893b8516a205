"""A result's numbers against each other: trades against cash, cash against equity, tables against metrics.

Nothing here comes from the engine: each number is computed again, in another way, from the tables alone, by
the rules of docs/execution-model.md. Amounts may differ by `TOLERANCE` of the highest equity so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from backtest_pipeline.results.cash_reconciliation import (
    bar_ends,
    cash_problems,
    ended_of,
    event_times,
    side_of,
)
from backtest_pipeline.results.equity_account import TOLERANCE, Account, running_sum
from backtest_pipeline.results.metric_reconciliation import metric_problems
from backtest_pipeline.results.position_reconciliation import position_problems
from backtest_pipeline.results.position_shape import position_shape_problems
from backtest_pipeline.results.table_shapes import shape_problems

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.request import BacktestRequest


def account_problems(
    manifest: Manifest,
    request: BacktestRequest,
    *,
    signals: pd.DataFrame,
    trades: pd.DataFrame,
    equity: pd.DataFrame,
    positions: pd.DataFrame | None = None,
) -> list[str]:
    """What does not add up in a completed task, as sentences; empty where everything does.

    The tables have the columns that they must have; `positions` are those of a shared account.
    """
    problems = shape_problems(manifest, signals, trades, equity)
    problems += position_shape_problems(manifest, request, positions)
    if problems:
        return problems  # what follows needs rows in order and finite numbers
    account = Account.of(request, equity)
    return [
        *_trade_problems(trades),
        *cash_problems(request, trades, positions, account),
        *_exposure_problems(request, trades, account),
        *(position_problems(request, positions, trades, account) if positions is not None else ()),
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
    own = side_of(trades) * (leaving - entry) * quantity - fees
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


def _exposure_problems(request: BacktestRequest, trades: pd.DataFrame, account: Account) -> list[str]:
    """Equity is cash plus long less short positions, and there are positions while there are open trades."""
    side, ended = side_of(trades), ended_of(trades)
    times = event_times(trades, ended)
    gross = account.exposure_frac * account.equity
    value = account.equity - account.cash
    limit = TOLERANCE * np.maximum(account.peak, gross)
    alive = account.equity > 0
    idle, apart = np.ones(len(account.time), dtype=np.bool_), np.ones(len(account.time), dtype=np.bool_)
    for at in bar_ends(request, account):
        longs, shorts = (
            running_sum(times, np.concatenate([ones, -ones[ended]]), at)
            for ones in ((side > 0).astype(np.float64), (side < 0).astype(np.float64))
        )
        idle &= alive & ((account.exposure_frac > 0) != (longs + shorts > 0))
        apart &= (
            (np.abs(value) - gross > limit)
            | ((shorts == 0) & (np.abs(value - gross) > limit))
            | ((longs == 0) & (np.abs(value + gross) > limit))
        )
    checks = {
        "exposure_frac is not that of the open trades": idle,
        "equity is not cash and positions": apart,
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
