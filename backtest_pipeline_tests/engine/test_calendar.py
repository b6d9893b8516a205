"""Bars a year are read from the bars."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from backtest_pipeline.engine.calendar import read_calendar

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
