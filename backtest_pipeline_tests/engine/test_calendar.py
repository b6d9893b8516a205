"""Bars a year are read from the bars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest_pipeline.engine.calendar import calendar_of, read_calendar
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline.model.timeframe import Timeframe
from backtest_pipeline_tests.engine.scripted import play, signals_at

Moments = NDArray[np.datetime64]


def days(first: str, count: int, weekdays: set[int]) -> Moments:
    """Midnights of the days that fall on one of the weekdays, Monday being 0."""
    every = np.datetime64(first, "D") + np.arange(count)
    of_week = (every.astype(np.int64) + 3) % 7
    return every[np.isin(of_week, list(weekdays))].astype("datetime64[us]")


def sessions(dates: Moments, start_hour: float, bars: int, minutes: int) -> Moments:
    """Each day's bars, one after the other from the given hour."""
    first = dates + np.timedelta64(int(start_hour * 3_600_000_000), "us")
    return (first[:, None] + np.arange(bars) * np.timedelta64(minutes * 60_000_000, "us")).ravel()


WORKDAYS, EVERY_DAY = {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4, 5, 6}


def test_daily_bars_of_an_exchange_are_252_a_year() -> None:
    assert read_calendar(days("2024-01-01", 365, WORKDAYS), "1d").periods_per_year == 252


def test_daily_bars_of_a_market_that_never_closes_are_365_a_year() -> None:
    assert read_calendar(days("2024-01-01", 365, EVERY_DAY), "1d").periods_per_year == 365


def test_a_special_saturday_makes_no_open_market() -> None:
    dates = days("2024-01-01", 60, WORKDAYS)
    special = np.sort(np.append(dates, np.datetime64("2024-01-20", "us")))
    assert read_calendar(special, "1d").periods_per_year == 252


def test_a_currency_market_that_opens_on_sunday_is_not_always_open() -> None:
    assert not read_calendar(days("2024-01-01", 60, {0, 1, 2, 3, 4, 6}), "1d").always_open


def test_weekly_bars_are_52_a_year() -> None:
    assert read_calendar(days("2024-01-01", 365, {6}), "1w").periods_per_year == 52


@pytest.mark.parametrize(
    ("timeframe", "minutes", "bars"), [("1m", 1, 390), ("5m", 5, 78), ("1h", 60, 7), ("4h", 240, 2)]
)
def test_intraday_bars_are_the_days_bars_times_252(timeframe: str, minutes: int, bars: int) -> None:
    moments = sessions(days("2024-01-01", 30, WORKDAYS), 14.5, bars, minutes)
    assert read_calendar(moments, timeframe).periods_per_year == 252 * bars  # type: ignore[arg-type]  # of the list above


def test_intraday_bars_around_the_clock_are_the_days_bars_times_365() -> None:
    moments = sessions(days("2024-01-01", 30, EVERY_DAY), 0, 24, 60)
    assert read_calendar(moments, "1h").periods_per_year == 365 * 24


def test_half_days_do_not_move_the_median() -> None:
    full = sessions(days("2024-01-01", 10, WORKDAYS), 14.5, 7, 60)
    half = sessions(days("2024-01-11", 2, WORKDAYS), 14.5, 3, 60)
    assert read_calendar(np.concatenate([full, half]), "1h").periods_per_year == 252 * 7


def test_a_session_that_began_late_is_measured_by_the_whole_ones() -> None:
    four = sessions(days("2024-01-01", 1, WORKDAYS), 14, 4, 60)
    seven = sessions(days("2024-01-02", 1, WORKDAYS), 14, 7, 60)
    assert read_calendar(np.concatenate([four, seven]), "1h").periods_per_year == 252 * 7


def test_days_before_1970_are_days_as_well() -> None:
    assert read_calendar(days("1950-01-02", 365, WORKDAYS), "1d").periods_per_year == 252
    assert read_calendar(days("1950-01-02", 365, EVERY_DAY), "1d").periods_per_year == 365


def test_one_bar_is_a_year_of_sessions() -> None:
    assert read_calendar(days("2024-01-01", 1, WORKDAYS), "1d").periods_per_year == 252


