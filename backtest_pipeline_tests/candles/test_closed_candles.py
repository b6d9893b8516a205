"""Longer candles bar by bar: what had closed by then, as it is stored, and nothing of what comes."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from backtest_pipeline.candles.resampling import resample
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.engine.indicators import atr, crossed_above, crossed_below, sma
from backtest_pipeline.engine.indicators.sharing import IndicatorMemo, sharing
from backtest_pipeline.engine.lookahead import check_look_ahead
from backtest_pipeline.model.candles import CANDLE_COLUMNS, Candles
from backtest_pipeline.model.closed_candles import ClosedCandles
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.schedule import Schedule
from backtest_pipeline.model.strategy import Signals, Strategy, StrategyParams
from backtest_pipeline.model.timeframe import BAR_SECONDS, Timeframe
from backtest_pipeline_tests.candles.test_resampling import made, put

Floats = NDArray[np.float64]
NEW_YORK, CHICAGO = ZoneInfo("America/New_York"), ZoneInfo("America/Chicago")


def stored(
    folder: Path, moments: pd.DatetimeIndex, fine: Timeframe, calendar: str | None = "24/7"
) -> Candles:
    store = CandleStore(folder)
    put(store, made(moments.tz_convert("UTC")), fine, calendar)
    return store.load(["ACME"], fine)["ACME"]


def longer(folder: Path, fine: Timeframe, coarse: Timeframe) -> Candles:
    store = CandleStore(folder)
    resample(store, "ACME", fine, coarse)
    return store.load(["ACME"], coarse)["ACME"]


def by_the_clock(step: str, days: int, start: str = "2024-01-01") -> pd.DatetimeIndex:
    begin = pd.Timestamp(start, tz="UTC")
    return pd.date_range(begin, begin + pd.Timedelta(days=days), freq=step, inclusive="left")


def sessions(days: pd.DatetimeIndex, begin: str, end: str, step: str) -> pd.DatetimeIndex:
    parts = [
        pd.date_range(
            f"{day:%Y-%m-%d} {begin}", f"{day:%Y-%m-%d} {end}", freq=step, tz=NEW_YORK, inclusive="left"
        )
        for day in days
    ]
    return pd.DatetimeIndex([moment for part in parts for moment in part]).tz_convert("UTC")


def agrees(found: ClosedCandles, candles: Candles, whole: Candles, closes_us: np.ndarray) -> None:
    """Whether each bar sees the newest of the stored candles that had closed, told by a loop."""
    fine_us = BAR_SECONDS[candles.timeframe] * 1_000_000
    for bar, opened in enumerate(candles.timestamp.astype(np.int64)):
        closed = np.flatnonzero(closes_us <= opened + fine_us)
        if not len(closed):
            assert np.isnan(found.close[bar])
            assert np.isnat(found.timestamp[bar])
            continue
        at = closed[-1]
        for name in CANDLE_COLUMNS:
            assert getattr(found, name)[bar] == pytest.approx(getattr(whole, name)[at], rel=1e-12), (
                name,
                bar,
            )


@pytest.mark.parametrize(
    ("fine", "coarse", "days"),
    [("5m", "1h", 3), ("1h", "4h", 9), ("1h", "1d", 9), ("4h", "1w", 30), ("1d", "1w", 60)],
)
def test_each_bar_sees_the_newest_stored_candle_that_had_closed(
    fine: Timeframe, coarse: Timeframe, days: int, tmp_path: Path
) -> None:
    """From a Monday, three in ten of the bars missing, but not the first."""
    moments = by_the_clock(f"{BAR_SECONDS[fine]}s", days)
    kept = np.random.default_rng(2).random(len(moments)) < 0.7
    kept[[0, -1]] = True
    candles = stored(tmp_path, moments[kept], fine)
    whole = longer(tmp_path, fine, coarse)
    closes_us = whole.timestamp.astype(np.int64) + BAR_SECONDS[coarse] * 1_000_000
    found = candles.resampled(coarse)
    assert (found.symbol, found.timeframe, len(found)) == ("ACME", coarse, len(candles))
    # The bar that ends a candle may be missing: then the first bar after its end is the first to see it.
    agrees(found, candles, whole, closes_us)


@pytest.mark.parametrize("change", ["2024-03-08", "2024-11-01"])
def test_days_in_the_markets_zone_close_at_its_midnight_where_clocks_change(
    change: str, tmp_path: Path
) -> None:
    begin = pd.Timestamp(change, tz=NEW_YORK)
    moments = pd.date_range(begin, begin + pd.DateOffset(days=6), freq="h", inclusive="left")
    store = CandleStore(tmp_path)
    stored(tmp_path, moments, "1h")
    store.layout.symbol_record("ACME").write_text('{"calendar": "24/7", "timezone": "America/New_York"}')
    candles = store.load(["ACME"], "1h")["ACME"]
    whole = longer(tmp_path, "1h", "1d")
    midnights = pd.date_range(begin, periods=7, freq="D")[1:].tz_convert("UTC").tz_localize(None)
    agrees(
        candles.resampled("1d"),
        candles,
        whole,
        midnights.as_unit("us").to_numpy().astype(np.int64)[: len(whole)],
    )


@pytest.mark.parametrize("coarse", ["1h", "1d", "1w"])
def test_an_exchanges_candle_closes_with_its_last_session(coarse: Timeframe, tmp_path: Path) -> None:
    """9:30 to 16:00 by five minutes, two weeks from a Monday to a Friday, without Presidents' Day."""
    days = pd.bdate_range("2024-02-12", "2024-02-23").difference(pd.DatetimeIndex(["2024-02-19"]))
    candles = stored(tmp_path, sessions(days, "09:30", "16:00", "5min"), "5m", "XNYS")
    whole = longer(tmp_path, "5m", coarse)
    opens = pd.DatetimeIndex(whole.timestamp, tz="UTC").tz_convert(NEW_YORK)
    if coarse == "1h":  # the last one begins at 15:30 and ends with the session
        closes = pd.DatetimeIndex(
            [min(at + pd.Timedelta(hours=1), at.replace(hour=16, minute=0)) for at in opens]
        )
    elif coarse == "1d":
        closes = opens + pd.Timedelta(hours=16)
    else:
        closes = pd.DatetimeIndex([pd.Timestamp(f"2024-02-{day} 16:00", tz=NEW_YORK) for day in (16, 23)])
    found = candles.resampled(coarse)
    agrees(
        found,
        candles,
        whole,
        closes.tz_convert("UTC").tz_localize(None).as_unit("us").to_numpy().astype(np.int64),
    )
    assert found.close[-1] == candles.close[-1]  # the last bar of the last session ends hour, day and week


