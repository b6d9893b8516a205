"""The account that several symbols make together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from backtest_pipeline.engine.run import run
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.result import BacktestResult
from backtest_pipeline.model.strategy import StrategyParams
from backtest_pipeline.model.timeframe import Timeframe
from backtest_pipeline.workflows.run_backtest import run_backtest
from backtest_pipeline_tests.engine.scripted import Scripted, candles_of, flat, signals_at


def two_symbols() -> BacktestResult:
    """A trades on 1, 2 and 4 January (a jump over the 3rd is B's alone); B from the 2nd to the 3rd."""
    candles = {
        "A": candles_of(flat(100, 100, 150), symbol="A"),
        "B": candles_of(flat(50, 25), symbol="B", start="2024-01-02"),
    }
    moved = candles["A"].timestamp.copy()
    moved[2] += moved[1] - moved[0]
    candles["A"] = type(candles["A"])(
        "A",
        "1d",
        moved,
        *(getattr(candles["A"], name) for name in ("open", "high", "low", "close", "volume")),
    )
    strategy = Scripted({"A": signals_at(3, entry=[0]), "B": signals_at(2, entry=[0])})
    request = BacktestRequest(
        strategy="scripted", symbols=("A", "B"), initial_cash=2_000, fee_bps=0, fill="close"
    )
    return run(candles, request, strategy, StrategyParams())


def test_equity_is_carried_forward_over_bars_that_a_symbol_lacks() -> None:
    equity = two_symbols().equity
    assert equity["timestamp"].dt.day.tolist() == [1, 2, 3, 4]
    # A: 1 000, 1 000, (1 000), 1 500; B: (its cash of 1 000), 1 000, 500, (500)
    assert equity["equity"].tolist() == [2_000, 2_000, 1_500, 2_000]
    assert equity["cash"].tolist() == [1_000, 0, 0, 0]
    assert equity["exposure_frac"].tolist() == [0.5, 1, 1, 1]
    assert equity["drawdown_frac"].tolist() == [0, 0, 0.25, 0]


@pytest.mark.parametrize("order", [("OLD", "NEW"), ("NEW", "OLD")])
def test_every_row_has_its_own_day_whichever_symbol_begins_first(order: tuple[str, str]) -> None:
    candles = {
        "OLD": candles_of(flat(*[100] * 71), symbol="OLD", start="2024-01-01"),
        "NEW": candles_of(flat(*[100] * 40), symbol="NEW", start="2024-02-01"),
    }
    request = BacktestRequest(strategy="buy_and_hold", symbols=order, fee_bps=0)
    equity = run_backtest(candles, request).equity
    days = pd.date_range("2024-01-01", periods=71, tz="UTC")  # 31 of January, 29 of February, 11 of March
    assert equity["timestamp"].tolist() == days.tolist()


def test_benchmark_holds_each_symbol_from_its_first_close() -> None:
    result = two_symbols()
    # A gains 50 %, B loses 50 %, each with half the cash
    assert result.metrics["buy_hold_return"] == pytest.approx((0.5 - 0.5) / 2)
    assert result.by_symbol["A"]["buy_hold_return"] == pytest.approx(0.5)
    assert result.by_symbol["B"]["buy_hold_return"] == pytest.approx(-0.5)


def test_rows_stand_by_symbol_in_the_order_of_the_request() -> None:
    result = two_symbols()
    assert result.trades["symbol"].tolist() == ["A", "B"]
    assert result.signals["symbol"].tolist() == ["A", "B"]
    assert list(result.by_symbol) == ["A", "B"]


def test_symbols_with_the_same_bars_need_no_carrying() -> None:
    candles = {symbol: candles_of(flat(100, 200), symbol=symbol) for symbol in ("A", "B")}
    strategy = Scripted({"A": signals_at(2, entry=[0]), "B": signals_at(2)})
    request = BacktestRequest(strategy="scripted", symbols=("A", "B"), fill="close", fee_bps=0)
    result = run(candles, request, strategy, StrategyParams())
    assert result.equity["equity"].tolist() == [10_000, 15_000]


def growing(
    symbol: str, index: pd.DatetimeIndex, timeframe: Timeframe = "1d", *, factor: float = 2.0
) -> Candles:
    """Closes that grow steadily from 100 to 100 times the factor."""
    moments = index.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]")
    close = np.geomspace(100, 100 * factor, len(moments))
    columns: dict[str, NDArray[np.generic]] = dict.fromkeys(("open", "high", "low", "close", "volume"), close)
    return Candles.from_arrays(symbol, timeframe, {**columns, "timestamp": moments})


def held(*candles: Candles) -> BacktestResult:
    request = BacktestRequest(
        strategy="buy_and_hold",
        symbols=[own.symbol for own in candles],
        timeframe=candles[0].timeframe,
        fee_bps=0,
        fill="close",
    )
    return run_backtest({own.symbol: own for own in candles}, request)