def candles_on(moments: Moments, timeframe: Timeframe = "1d") -> Candles:
    ones = np.ones(len(moments))
    columns = dict.fromkeys(("open", "high", "low", "close", "volume"), ones)
    return Candles.from_arrays("X", timeframe, {**columns, "timestamp": moments})


@pytest.mark.parametrize(
    ("weekdays", "shift_hours"),
    [
        (WORKDAYS, -9),  # Seoul: Monday begins on Sunday at 15:00 UTC
        (WORKDAYS, -13),  # Auckland in summer
        (WORKDAYS, 5),  # New York
        ({6, 0, 1, 2, 3}, -3),  # Riyadh, Sunday to Thursday
        ({6, 0, 1, 2, 3}, 0),
        ({5, 6, 0, 1, 2}, -4),  # Tehran, Saturday to Wednesday
        ({0, 1, 2, 3, 4, 5}, 0),  # Saturday sessions, as there were
        ({6, 0, 1, 2, 3, 4}, 0),  # currencies
    ],
)
def test_a_market_that_rests_on_any_weekday_has_sessions(weekdays: set[int], shift_hours: int) -> None:
    moments = days("2024-01-01", 365, weekdays) + np.timedelta64(shift_hours, "h")
    found = read_calendar(moments, "1d")
    assert (found.periods_per_year, found.source, found.name) == (252, "read", None)


def test_currencies_by_the_hour_from_sunday_evening_to_friday_evening_have_sessions() -> None:
    hours = np.arange("2024-01-07T22", "2024-06-28T22", dtype="datetime64[h]").astype("datetime64[us]")
    of_week = (hours.astype("datetime64[D]").astype(np.int64) + 3) % 7 * 24 + hours.astype(
        "datetime64[h]"
    ).astype(np.int64) % 24
    open_hours = hours[(of_week < 4 * 24 + 22) | (of_week >= 6 * 24 + 22)]
    assert read_calendar(open_hours, "1h").periods_per_year == 252 * 24


@pytest.mark.parametrize(
    ("first", "count", "periods", "source"),
    [
        ("2024-01-01", 6 * 24, 365 * 24, "read"),  # Monday to Saturday around the clock
        ("2024-01-05", 3 * 24, 365 * 24, "read"),  # Friday to Sunday
        ("2024-01-01", 5 * 24, 365 * 24, "assumed"),  # Monday to Friday may be currencies as well
        ("2024-01-01", 10, 252 * 10, "assumed"),
    ],
)
def test_a_few_days_by_the_hour(first: str, count: int, periods: int, source: str) -> None:
    hours = np.datetime64(first, "us") + np.arange(count) * np.timedelta64(3_600_000_000, "us")
    found = read_calendar(hours, "1h")
    assert (found.periods_per_year, found.source) == (periods, source)


def test_a_request_beats_the_record_and_the_record_beats_the_bars() -> None:
    candles = candles_on(days("2024-01-01", 365, EVERY_DAY))
    recorded = replace(candles, record=SymbolRecord.of("XKRX"))
    found = [calendar_of(candles), calendar_of(recorded), calendar_of(recorded, "24/7")]
    assert [(one.name, one.source, one.periods_per_year) for one in found] == [
        ("24/7", "read", 365),
        ("XKRX", "recorded", 252),
        ("24/7", "requested", 365),
    ]
    assert [one.contradicted for one in found] == [False, True, False]


def test_coins_with_a_hole_of_a_year_are_a_market_that_never_closes() -> None:
    every = days("2021-01-01", 3 * 365, EVERY_DAY)
    hole = (every >= np.datetime64("2022-01-01")) & (every < np.datetime64("2023-01-01"))
    assert read_calendar(every[~hole], "1d").periods_per_year == 365


def test_what_is_assumed_or_contradicted_is_said() -> None:
    sparse = days("2024-01-01", 57, {0})  # nine Mondays
    remarks = play(candles_on(sparse), signals_at(len(sparse))).diagnostics
    assert any("252 bars a year are assumed" in remark for remark in remarks)
    told = replace(candles_on(days("2024-01-01", 60, EVERY_DAY)), record=SymbolRecord.of("XNYS"))
    result = play(told, signals_at(len(told)))
    assert any("trade on all weekdays, unlike the calendar XNYS" in remark for remark in result.diagnostics)
    assert result.metrics["periods_per_year"] == 252