def test_a_friday_ends_the_week_of_daily_bars(tmp_path: Path) -> None:
    days = pd.bdate_range("2024-02-12", "2024-02-23", tz=NEW_YORK)
    days = days[days.day != 19]
    found = stored(tmp_path, days, "1d", "XNYS").resampled("1w")
    weeks = [str(moment)[:10] for moment in found.timestamp]
    assert weeks == ["NaT"] * 4 + ["2024-02-12"] * 4 + ["2024-02-19"]  # a holiday's week


def test_without_known_sessions_a_candle_closes_when_the_clock_says_so(tmp_path: Path) -> None:
    days = pd.bdate_range("2024-02-12", "2024-02-14")
    candles = stored(tmp_path, sessions(days, "00:00", "16:00", "1h"), "1h", None)
    found = candles.resampled("1d")  # days in UTC, the first of which begins at five in the morning there
    assert np.isnan(found.close[:20]).all()
    assert found.timestamp[-1] == np.datetime64("2024-02-13", "us")


def test_what_is_traded_after_the_session_enters_the_day_as_it_comes(tmp_path: Path) -> None:
    days = pd.DatetimeIndex(["2024-02-13", "2024-02-14"])
    candles = stored(tmp_path, sessions(days, "09:30", "18:00", "30min"), "30m", "XNYS")
    found = candles.resampled("1d")
    assert np.isnan(found.close[:12]).all()
    assert found.close[12:17].tolist() == candles.close[12:17].tolist()  # 15:30, then half an hour each
    assert found.high[12:17].tolist() == np.maximum.accumulate(candles.high[:17])[12:].tolist()
    assert found.low[12:17].tolist() == np.minimum.accumulate(candles.low[:17])[12:].tolist()
    assert found.volume[12:17] == pytest.approx(np.cumsum(candles.volume[:17])[12:])
    assert (found.close[17:29] == candles.close[16]).all()
    assert (found.open[12:29] == candles.open[0]).all()


