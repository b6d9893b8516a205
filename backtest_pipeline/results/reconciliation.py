"""A result's numbers against each other: trades against cash, cash against equity, tables against metrics.

Nothing here comes from the engine: each number is computed again, in another way, from the tables alone, by
the rules of docs/execution-model.md. Amounts may differ by `TOLERANCE` of the highest equity so far.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.result import Metrics
    from backtest_pipeline.model.timeframe import Timeframe

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

TOLERANCE = 1e-9
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
    problems = _shape_problems(manifest, signals, trades, equity)
    if problems:
        return problems  # what follows needs rows in order and finite numbers
    account = _Account.of(request, equity)
    return [
        *_trade_problems(trades),
        *_cash_problems(request, trades, account),
        *_position_problems(trades, account),
        *_drawdown_problems(account),
        *_metric_problems("metrics", manifest.metrics, _metrics(manifest, request, signals, trades, account)),
        *_symbol_problems(request, manifest, trades),
    ]


@dataclass(frozen=True, eq=False, slots=True)
class _Account:
    """The equity table as arrays of shape (n,); `peak` is the running one, from the initial cash on."""

    initial_cash: float
    time: Ints
    equity: Floats
    cash: Floats
    exposure_frac: Floats
    drawdown_frac: Floats
    peak: Floats

    @classmethod
    def of(cls, request: BacktestRequest, table: pd.DataFrame) -> _Account:
        columns = {name: table[name].to_numpy(np.float64) for name in table.columns[1:]}
        peak = np.maximum.accumulate(np.maximum(columns["equity"], request.initial_cash))
        return cls(request.initial_cash, _moments(table["timestamp"]), **columns, peak=peak)

    def first_apart(self, told: Floats, found: Floats) -> int | None:
        """The first bar at which two amounts differ by more than rounding."""
        apart = np.flatnonzero(np.abs(told - found) > TOLERANCE * self.peak)
        return int(apart[0]) if len(apart) else None

    def moment(self, bar: int) -> str:
        return str(self.time[bar].astype("datetime64[us]"))


def _shape_problems(
    manifest: Manifest, signals: pd.DataFrame, trades: pd.DataFrame, equity: pd.DataFrame
) -> list[str]:
    """Rows out of order, numbers that are none, and bars or symbols that the candles do not have."""
    problems = []
    if not len(equity):
        return ["equity.parquet: there is no bar"]
    for name, table, needed in (
        ("equity", equity, equity.columns[1:]),
        (
            "trades",
            trades,
            ["quantity", "entry_price", "exit_price", "fees", "slippage_cost", "pnl", "return_frac"],
        ),
    ):
        problems += [
            f"{name}.parquet: {column} holds a value that is no finite number"
            for column in needed
            if not np.isfinite(table[column].to_numpy(np.float64)).all()
        ]
    symbols = [seen.symbol for seen in manifest.candles]
    if sorted(symbols) != sorted(manifest.symbols):
        problems.append("manifest.json: candles are not those of symbols")
    for name, table in (("signals", signals), ("trades", trades)):
        strange = sorted(set(table["symbol"]) - set(manifest.symbols))
        problems += [f"{name}.parquet: {symbol} was not asked for" for symbol in strange]
    for name, table, column in (("equity", equity, "timestamp"), ("trades", trades, "entry_time")):
        if table[column].isna().any():
            problems.append(f"{name}.parquet: {column} has no value in a row")
    if trades["exit_time"].isna().any() or (trades["exit_time"] < trades["entry_time"]).any():
        problems.append("trades.parquet: a trade has no exit, or one before its entry")
    times = equity["timestamp"]
    if not times.is_monotonic_increasing or times.duplicated().any():
        problems.append("equity.parquet: bars are not in order")
    if manifest.candles and not problems:
        problems += _bar_problems(manifest, equity)
    counts = {"total_signals": len(signals), "total_trades": len(trades)}
    told = manifest.summary.model_dump(include=set(counts))
    return problems + [
        f"manifest.json: summary.{name} is {told[name]}, the table has {counts[name]} rows"
        for name in counts
        if told[name] != counts[name]
    ]


def _bar_problems(manifest: Manifest, equity: pd.DataFrame) -> list[str]:
    rows = [seen.rows for seen in manifest.candles]
    first, last = min(seen.first for seen in manifest.candles), max(seen.last for seen in manifest.candles)
    times = equity["timestamp"].dt.floor("ms")  # as exact as a manifest is
    if not max(rows) <= len(equity) <= sum(rows):
        return [
            f"equity.parquet: {len(equity):,} bars cannot come of candles of {', '.join(map(str, rows))} rows"
        ]
    # A row of several symbols stands at the latest of their opens, which lies within the bar of the earliest.
    late = _bar_length(manifest) if len(manifest.candles) > 1 else pd.Timedelta(0)
    begins = pd.Timestamp(first).floor("ms")
    if not begins <= times.iloc[0] <= begins + late or times.iloc[-1] != pd.Timestamp(last).floor("ms"):
        return [
            f"equity.parquet: bars from {times.iloc[0]} to {times.iloc[-1]}, candles from {first} to {last}"
        ]
    return []


def _bar_length(manifest: Manifest) -> pd.Timedelta:
    return pd.Timedelta(seconds=BAR_SECONDS[cast("Timeframe", manifest.timeframe)])


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
    for name, told, found, allowed in (
        ("pnl", pnl, own, limit),
        ("return_frac", trades["return_frac"].to_numpy(np.float64), pnl / (entry * quantity), TOLERANCE),
    ):
        wrong = np.flatnonzero(np.abs(told - found) > allowed)
        if len(wrong):
            row = wrong[0]
            problems.append(
                f"trades.parquet: row {row}: {name} is {told[row]!r}, its prices make it {found[row]!r}"
            )
    return problems


def _cash_problems(request: BacktestRequest, trades: pd.DataFrame, account: _Account) -> list[str]:
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


def _position_problems(trades: pd.DataFrame, account: _Account) -> list[str]:
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


def _drawdown_problems(account: _Account) -> list[str]:
    found = (account.peak - account.equity) / account.peak
    wrong = np.flatnonzero(np.abs(account.drawdown_frac - found) > TOLERANCE)
    if not len(wrong):
        return []
    bar = int(wrong[0])
    told = f"equity.parquet: drawdown_frac at {account.moment(bar)} is {float(account.drawdown_frac[bar])!r}"
    return [f"{told}, the equity makes it {float(found[bar])!r}"]


def _years(manifest: Manifest) -> float | None:
    """Years of 365.25 days from the first open to the last bar's end; none of a result that counted bars."""
    if manifest.calendars is None or not manifest.candles:
        return None
    first, last = min(seen.first for seen in manifest.candles), max(seen.last for seen in manifest.candles)
    return (pd.Timestamp(last) + _bar_length(manifest) - pd.Timestamp(first)) / pd.Timedelta(days=365.25)


