"""Opens on their timeframe's grid, in the market's own time."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from backtest_pipeline.model.time_grid import grid_fault
from backtest_pipeline.model.timeframe import TIMEFRAMES, Timeframe

Stamps = NDArray[np.datetime64]


def _utc(times: pd.DatetimeIndex) -> Stamps:
    moments = times.tz_convert("UTC").tz_localize(None) if times.tz is not None else times
    return moments.as_unit("us").to_numpy()


def _sessions(zone: str, clocks: str, freq: str = "B", periods: int = 520) -> Stamps:
    """Two years of business days, at each of the times of day."""
    days = pd.date_range("2023-01-02", periods=periods, freq=freq)
    times = [day + pd.Timedelta(f"{clock}:00") for day in days for clock in clocks.split()]
    return _utc(
        pd.DatetimeIndex(times).tz_localize(zone, nonexistent="shift_forward", ambiguous="NaT").dropna()
    )


@pytest.mark.parametrize(
    ("timeframe", "opens"),
    [
        ("1d", _sessions("UTC", "00:00", "D")),
        ("1d", _sessions("Asia/Seoul", "00:00")),
        ("1d", _sessions("America/New_York", "00:00")),
        ("1d", _sessions("America/New_York", "09:30")),
        ("1d", _sessions("America/New_York", "17:00", "D")),  # currencies: 21:00 and 22:00 in UTC
        ("1d", _sessions("Europe/Berlin", "00:00")),
        ("1d", _sessions("Australia/Sydney", "10:00")),
        ("1d", _sessions("Africa/Cairo", "00:00", "D")),  # a midnight a year never was
        ("1w", _sessions("America/New_York", "00:00", "W-MON", 104)),
        ("1w", _sessions("UTC", "00:00", "W-SUN", 104)),
        ("1h", _sessions("America/New_York", "09:30 10:30 11:30 12:30 13:30 14:30 15:30")),
        ("1h", _sessions("Asia/Kolkata", "09:15 10:15 11:15 12:15 13:15 14:15 15:15")),
        ("1h", _sessions("Asia/Hong_Kong", "09:30 10:30 11:30 13:00 14:00 15:00")),
        ("4h", _sessions("Asia/Tokyo", "09:00 13:00")),
        ("4h", _sessions("America/New_York", "01:00 05:00 09:00 13:00 17:00 21:00", "D")),
        ("30m", _sessions("Asia/Shanghai", "09:30 10:00 10:30 11:00 13:00 13:30 14:00 14:30")),
        ("15m", _sessions("Asia/Riyadh", "10:00 10:15 10:30 10:45 11:00")),
    ],
)
@pytest.mark.parametrize("part", [slice(None), slice(100, 130), slice(50, 52), slice(1)])
def test_a_markets_own_opens_are_on_the_grid(timeframe: Timeframe, opens: Stamps, part: slice) -> None:
    assert grid_fault(opens[part], timeframe) is None


@pytest.mark.parametrize("density", [0.002, 0.02, 0.2, 0.7])
@pytest.mark.parametrize("timeframe", ["1m", "5m", "1h", "1d"])
def test_an_illiquid_symbol_may_miss_any_bars(density: float, timeframe: Timeframe) -> None:
    step = {"1m": 60, "5m": 300, "1h": 3_600, "1d": 86_400}[timeframe]
    faults = 0
    for seed in range(60):
        chance = np.random.default_rng(seed)
        at = np.cumsum(chance.geometric(density, size=chance.choice([2, 5, 20, 200])))
        opens = np.datetime64("2000-01-03", "us") + (at * step).astype("timedelta64[s]")
        faults += grid_fault(opens, timeframe) is not None
    assert faults == 0


LENGTHS = {
    "1m": "min",
    "5m": "5min",
    "15m": "15min",
    "30m": "30min",
    "1h": "h",
    "4h": "4h",
    "1d": "D",
    "1w": "W-MON",
}


@pytest.mark.parametrize("has", TIMEFRAMES)
@pytest.mark.parametrize("wanted", TIMEFRAMES)
def test_bars_of_another_length_are_refused(has: Timeframe, wanted: Timeframe) -> None:
    opens = _utc(pd.date_range("2024-01-01", periods=60, freq=LENGTHS[has], tz="UTC"))

    fault = grid_fault(opens, wanted)

    assert (fault is None) == (has == wanted)
    if fault:
        assert f"these are not {wanted} candles: " in fault.problem


@pytest.mark.parametrize(
    ("has", "wanted"),
    [("MS", "1d"), ("QS", "1d"), ("B", "1m"), ("B", "1h"), ("MS", "1w"), ("2h", "1h"), ("10min", "5m")],
)
def test_bars_of_an_odd_length_are_refused_too(has: str, wanted: Timeframe) -> None:
    assert grid_fault(_utc(pd.date_range("2020-01-01", periods=40, freq=has, tz="UTC")), wanted)


DAYS = ["2024-01-02T05:00", "2024-01-03T05:00", "2024-01-04T05:00", "2024-01-05T05:00"]


@pytest.mark.parametrize(
    ("timeframe", "opens", "row", "says"),
    [
        (
            "1d",
            [*DAYS, "2024-01-05T18:12:44"],
            4,
            "opens 13 h 12 min after the one before and is not on the 1d grid",
        ),
        ("1d", [*DAYS, "2024-01-06T06:00"], 4, "opens 1 day 1 h after"),  # no clock changes in January
        ("1d", [*DAYS[:2], "2024-01-03T20:00", *DAYS[2:]], 2, "opens 15 h after"),
        ("1d", ["2024-01-01T09:17", *DAYS], 0, "the bar at 2024-01-01T09:17:00 is not on the 1d grid"),
        (
            "1h",
            [f"2024-01-02T0{hour}:00" for hour in range(5)] + ["2024-01-02T05:37"],
            5,
            "opens 1 h 37 min after",
        ),
        (
            "1h",
            [f"2024-01-02T0{hour}:00" for hour in range(5)] + ["2024-01-02T04:30"],
            5,
            "opens 30 min after",
        ),
        ("1m", [f"2024-01-02T00:0{at}" for at in range(5)] + ["2024-01-02T00:05:07"], 5, "opens 67 s after"),
        ("1w", ["2024-01-01", "2024-01-08", "2024-01-15", "2024-01-23"], 3, "opens 8 days after"),
        ("1w", ["2024-01-01", "2024-01-08", "2024-01-15", "2024-01-19"], 3, "opens 4 days after"),
        ("1d", ["2024-01-02T23:59:59.999", "2024-01-03T23:59:59.999"], 0, "looks like a close time"),
        ("1h", ["2024-01-02T00:59:59", "2024-01-02T01:59:59"], 0, "looks like a close time"),
    ],
)
def test_a_bar_off_the_grid_is_named(timeframe: Timeframe, opens: list[str], row: int, says: str) -> None:
    fault = grid_fault(np.array(opens, "datetime64[us]"), timeframe)

    assert fault is not None
    assert (fault.row, says in fault.problem) == (row, True), fault.problem


def test_a_known_zone_allows_its_own_changes_of_the_clocks_only() -> None:
    berlin = _utc(pd.date_range("2024-03-20", "2024-04-10", freq="D", tz="Europe/Berlin"))

    assert grid_fault(berlin, "1d", ZoneInfo("Europe/Berlin")) is None
    assert grid_fault(berlin, "1d", ZoneInfo("Asia/Seoul")) is not None