def test_a_first_candle_that_may_lack_bars_does_not_count(tmp_path: Path) -> None:
    found = stored(tmp_path, by_the_clock("h", 3, "2024-01-01 05:00"), "1h").resampled("1d")
    assert np.isnan(found.close[: 19 + 23]).all()  # 19 hours of the first day, 23 of the second
    assert found.timestamp[19 + 23] == np.datetime64("2024-01-02", "us")


@pytest.mark.parametrize(
    ("calendar", "fine", "coarse"),
    [
        ("XNYS", "5m", "1h"),
        ("XNYS", "5m", "1d"),
        ("XNYS", "30m", "1w"),
        ("24/7", "1h", "4h"),
        ("24/7", "1h", "1w"),
        (None, "1h", "1d"),
    ],
)
def test_bars_that_are_appended_change_nothing_before_them(
    calendar: str | None, fine: Timeframe, coarse: Timeframe, tmp_path: Path
) -> None:
    """With an hour before and after each session, and one bar in ten missing."""
    days = pd.bdate_range("2024-02-12", "2024-03-15")
    moments = (
        sessions(days, "08:30", "17:00", f"{BAR_SECONDS[fine]}s")
        if calendar == "XNYS"
        else by_the_clock("h", 30)
    )
    kept = np.random.default_rng(5).random(len(moments)) < 0.9
    kept[0] = True
    candles = stored(tmp_path, moments[kept], fine, calendar)
    whole = candles.resampled(coarse)
    assert not np.isnan(whole.close[-1])
    average = whole.by_candle(sma, "close", window=2)
    for bars in np.random.default_rng(6).integers(1, len(candles), 60).tolist():
        cut = candles.slice(0, bars).resampled(coarse)
        assert cut.timestamp.view(np.int64).tolist() == whole.timestamp[:bars].view(np.int64).tolist()
        for name in CANDLE_COLUMNS[1:]:
            assert np.array_equal(getattr(cut, name), getattr(whole, name)[:bars], equal_nan=True)
        assert np.array_equal(cut.by_candle(sma, "close", window=2), average[:bars], equal_nan=True)


def test_the_same_timeframe_is_the_bars_themselves_and_a_shorter_one_is_refused(tmp_path: Path) -> None:
    candles = stored(tmp_path, by_the_clock("h", 2), "1h")
    assert candles.resampled("1h").close is candles.close
    with pytest.raises(RequestInvalid, match=r"30m cannot be made of 1h; choose one of 4h, 1d, 1w"):
        candles.resampled("30m")
    with pytest.raises(RequestInvalid, match=r"2h cannot be made of 1h"):
        candles.resampled("2h")  # type: ignore[arg-type]  # the fault
    assert len(candles.slice(0, 0).resampled("1d")) == 0


def test_stored_candles_can_be_pickled_with_their_sessions(tmp_path: Path) -> None:
    candles = stored(
        tmp_path, sessions(pd.bdate_range("2024-02-12", "2024-02-13"), "09:30", "16:00", "1h"), "1h", "XNYS"
    )
    again = pickle.loads(pickle.dumps(candles))  # noqa: S301  our own
    assert again.sessions().calendar == "XNYS"