def _metrics(
    manifest: Manifest,
    request: BacktestRequest,
    signals: pd.DataFrame,
    trades: pd.DataFrame,
    account: _Account,
) -> dict[str, float]:
    final = float(account.equity[-1])
    found = {
        "total_return": final / request.initial_cash - 1,
        "final_equity": final,
        "peak_equity": float(account.peak[-1]),
        "max_drawdown": float(((account.peak - account.equity) / account.peak).max()),
        "exposure": float((account.exposure_frac > 0).mean()),
        "trades": len(trades),
        "fees_paid": float(trades["fees"].sum()),
        "signals": len(signals),
    }
    years = _years(manifest)
    growth = final / request.initial_cash
    if years is not None and growth >= 0 and manifest.metrics.get("cagr") is not None:
        found["cagr"] = growth ** (1 / years) - 1
    if len(trades):
        found["win_rate"] = float((trades["pnl"] > 0).mean())
    return found


def _symbol_problems(request: BacktestRequest, manifest: Manifest, trades: pd.DataFrame) -> list[str]:
    """Each symbol's share of the cash and its own trades against its own metrics."""
    if set(manifest.by_symbol) != set(request.symbols):
        return ["manifest.json: by_symbol has other symbols than the request"]
    cash = request.initial_cash / len(request.symbols)
    empty = trades.iloc[:0]
    groups = {str(symbol): own for symbol, own in trades.groupby("symbol")}
    problems = []
    for symbol, told in manifest.by_symbol.items():
        own = groups.get(symbol, empty)
        pnl = float(own["pnl"].sum())
        found = {
            "trades": len(own),
            "fees_paid": float(own["fees"].sum()),
            "final_equity": cash + pnl,
            "total_return": (cash + pnl) / cash - 1,
        }
        problems += _metric_problems(f"by_symbol.{symbol}", told, found)
    return problems


def _metric_problems(where: str, told: Metrics, found: dict[str, float]) -> list[str]:
    """Metrics that differ from the tables; amounts count against the highest equity."""
    peak = max(abs(told.get(name) or 0.0) for name in ("peak_equity", "final_equity"))
    problems = []
    for name, value in found.items():
        metric = told.get(name)
        scale = max(abs(value), peak if name in {"final_equity", "fees_paid"} else 1.0)
        if metric is None or abs(metric - value) > TOLERANCE * scale:
            problems.append(f"manifest.json: {where}.{name} is {metric!r}, the tables make it {value!r}")
    return problems


def _event_times(trades: pd.DataFrame, ended: NDArray[np.bool_]) -> Ints:
    return np.concatenate([_moments(trades["entry_time"]), _moments(trades["exit_time"])[ended]])


def _so_far(times: Ints, amounts: Floats, at: Ints) -> Floats:
    """Sum of all amounts up to and including each moment of `at`."""
    order = np.argsort(times, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(amounts[order])])
    total: Floats = sums[np.searchsorted(times[order], at, side="right")]
    return total


def _side(trades: pd.DataFrame) -> Floats:
    return np.where(trades["side"].to_numpy() == "long", 1.0, -1.0)


def _moments(column: Any) -> Ints:
    moments: Ints = column.dt.tz_localize(None).to_numpy("datetime64[us]").view(np.int64)
    return moments
