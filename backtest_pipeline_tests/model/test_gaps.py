"""What counts as a gap, market by market."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from backtest_pipeline.model.gaps import Gaps, find_gaps
from backtest_pipeline.model.timeframe import TIMEFRAMES, Timeframe

NO_GAPS = Gaps(0)


def _stamps(index: pd.DatetimeIndex) -> NDArray[np.datetime64]:
    utc = index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index
    return utc.to_numpy().astype("datetime64[us]")


def _without(index: pd.DatetimeIndex, begin: str, end: str) -> pd.DatetimeIndex:
    """Without the times from `begin` to `end`, the latter not included."""
    zone = index.tz
    kept = (index < pd.Timestamp(begin, tz=zone)) | (index >= pd.Timestamp(end, tz=zone))
    return pd.DatetimeIndex(index[kept])


def _sessions(
    days: pd.DatetimeIndex, hours: list[tuple[str, str]], freq: str, zone: str | None
) -> pd.DatetimeIndex:
    """Bars of the stretches of each day, the closing time not included."""
    parts = [
        pd.date_range(f"{day.date()} {begin}", f"{day.date()} {end}", freq=freq, tz=zone, inclusive="left")
        for day in days
        for begin, end in hours
    ]
    return pd.DatetimeIndex(parts[0].append(parts[1:]))


@pytest.mark.parametrize("timeframe", TIMEFRAMES)
@pytest.mark.parametrize("count", [0, 1])
def test_too_few_candles_have_no_gaps(timeframe: Timeframe, count: int) -> None:
    assert find_gaps(np.array(["2020-01-01"] * count, dtype="datetime64[us]"), timeframe) == NO_GAPS


def test_a_market_that_trades_every_day_may_miss_none() -> None:
    days = pd.date_range("2020-01-01", periods=365)

    assert find_gaps(_stamps(days), "1d") == NO_GAPS
    assert find_gaps(_stamps(days.delete([50, 200, 201])), "1d") == Gaps(
        2, datetime(2020, 7, 18, tzinfo=UTC), datetime(2020, 7, 21, tzinfo=UTC), 2
    )


def test_weekends_and_long_weekends_are_no_gaps_in_a_market_with_sessions() -> None:
    days = pd.bdate_range("2020-01-01", "2020-12-31")
    long_weekends = days.drop(["2020-04-10", "2020-04-13", "2020-05-25", "2020-12-25"])

    # Thursday to Tuesday over Easter is five days, Friday to Tuesday four: exchanges close as long as that.
    assert find_gaps(_stamps(long_weekends), "1d") == NO_GAPS

    # Monday to Monday is seven days, for which no exchange closes in June.
    missing = long_weekends.drop(["2020-06-09", "2020-06-10", "2020-06-11", "2020-06-12"])
    assert find_gaps(_stamps(missing), "1d") == Gaps(
        1, datetime(2020, 6, 8, tzinfo=UTC), datetime(2020, 6, 15, tzinfo=UTC), 4
    )


def test_a_missing_week_of_sessions_lacks_five_bars() -> None:
    days = _without(pd.bdate_range("2020-01-01", "2020-12-31"), "2020-06-08", "2020-06-15")

    assert find_gaps(_stamps(days), "1d") == Gaps(
        1, datetime(2020, 6, 5, tzinfo=UTC), datetime(2020, 6, 15, tzinfo=UTC), 5
    )


def test_workdays_are_counted_by_local_days() -> None:
    days = pd.bdate_range("2020-01-01", "2020-12-31", tz="Asia/Seoul")

    gaps = find_gaps(_stamps(_without(days, "2020-06-08", "2020-06-11")), "1d")

    assert (gaps.count, gaps.largest_bars) == (1, 3)  # Friday to Thursday: Monday, Tuesday, Wednesday


@pytest.mark.parametrize("zone", ["Asia/Seoul", "America/New_York", "Pacific/Auckland"])
def test_days_that_begin_at_local_midnight_have_no_gaps(zone: str) -> None:
    assert find_gaps(_stamps(pd.bdate_range("2019-01-01", "2020-12-31", tz=zone)), "1d") == NO_GAPS
    assert find_gaps(_stamps(pd.date_range("2019-01-01", "2020-12-31", tz=zone)), "1d") == NO_GAPS


def test_a_week_may_begin_a_day_late_but_not_be_missing() -> None:
    weeks = pd.date_range("2020-01-06", periods=52, freq="7D")
    shifted = pd.DatetimeIndex([*weeks[:20], weeks[20] + pd.Timedelta(days=1), *weeks[21:]])

    assert find_gaps(_stamps(shifted), "1w") == NO_GAPS
    assert find_gaps(_stamps(weeks.delete(20)), "1w") == Gaps(
        1, datetime(2020, 5, 18, tzinfo=UTC), datetime(2020, 6, 1, tzinfo=UTC), 1
    )


def test_a_market_that_never_closes_may_miss_no_bar() -> None:
    bars = pd.date_range("2020-01-01", periods=30 * 1_440, freq="1min")

    assert find_gaps(_stamps(bars), "1m") == NO_GAPS
    holes = _without(_without(bars, "2020-01-05 03:00", "2020-01-05 03:01"), "2020-01-20", "2020-01-20 10:00")
    assert find_gaps(_stamps(holes), "1m") == Gaps(
        2, datetime(2020, 1, 19, 23, 59, tzinfo=UTC), datetime(2020, 1, 20, 10, 0, tzinfo=UTC), 600
    )


WORKDAYS = pd.bdate_range("2020-01-02", "2020-12-30").drop(["2020-05-25", "2020-07-03", "2020-11-26"])


@pytest.mark.parametrize(
    ("zone", "hours", "freq", "timeframe"),
    [
        ("America/New_York", [("09:30", "16:00")], "5min", "5m"),
        ("America/New_York", [("04:00", "20:00")], "15min", "15m"),
        ("America/New_York", [("09:30", "16:00")], "4h", "4h"),
        ("Asia/Tokyo", [("09:00", "11:30"), ("12:30", "15:00")], "5min", "5m"),
        ("Asia/Seoul", [("09:00", "15:30")], "30min", "30m"),
        ("America/Chicago", [("00:00", "16:00"), ("17:00", "23:59")], "1h", "1h"),
    ],
)
def test_nights_weekends_and_lunches_are_no_gaps(
    zone: str, hours: list[tuple[str, str]], freq: str, timeframe: Timeframe
) -> None:
    assert find_gaps(_stamps(_sessions(WORKDAYS, hours, freq, zone)), timeframe) == NO_GAPS


def test_missing_bars_within_a_session_are_a_gap() -> None:
    bars = _sessions(WORKDAYS, [("09:30", "16:00")], "5min", "America/New_York")
    holes = _without(bars, "2020-03-12 10:00", "2020-03-12 10:20")
    holes = _without(holes, "2020-06-15 12:00", "2020-06-15 12:05")

    assert find_gaps(_stamps(holes), "5m") == Gaps(
        2, datetime(2020, 3, 12, 13, 55, tzinfo=UTC), datetime(2020, 3, 12, 14, 20, tzinfo=UTC), 4
    )


def test_an_early_close_is_no_gap_and_a_missing_week_is() -> None:
    bars = _sessions(WORKDAYS, [("09:30", "16:00")], "5min", "America/New_York")
    early = _without(bars, "2020-11-27 13:00", "2020-11-28")
    assert find_gaps(_stamps(early), "5m") == NO_GAPS

    gaps = find_gaps(_stamps(_without(early, "2020-03-09", "2020-03-14")), "5m")

    assert (gaps.count, gaps.largest_from) == (1, datetime(2020, 3, 6, 20, 55, tzinfo=UTC))
    # Five sessions of 78 bars, estimated from the year's bars per day.
    assert gaps.largest_bars == pytest.approx(5 * 78, rel=0.4)


def test_a_market_that_closes_at_weekends_only_may_miss_no_bar_in_between() -> None:
    hours = pd.date_range("2020-01-05 22:00", "2020-06-26 22:00", freq="1h", inclusive="left")
    open_hours = hours[
        (hours.day_of_week < 4)
        | ((hours.day_of_week == 4) & (hours.hour < 22))
        | ((hours.day_of_week == 6) & (hours.hour >= 22))
    ]

    assert find_gaps(_stamps(open_hours), "1h") == NO_GAPS
    assert find_gaps(_stamps(_without(open_hours, "2020-03-03 05:00", "2020-03-03 08:00")), "1h") == Gaps(
        1, datetime(2020, 3, 3, 4, tzinfo=UTC), datetime(2020, 3, 3, 8, tzinfo=UTC), 3
    )