class AboveTheDaysAverage(Strategy):
    """Buys bars that cross above the average of closed days."""

    name = "above_the_days_average"

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        average = sma(candles.resampled("1d").close, 30)
        return Signals(
            entry=crossed_above(candles.close, average), exit=crossed_below(candles.close, average)
        )


class AboveThisDaysClose(Strategy):
    """Buys bars below the close that their own day will have."""

    name = "above_this_days_close"

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        day = candles.timestamp.astype("datetime64[D]")
        last = np.searchsorted(day, day, side="right") - 1
        return Signals(entry=candles.close < candles.close[last])


def test_a_strategy_of_two_timeframes_passes_the_check_and_one_that_cheats_does_not(tmp_path: Path) -> None:
    candles = stored(tmp_path, by_the_clock("h", 120), "1h")
    fair = check_look_ahead(
        AboveTheDaysAverage(), StrategyParams(), candles, cuts=60, seed=1, stretch_cuts=500
    )
    assert fair.passed, fair.difference
    assert fair.signals > 10
    assert not check_look_ahead(AboveThisDaysClose(), StrategyParams(), candles, cuts=60, seed=1).passed


@pytest.mark.parametrize("copies", [False, True])
def test_longer_candles_and_their_indicators_are_shared_as_those_of_the_bars(
    copies: bool, tmp_path: Path
) -> None:
    candles = stored(tmp_path, by_the_clock("h", 60), "1h")
    alone = candles.resampled("1d")
    memo = IndicatorMemo()
    memo.copies = copies
    with sharing(memo):
        memo.begin(getattr(candles, name) for name in CANDLE_COLUMNS)
        first, second = candles.resampled("1d"), candles.resampled("1d")
        week = candles.resampled("1w")
        for name in CANDLE_COLUMNS:
            assert getattr(first, name).tobytes() == getattr(alone, name).tobytes()
        assert (first.close is second.close) is not copies
        assert first.close.flags.writeable is copies
        assert week.close is not first.close
        if not copies:
            assert sma(first.close, 5) is sma(second.close, 5)


def test_an_indicator_by_candle_is_that_of_the_days_however_many_bars_they_have(tmp_path: Path) -> None:
    moments = by_the_clock("h", 40)
    kept = np.random.default_rng(3).random(len(moments)) < 0.6
    kept[0] = True
    candles = stored(tmp_path, moments[kept], "1h")
    whole = longer(tmp_path, "1h", "1d")
    day = candles.resampled("1d")
    found = day.by_candle(sma, "close", window=5)
    average = dict(zip(whole.timestamp.tolist(), sma(whole.close, 5).tolist(), strict=True))
    expected = [average[moment] if moment is not None else np.nan for moment in day.timestamp.tolist()]
    assert found == pytest.approx(np.array(expected), nan_ok=True)
    assert np.isnan(found).sum() > np.isnan(day.close).sum() > 0
    spread = day.by_candle(atr, "high", "low", "close", window=5)
    assert spread[-1] == pytest.approx(
        atr(whole.high, whole.low, whole.close, 5)[len(set(day.timestamp.tolist()) - {None}) - 1]
    )