def days(first: str, last: str, zone: str, *, weekends: bool = False) -> pd.DatetimeIndex:
    index = pd.date_range(first, last, tz=zone) if weekends else pd.bdate_range(first, last, tz=zone)
    return pd.DatetimeIndex(index)


def test_a_coin_and_a_share_that_double_within_a_year_double_together() -> None:
    coin = growing("BTC", days("2024-01-01", "2024-12-31", "UTC", weekends=True))
    share = growing("AAPL", days("2024-01-02", "2024-12-31", "America/New_York"))
    result = held(coin, share)
    # from 1 January 00:00 UTC to 1 January 05:00 UTC, when the last day ends in New York
    years = (366 + 5 / 24) / 365.25
    assert result.metrics["cagr"] == pytest.approx(2 ** (1 / years) - 1, rel=1e-12)
    assert result.metrics["cagr"] == pytest.approx(0.996, abs=5e-4)
    assert result.metrics["periods_per_year"] == 365
    assert len(result.equity) == 366
    assert result.calendars is not None
    assert result.calendars.account.note.startswith("symbols of 24/7, an exchange together: all days")


def test_a_day_has_one_row_at_the_latest_of_its_opens() -> None:
    # 2024-01-02 begins on the 1st at 15:00 UTC in Seoul, at 00:00 UTC in London, at 05:00 UTC in New York.
    seoul, london, new_york = (
        growing(symbol, days("2024-01-02", "2024-03-29", zone))
        for symbol, zone in (("KRX", "Asia/Seoul"), ("LSE", "UTC"), ("NYSE", "America/New_York"))
    )
    result = held(seoul, london, new_york)
    assert len(result.equity) == len(seoul) == 64
    assert result.metrics["periods_per_year"] == 252
    assert result.equity["timestamp"].dt.tz_localize(None).tolist() == [
        pd.Timestamp(moment) for moment in new_york.timestamp
    ]
    # all three stand at their close of the same day
    assert result.equity["equity"].to_numpy() == pytest.approx(10_000 * london.close / 100, rel=1e-12)
    assert held(seoul, new_york).equity["equity"].to_numpy() == pytest.approx(10_000 * london.close / 100)


@pytest.mark.parametrize("zone", ["Asia/Seoul", "Asia/Riyadh", "Europe/Berlin", "Pacific/Auckland", "UTC"])
def test_volatility_of_two_markets_does_not_depend_on_the_hour_of_their_opens(zone: str) -> None:
    rng = np.random.default_rng(1)
    local = days("2023-01-02", "2024-12-31", zone)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, (2, len(local))), axis=1))

    def walk(symbol: str, index: pd.DatetimeIndex, prices: NDArray[np.float64]) -> Candles:
        frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), prices))
        return Candles.from_frame(frame.assign(timestamp=index, volume=1.0), symbol=symbol, timeframe="1d")

    new_york = days("2023-01-02", "2024-12-31", "America/New_York")
    apart = held(walk("A", local, close[0]), walk("B", new_york, close[1]))
    together = held(walk("A", new_york, close[0]), walk("B", new_york, close[1]))
    for name in ("annual_volatility", "sharpe", "sortino", "max_drawdown", "max_drawdown_days"):
        assert apart.metrics[name] == pytest.approx(together.metrics[name], rel=1e-12), name
    assert len(apart.equity) == len(together.equity)


def test_weeks_that_begin_on_sunday_and_on_monday_are_the_same_weeks() -> None:
    sundays = growing("COIN", pd.date_range("2023-01-01", periods=104, freq="7D", tz="UTC"), "1w")
    mondays = growing("SHARE", pd.date_range("2023-01-02", periods=104, freq="7D", tz="Asia/Seoul"), "1w")
    result = held(sundays, mondays)
    assert (len(result.equity), result.metrics["periods_per_year"]) == (104, 52)


def test_hours_share_a_slot_whenever_they_begin_within_it() -> None:
    coin = growing("BTC", pd.date_range("2024-01-01", periods=24 * 60, freq="h", tz="UTC"), "1h")
    starts = days("2024-01-01", "2024-02-29", "America/New_York")
    share = pd.DatetimeIndex(
        [day + pd.Timedelta(hours=9 + n, minutes=30) for day in starts for n in range(7)]
    )
    result = held(coin, growing("AAPL", share, "1h"))
    assert len(result.equity) == 24 * 60
    assert result.metrics["periods_per_year"] == 365 * 24


def test_two_exchanges_one_after_the_other_have_the_hours_of_both() -> None:
    def hours(zone: str) -> pd.DatetimeIndex:
        starts = days("2024-01-02", "2024-02-29", zone)
        return pd.DatetimeIndex([day + pd.Timedelta(hours=9 + n) for day in starts for n in range(7)])

    seoul, new_york = growing("A", hours("Asia/Seoul"), "1h"), growing("B", hours("America/New_York"), "1h")
    result = held(seoul, new_york)  # 00:00 to 07:00 and 14:00 to 21:00 UTC
    assert result.metrics["periods_per_year"] == 252 * 14
    assert result.by_symbol["A"]["periods_per_year"] == 252 * 7
