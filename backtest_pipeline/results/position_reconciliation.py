"""The positions of a shared account against its trades, and against its equity at the candles' closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.holdings import Holding, holdings_of
from backtest_pipeline.results.equity_account import TOLERANCE, Account, moments, running_sum

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from backtest_pipeline.model.request import BacktestRequest

    Floats = NDArray[np.float64]

_END = "end_of_data"


def position_problems(
    request: BacktestRequest, positions: pd.DataFrame, trades: pd.DataFrame, account: Account
) -> list[str]:
    """Where positions are not those of the trades, as sentences.

    A position that was built or closed in parts is one trade for each close: what is held then never exceeds
    what its trades closed later. With finer candles a trade may end within a bar whose row says when it
    opened, so that only what is held at last is compared.
    """
    holdings = holdings_of(positions)
    groups = {str(symbol): own for symbol, own in trades.groupby("symbol")}
    problems = []
    for symbol in sorted({*holdings, *groups}):
        own = groups.get(symbol, trades.iloc[:0])
        held = holdings.get(symbol) or Holding.of(positions.iloc[:0])
        entered, left = moments(own["entry_time"]), moments(own["exit_time"])
        quantity = np.where(own["side"] == "long", 1.0, -1.0) * own["quantity"].to_numpy(np.float64)
        stays = (own["exit_reason"] == _END).to_numpy(bool)
        at = np.unique(np.concatenate([held.time, entered, left[~stays]]))
        if request.detail_timeframe is not None:
            at = at[-1:]
        found = running_sum(entered, quantity, at) - running_sum(left[~stays], quantity[~stays], at)
        stated = held.at(at)
        limit = (
            TOLERANCE * np.maximum(np.maximum.accumulate(np.abs(found)), np.abs(stated)) if len(at) else at
        )
        wrong = np.abs(stated - found) > limit
        if held.is_rebuilt and len(at):
            within = (np.abs(stated) <= np.abs(found) + limit) & (stated * found >= 0.0)
            wrong[:-1] &= ~within[:-1]
        if wrong.any():
            row = int(np.argmax(wrong))
            problems.append(
                f"positions.parquet: {symbol} at {account.moment_of(at[row])}: "
                f"{float(stated[row])!r} are held, the trades make it {float(found[row])!r}"
            )
    return problems


def replay_problems(
    request: BacktestRequest, positions: pd.DataFrame, equity: pd.DataFrame, closes: Mapping[str, Floats]
) -> list[str]:
    """Where what is held, at the candles' closes, and the cash are not the equity, as sentences.

    Args:
        request: of the backtest.
        positions: its table.
        equity: its table, of n rows.
        closes: by symbol, shape (n,): the newest close that is known at each row.
    """
    account = Account.of(request, equity)
    value, gross = np.zeros(len(equity)), np.zeros(len(equity))
    for symbol, held in holdings_of(positions).items():
        own = held.at(account.time) * closes[symbol]
        value += own
        gross += np.abs(own)
    problems = []
    for name, stated, found in (
        ("equity", account.equity, account.cash + value),
        ("exposure_frac times equity", account.exposure_frac * account.equity, gross),
    ):
        apart = np.abs(stated - found) > TOLERANCE * np.maximum(account.peak, gross)
        if name != "equity":
            apart &= account.equity > 0.0
        if apart.any():
            bar = int(np.argmax(apart))
            problems.append(
                f"positions.parquet: {name} at {account.moment(bar)} is {float(stated[bar])!r}, "
                f"cash and positions at the closes make it {float(found[bar])!r}"
            )
    return problems
