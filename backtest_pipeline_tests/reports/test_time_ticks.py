"""Ticks of a time axis."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backtest_pipeline.reports.charts.time_ticks import time_ticks


def test_years_are_told_by_their_number() -> None:
    moments, labels = time_ticks(np.datetime64("2000-03-01", "us"), np.datetime64("2013-03-01", "us"))
    assert labels == ["2002", "2004", "2006", "2008", "2010", "2012"]
    assert moments[0] == np.datetime64("2002-01-01", "us")


def test_days_count_from_the_first_of_their_month() -> None:
    _, labels = time_ticks(np.datetime64("2024-01-20", "us"), np.datetime64("2024-03-12", "us"), most=6)
    assert labels == ["21 Jan 2024", "1 Feb 2024", "11 Feb 2024", "21 Feb 2024", "1 Mar 2024", "11 Mar 2024"]


def test_hours_tell_the_day_too() -> None:
    nine, eleven = np.datetime64("2024-01-20T09:00", "us"), np.datetime64("2024-01-20T11:00", "us")
    _, labels = time_ticks(nine, eleven)
    assert labels == ["20 Jan 09:00", "20 Jan 09:30", "20 Jan 10:00", "20 Jan 10:30", "20 Jan 11:00"]


@given(start=st.integers(-(10**9), 4 * 10**9), seconds=st.integers(0, 3 * 10**9))
def test_ticks_lie_within_the_span_in_order_and_are_few(start: int, seconds: int) -> None:
    first = np.datetime64(start * 1_000_000, "us")
    last = first + np.timedelta64(seconds, "s")
    moments, labels = time_ticks(first, last)
    assert len(moments) == len(labels) <= 9
    assert ((moments >= first) & (moments <= last)).all()
    assert (np.diff(moments) > np.timedelta64(0, "us")).all()
