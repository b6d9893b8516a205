"""One account that goes through several backtests, each with the equity that the one before has left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from backtest_pipeline.engine.account_records import CHANGE
from backtest_pipeline.engine.accounts import Curve, bought_and_held
from backtest_pipeline.engine.calendar import account_calendar, calendar_of
from backtest_pipeline.engine.diagnostics import about_years
from backtest_pipeline.engine.frames import equity_frame, positions_frame, signals_frame, trades_frame
from backtest_pipeline.engine.inputs import benchmark_candles, chosen_candles
from backtest_pipeline.engine.joint_grid import JointGrid
from backtest_pipeline.engine.kernel import END_OF_DATA, EXIT_REASONS
from backtest_pipeline.engine.metrics.account_metrics import account_metrics
from backtest_pipeline.engine.records import TRADE
from backtest_pipeline.engine.signal_study import study_signals
from backtest_pipeline.model.market import CalendarsUsed
from backtest_pipeline.model.result import POSITION_COLUMNS, BacktestResult
from backtest_pipeline.model.signal_checks import check_signals
from backtest_pipeline.model.strategy import Signals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.request import BacktestRequest

    Floats = NDArray[np.float64]

LAST = EXIT_REASONS[END_OF_DATA - 1]
_COPIED = (
    "quantity",
    "entry_price",
    "exit_price",
    "fees",
    "slippage_cost",
    "pnl",
    "return_frac",
    "mae_frac",
    "mfe_frac",
)


def closed_out(result: BacktestResult) -> BacktestResult:
    """A backtest whose open positions are closed at its last close, for the fee of that order.

    As an exit anywhere, without slippage, as nothing is waited for. The fee is cut where it would take the
    account below zero.
    """
    request, trades, equity = result.request, result.trades.copy(), result.equity.copy()
    is_open = (trades["exit_reason"] == LAST).to_numpy(dtype=np.bool_)
    if not is_open.any():
        return result
    left = float(equity["equity"].iloc[-1])
    quantity, price = (trades[name].to_numpy(np.float64)[is_open] for name in ("quantity", "exit_price"))
    fees = quantity * price * (request.fee_bps / 10_000) + request.fee_fixed
    for place, fee in enumerate(fees.tolist()):
        fees[place] = min(fee, left)
        left -= float(fees[place])
    for name, change in (("fees", fees), ("pnl", -fees)):
        trades.loc[is_open, name] = trades[name].to_numpy(np.float64)[is_open] + change
    notional = quantity * trades["entry_price"].to_numpy(np.float64)[is_open]
    trades.loc[is_open, "return_frac"] = trades["pnl"].to_numpy(np.float64)[is_open] / notional
    last = equity.index[-1]
    equity.loc[last, ["equity", "cash"]] = left
    equity.loc[last, "exposure_frac"] = 0.0
    positions = result.positions
    if positions is not None:
        ended = trades.loc[is_open, ["exit_time", "symbol"]].rename(columns={"exit_time": "timestamp"})
        nothing = ended.assign(quantity=0.0, value=0.0, weight=0.0)[list(POSITION_COLUMNS)]
        positions = pd.concat([positions, nothing], ignore_index=True)
    return BacktestResult(
        result.signals,
        trades,
        equity,
        result.metrics,
        result.by_symbol,
        request,
        checks=result.checks,
        positions=positions,
    )


@dataclass(eq=False)
class ChainedAccount:
    """Takes backtests of stretches that follow each other, and makes one result of them.

    Attributes:
        equity: what the next backtest begins with.
    """

    equity: float
    _parts: list[BacktestResult] = field(default_factory=list)
    _curves: list[pd.DataFrame] = field(default_factory=list)

    def add(self, result: BacktestResult) -> BacktestResult:
        """Adds a backtest that has begun with `equity`; returns it as it was closed out."""
        part = closed_out(result)
        self._parts.append(part)
        self._curves.append(part.equity)
        self.equity = float(part.equity["equity"].iloc[-1])
        return part

    def wait(self, moments: NDArray[np.datetime64]) -> None:
        """Holds the equity as cash for some bars.

        Args:
            moments: shape (n,), `datetime64[us]`, of the bars.
        """
        held = np.full(len(moments), self.equity)
        zeros = np.zeros(len(moments))
        stamps = pd.to_datetime(moments).tz_localize("UTC").as_unit("us")
        columns = {
            "timestamp": stamps,
            "equity": held,
            "cash": held,
            "exposure_frac": zeros,
            "drawdown_frac": zeros,
        }
        self._curves.append(pd.DataFrame(columns))

    def result(
        self, candles: Mapping[str, Candles], request: BacktestRequest, timezone: str = "UTC"
    ) -> BacktestResult:
        """All of it as one backtest, measured against its benchmark over the whole time.

        Args:
            candles: by symbol, at least the request's and its benchmark's.
            request: of the whole time, with the cash that the first backtest has begun with.
            timezone: what a `start` or `end` without a zone means.
        """
        chosen = chosen_candles(candles, request, timezone)
        together = pd.concat(self._curves, ignore_index=True)
        curve = self._curve(chosen, request, together).against(benchmark_candles(candles, request, timezone))
        calendars = {own.symbol: calendar_of(own, request.calendar) for own in chosen}
        calendar, note = account_calendar(calendars, curve.timestamp, request.timeframe)
        signals, trades = _tables(self._parts, chosen, request)
        metrics, _, drawdown_frac = account_metrics(
            curve,
            calendar.periods_per_year,
            _records(trades),
            _moments(signals["timestamp"]),
            signals["return_frac"].to_numpy(np.float64),
        )
        exposure_frac = together["exposure_frac"].to_numpy(np.float64)
        return BacktestResult(
            signals=signals,
            trades=trades,
            equity=equity_frame(curve, exposure_frac, drawdown_frac),
            metrics=metrics,
            by_symbol={chosen[0].symbol: dict(metrics)} if len(chosen) == 1 else {},
            request=request,
            diagnostics=list(about_years(calendars, curve.elapsed_us)),
            checks={"look_ahead": _verdict(self._parts)} if self._parts else {},
            calendars=CalendarsUsed(
                account=calendar.used(note),
                by_symbol={symbol: own.used() for symbol, own in calendars.items()},
            ),
            positions=self._positions(request),
        )

    def _positions(self, request: BacktestRequest) -> pd.DataFrame | None:
        """The changes of positions of all parts, of a shared account."""
        if request.account != "shared":
            return None
        nothing = positions_frame([], np.empty(0, dtype=CHANGE))
        frames = [
            part.positions for part in self._parts if part.positions is not None and len(part.positions)
        ]
        return pd.concat(frames, ignore_index=True) if frames else nothing

    def _curve(self, chosen: Sequence[Candles], request: BacktestRequest, together: pd.DataFrame) -> Curve:
        grid = JointGrid.of(chosen)
        benchmark, initial_benchmark = bought_and_held(chosen, grid, request.initial_cash)
        timestamp = _moments(together["timestamp"])
        if not np.array_equal(timestamp, grid.timestamp):
            raise AssertionError("the stretches do not follow each other")
        equity, cash, exposure = (
            np.ascontiguousarray(together[name].to_numpy(np.float64))
            for name in ("equity", "cash", "exposure_frac")
        )
        return Curve(
            timestamp,
            equity,
            cash,
            exposure * equity,
            np.empty(len(equity)),
            benchmark,
            request.initial_cash,
            initial_benchmark,
            grid.moments_us,
            grid.elapsed_us,
        )


def _tables(
    parts: Sequence[BacktestResult], chosen: Sequence[Candles], request: BacktestRequest
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Signals and trades of all parts, one after another; without a row where there is no part."""
    nothing = [
        study_signals(
            own,
            check_signals(request.strategy, Signals(np.zeros(len(own), dtype=np.bool_)), len(own)),
            request.direction,
            None,
        )
        for own in chosen
    ]
    signals = [signals_frame(chosen, nothing), *(part.signals for part in parts)]
    trades = [
        trades_frame(chosen, [np.empty(0, dtype=TRADE)] * len(chosen)),
        *(part.trades for part in parts),
    ]
    joined = [
        pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
        for frames in (signals, trades)
    ]
    return joined[0], joined[1]


def _moments(column: pd.Series[Any]) -> NDArray[np.datetime64]:
    moments: NDArray[np.datetime64] = column.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return moments


def _records(trades: pd.DataFrame) -> NDArray[Any]:
    """Trades as kernels measure them; bars count from each entry."""
    records = np.zeros(len(trades), dtype=TRADE)
    for name in _COPIED:
        records[name] = trades[name].to_numpy(np.float64)
    records["side"] = np.where(trades["side"].to_numpy() == "long", 1, -1)
    records["exit_bar"] = trades["bars_held"].to_numpy(np.int64)
    return records


def _verdict(parts: Sequence[BacktestResult]) -> dict[str, Any]:
    """The look-ahead check's worst verdict: one that found something, or could not be done, or the first."""
    verdicts = [part.checks["look_ahead"] for part in parts if "look_ahead" in part.checks]
    for wanted in (False, None):
        for verdict in verdicts:
            if verdict["passed"] is wanted:
                return dict(verdict)
    return dict(verdicts[0]) if verdicts else {}