def test_an_indicator_by_candle_takes_each_as_it_was_when_it_closed(tmp_path: Path) -> None:
    days = pd.bdate_range("2024-02-12", "2024-02-16")
    candles = stored(tmp_path, sessions(days, "09:30", "18:00", "30min"), "30m", "XNYS")
    day = candles.resampled("1d")
    found = day.by_candle(sma, "close", window=2)
    closes = candles.close[12::17]  # at 15:30 of each day
    assert np.isnan(found[: 17 + 12]).all()
    assert found[17 + 12] == found[2 * 17 + 11] == pytest.approx(closes[:2].mean())
    assert np.isnan(candles.slice(0, 5).resampled("1d").by_candle(sma, "close", window=2)).all()
    with pytest.raises(ValueError, match=r"no column 'price'; choose of timestamp, open, high, low, close"):
        day.by_candle(sma, "price", window=2)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_an_indicator_by_candle_knows_those_that_no_bar_has_seen(share: float, tmp_path: Path) -> None:
    """Where bars are missing, one may end two hours at once: the first of them is over without being seen."""
    moments = by_the_clock("30min", 20)
    kept = np.random.default_rng(8).random(len(moments)) < share
    kept[0] = True
    candles = stored(tmp_path, moments[kept], "30m")
    whole = longer(tmp_path, "30m", "1h")
    hour = candles.resampled("1h")
    seen = set(hour.timestamp[~np.isnat(hour.timestamp)].tolist())
    last = len(hour.each.timestamp)
    assert len(seen) < last
    for name in CANDLE_COLUMNS:
        assert getattr(hour.each, name).tolist() == getattr(whole, name)[:last].tolist()
    found = hour.by_candle(sma, "close", window=3)
    stands = hour.number >= 0
    assert (hour.each.timestamp[hour.number[stands]] == hour.timestamp[stands]).all()
    assert np.array_equal(found[stands], sma(whole.close, 3)[hour.number[stands]], equal_nan=True)
    assert np.isnan(found[~stands]).all()


def test_indicators_by_candle_are_remembered_in_sweeps(tmp_path: Path) -> None:
    candles = stored(tmp_path, by_the_clock("h", 60), "1h")
    day = candles.resampled("1d")
    alone = day.by_candle(sma, "close", window=5)
    memo = IndicatorMemo()
    memo.copies = False
    asked: list[int] = []

    def noted(close: Floats, window: int) -> Floats:
        asked.append(id(close))
        return sma(close, window)

    with sharing(memo):
        memo.begin(getattr(candles, name) for name in CANDLE_COLUMNS)
        for _ in range(2):
            day = candles.resampled("1d")
            assert np.array_equal(day.by_candle(noted, "close", window=5), alone, equal_nan=True)
    assert len(set(asked)) == 1  # the same array, of which indicators are remembered


def evening_sessions(days: list[str]) -> Schedule:
    """Each begins at 17:00 in Chicago on the day before and ends at 16:00."""
    moments = [pd.Timestamp(f"{day} 16:00", tz=CHICAGO) for day in days]
    closes = np.array([int(moment.timestamp()) for moment in moments])
    numbers = np.array(days, dtype="datetime64[D]").astype(np.int64)
    return Schedule("CMES", int(numbers[0]), int(numbers[-1]), numbers, closes - 23 * 3_600, closes)


@pytest.mark.parametrize("first", [0, 3])
def test_a_session_that_begins_on_the_evening_before_is_the_day_that_it_is_named_for(first: int) -> None:
    schedule = evening_sessions(["2024-02-12", "2024-02-13", "2024-02-14", "2024-02-15"])
    opens = np.concatenate([np.arange(23) * 3_600 + begin for begin in schedule.open_s])[first:]
    close = 100.0 + np.arange(len(opens))
    columns: dict[str, Any] = dict.fromkeys(CANDLE_COLUMNS, close)
    columns["timestamp"] = (opens * 1_000_000).view("datetime64[us]")
    candles = replace(
        Candles.from_arrays("ES", "1h", columns),
        record=SymbolRecord(calendar="CMES", timezone="America/Chicago"),
        sessions=lambda: schedule,
    )
    found = candles.resampled("1d")
    days = [str(moment)[:10] for moment in found.timestamp]
    # The last of 23 hours closes the day; one that does not begin with its first hour does not count.
    expected = ["NaT"] * 22 + ["2024-02-12"] * 23 + ["2024-02-13"] * 23 + ["2024-02-14"] * 23 + ["2024-02-15"]
    if first:
        expected = ["NaT"] * (22 - first + 23) + expected[45:]
    assert days == expected
    closes = close[[23 * day - 1 - first for day in (1, 2, 3, 4)]]
    assert found.close[-1] == closes[3]
    assert found.close[-2] == closes[2]
    assert found.open[-1] == close[23 * 3 - first]
