"""Longer candles equal what pandas makes of the shorter ones, and say which of them lack some."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from backtest_pipeline.candles.importer import import_table
from backtest_pipeline.candles.resampling import partial_bars, resample, resample_again
from backtest_pipeline.candles.sources.coverage import Coverage, write_coverage
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.candles.store_check import check_store
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.timeframe import BAR_SECONDS, Timeframe

MONDAY = pd.Timestamp("2024-01-01", tz="UTC")
HOW = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}


def made(timestamp: pd.DatetimeIndex, seed: int = 0) -> pd.DataFrame:
    """Valid candles of a random walk at these moments."""
    chance = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(chance.normal(0, 0.002, len(timestamp))))
    opened = close * np.exp(chance.normal(0, 0.001, len(timestamp)))
    return pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * 1.001,
            "low": np.minimum(opened, close) * 0.999,
            "close": close,
            "volume": chance.exponential(10, len(timestamp)),
        },
        index=pd.DatetimeIndex(timestamp, name="timestamp"),
    )


def put(store: CandleStore, frame: pd.DataFrame, timeframe: Timeframe, calendar: str | None = "24/7") -> None:
    table = pa.Table.from_pandas(frame.reset_index())
    import_table(store, table, "ACME", timeframe, calendar=calendar)


def got(store: CandleStore, timeframe: Timeframe) -> pd.DataFrame:
    candles = store.load(["ACME"], timeframe)["ACME"]
    index = pd.DatetimeIndex(candles.timestamp, tz="UTC", name="timestamp")
    return pd.DataFrame({name: getattr(candles, name) for name in HOW}, index=index)


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    right.index = pd.DatetimeIndex(right.index).as_unit("us")
    pd.testing.assert_frame_equal(left, right, check_freq=False, rtol=1e-12, check_index_type=False)


@pytest.mark.parametrize(
    ("fine", "coarse"), [("1m", "5m"), ("5m", "1h"), ("15m", "4h"), ("1h", "1d"), ("4h", "1w")]
)
def test_a_market_that_never_closes_equals_pandas(fine: Timeframe, coarse: Timeframe, tmp_path: Path) -> None:
    """From a Monday; three in ten of the short bars are missing, and the last long bar has not ended."""
    step = pd.Timedelta(seconds=BAR_SECONDS[fine])
    moments = pd.date_range(
        "2024-01-01", periods=10 * BAR_SECONDS[coarse] // BAR_SECONDS[fine] + 3, freq=step, tz="UTC"
    )
    kept = np.random.default_rng(1).random(len(moments)) < 0.7
    kept[-1] = True
    store = CandleStore(tmp_path)
    put(store, frame := made(moments[kept]), fine)

    report = resample(store, "ACME", fine, coarse)

    whole = frame.resample(pd.Timedelta(seconds=BAR_SECONDS[coarse]), origin=MONDAY).agg(HOW).dropna()
    same(got(store, coarse), whole[:-1])
    assert report.rows == 10
    full = frame.resample(pd.Timedelta(seconds=BAR_SECONDS[coarse]), origin=MONDAY).size()[:-1]
    lacking = full[full < BAR_SECONDS[coarse] // BAR_SECONDS[fine]].index
    assert partial_bars(store, "ACME", coarse) == tuple(lacking)


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "Asia/Seoul"])
@pytest.mark.parametrize("change", ["2024-03-08", "2024-10-25", "2024-11-01"])
@pytest.mark.parametrize("coarse", ["4h", "1d"])
def test_days_of_a_zone_equal_pandas_where_clocks_change(
    zone: str, change: str, coarse: Timeframe, tmp_path: Path
) -> None:
    """Ten days of hours; days by `resample` in the zone, four hours by the clock on the wall."""
    begin = pd.Timestamp(change, tz=zone)
    moments = pd.date_range(begin, begin + pd.DateOffset(days=10), freq="h", inclusive="left")
    store = CandleStore(tmp_path)
    put(store, made(moments.tz_convert("UTC")), "1h")
    record = store.layout.symbol_record("ACME")
    record.write_text(f'{{"calendar": "24/7", "timezone": "{zone}"}}')

    resample(store, "ACME", "1h", coarse)

    frame = made(moments)
    if coarse == "1d":
        expected = frame.resample("1D").agg(HOW)
    else:
        wall = moments.tz_localize(None).floor("4h")
        expected = frame.groupby(wall).agg(HOW)
        expected.index = pd.DatetimeIndex(expected.index).tz_localize(
            zone, ambiguous=np.ones(len(expected), bool)
        )
    expected.index = pd.DatetimeIndex(expected.index).tz_convert("UTC")
    expected.index.name = "timestamp"
    same(got(store, coarse), expected)
    assert partial_bars(store, "ACME", coarse) == ()  # a day of 23 hours lacks none
    assert [fault for report in check_store(store) for fault in report.faults] == []


def test_an_hour_that_comes_twice_is_two_bars(tmp_path: Path) -> None:
    moments = pd.date_range("2024-11-03 04:00", "2024-11-03 08:00", freq="15min", tz="UTC", inclusive="left")
    store = CandleStore(tmp_path)
    put(store, made(moments), "15m")
    store.layout.symbol_record("ACME").write_text('{"calendar": "24/7", "timezone": "America/New_York"}')
    resample(store, "ACME", "15m", "1h")
    same(got(store, "1h"), made(moments).resample("1h").agg(HOW))


def _sessions(days: list[str], hours: list[tuple[str, str]], zone: str, step: str) -> pd.DatetimeIndex:
    parts = [
        pd.date_range(f"{day} {begin}", f"{day} {end}", freq=step, tz=zone, inclusive="left")
        for day in days
        for begin, end in hours
    ]
    return pd.DatetimeIndex([moment for part in parts for moment in part]).tz_convert("UTC")


def test_hours_of_new_york_begin_with_the_session(tmp_path: Path) -> None:
    """9:30 to 16:00 in minutes, around a change of clocks: seven hours, the last one of half an hour."""
    days = ["2024-03-07", "2024-03-08", "2024-03-11", "2024-03-12"]
    moments = _sessions(days, [("09:30", "16:00")], "America/New_York", "1min")
    store = CandleStore(tmp_path)
    put(store, frame := made(moments), "1m", "XNYS")
    resample(store, "ACME", "1m", "1h")
    local = frame.tz_convert("America/New_York")
    of_days = [local.loc[day].resample("1h", origin="start").agg(HOW) for day in days]
    expected = pd.concat(of_days).tz_convert("UTC")
    assert len(expected) == 4 * 7
    same(got(store, "1h"), expected)
    assert partial_bars(store, "ACME", "1h") == ()
    assert [fault for report in check_store(store) for fault in report.faults] == []


def test_days_of_new_york_are_its_sessions(tmp_path: Path) -> None:
    """Five days and a half holiday; of one session an hour is missing, and it is marked."""
    days = [
        "2024-07-01",
        "2024-07-02",
        "2024-07-03",
        "2024-07-05",
    ]  # the 4th is a holiday, the 3rd ends at 13:00
    moments = _sessions(days, [("09:30", "16:00")], "America/New_York", "30min")
    early = pd.Timestamp("2024-07-03 13:00", tz="America/New_York")
    moments = moments[(moments < early) | (moments > early + pd.Timedelta(hours=5))]
    missing = pd.date_range("2024-07-02 12:00", periods=2, freq="30min", tz="America/New_York")
    moments = moments[~moments.isin(missing)]
    store = CandleStore(tmp_path)
    put(store, frame := made(moments), "30m", "XNYS")

    assert resample(store, "ACME", "30m", "1d").rows == 4

    expected = frame.tz_convert("America/New_York").resample("1D").agg(HOW).dropna().tz_convert("UTC")
    same(got(store, "1d"), expected)
    assert partial_bars(store, "ACME", "1d") == (datetime(2024, 7, 2, 4, tzinfo=UTC),)
    resample(store, "ACME", "1d", "1w")
    assert partial_bars(store, "ACME", "1w") == (
        datetime(2024, 7, 1, 4, tzinfo=UTC),
    )  # its Tuesday lacks an hour


def test_bars_of_tokyo_begin_anew_after_lunch(tmp_path: Path) -> None:
    """Sessions 9:00-11:30 and 12:30-15:00 of 2023: four-hour bars are one of each."""
    days = ["2023-05-08", "2023-05-09"]
    moments = _sessions(days, [("09:00", "11:30"), ("12:30", "15:00")], "Asia/Tokyo", "5min")
    store = CandleStore(tmp_path)
    put(store, frame := made(moments), "5m", "XTKS")
    resample(store, "ACME", "5m", "4h")
    local = frame.tz_convert("Asia/Tokyo")
    halves = [local.loc[f"{day} {part}"] for day in days for part in ("09", "10", "11", "12", "13", "14")]
    parts = [pd.concat(halves[at : at + 3]) for at in range(0, len(halves), 3)]
    expected = pd.concat([part.resample("4h", origin="start").agg(HOW) for part in parts]).tz_convert("UTC")
    same(got(store, "4h"), expected)
    assert partial_bars(store, "ACME", "4h") == ()


@pytest.mark.slow
@pytest.mark.parametrize("midnight", ["UTC", "America/New_York", "Asia/Seoul"])
def test_weeks_of_daily_bars_hold_their_sessions(midnight: str, tmp_path: Path) -> None:
    """Whatever midnight the days open at; a week whose Monday is a holiday begins on that Monday."""
    calendar, zone = ("XKRX", "Asia/Seoul") if midnight == "Asia/Seoul" else ("XNYS", "America/New_York")
    days = pd.bdate_range("2024-01-01", "2024-01-26")
    holidays = ["2024-01-01"] if calendar == "XKRX" else ["2024-01-01", "2024-01-15"]
    days = days[~days.isin(pd.DatetimeIndex(holidays))]
    store = CandleStore(tmp_path)
    put(store, frame := made(days.tz_localize(midnight).tz_convert("UTC")), "1d", calendar)

    resample(store, "ACME", "1d", "1w")

    mondays = days - pd.to_timedelta(days.day_of_week, unit="D")
    expected = frame.groupby(mondays.tz_localize(midnight).tz_convert("UTC")).agg(HOW)
    expected.index.name = "timestamp"
    result = got(store, "1w")
    same(result, expected[: len(result)])
    assert len(result) >= 3
    assert partial_bars(store, "ACME", "1w") == ()
    assert ZoneInfo(zone).key


def test_the_last_bar_is_made_when_it_has_ended(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    moments = pd.date_range("2024-01-01", periods=4 * 60 - 1, freq="1min", tz="UTC")
    put(store, made(moments), "1m")
    assert resample(store, "ACME", "1m", "1h").rows == 3
    put(store, made(pd.date_range("2024-01-01 03:59", periods=1, freq="1min", tz="UTC"), seed=3), "1m")
    assert resample(store, "ACME", "1m", "1h").rows == 4


def test_where_a_source_was_asked_nothing_lacks(tmp_path: Path) -> None:
    """Nobody traded for most of two hours; for the third one the source has not been asked to its end."""
    store = CandleStore(tmp_path)
    moments = pd.DatetimeIndex(["2024-01-01 00:07", "2024-01-01 01:30", "2024-01-01 02:01"], tz="UTC")
    put(store, made(moments), "1m")
    coverage = Coverage(
        source="upbit",
        market="KRW-ACME",
        first=datetime(2024, 1, 1, tzinfo=UTC),
        until=datetime(2024, 1, 1, 2, 30, tzinfo=UTC),
    )
    write_coverage(store.layout, "ACME", "1m", coverage)
    assert resample(store, "ACME", "1m", "1h").rows == 2
    assert partial_bars(store, "ACME", "1h") == ()


def test_a_day_ends_when_the_source_was_asked_for_its_last_hour(tmp_path: Path) -> None:
    """Nobody trades after 22:00. Candles that opened before 22:01 are known, then those before 23:01."""
    store = CandleStore(tmp_path)
    moments = pd.DatetimeIndex(["2024-01-01 03:00", "2024-01-01 22:00"], tz="UTC")
    put(store, made(moments), "1h")
    first, hour = datetime(2024, 1, 1, tzinfo=UTC), timedelta(hours=1)
    known = Coverage(source="upbit", market="KRW-ACME", first=first, until=first + 22 * hour + hour / 60)
    write_coverage(store.layout, "ACME", "1h", known)
    assert resample(store, "ACME", "1h", "1d").rows == 0
    write_coverage(store.layout, "ACME", "1h", known.model_copy(update={"until": known.until + hour}))
    assert resample(store, "ACME", "1h", "1d").rows == 1
    assert partial_bars(store, "ACME", "1d") == ()


def test_what_is_made_of_marked_bars_is_marked(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    moments = pd.date_range("2024-01-01", periods=2 * 24 * 60, freq="1min", tz="UTC")
    moments = moments[moments != pd.Timestamp("2024-01-02 05:30", tz="UTC")]
    put(store, made(moments), "1m")
    resample(store, "ACME", "1m", "1h")
    resample(store, "ACME", "1h", "1d")
    assert partial_bars(store, "ACME", "1h") == (datetime(2024, 1, 2, 5, tzinfo=UTC),)
    assert partial_bars(store, "ACME", "1d") == (datetime(2024, 1, 2, tzinfo=UTC),)
    put(store, made(pd.DatetimeIndex(["2024-01-02 05:30"], tz="UTC")), "1m")
    assert [(report.coarse, report.rows_partial) for report in resample_again(store, ["ACME"])] == [
        ("1h", 0),
        ("1d", 0),
    ]


def test_other_people_s_candles_are_replaced_only_where_asked(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    moments = pd.date_range("2024-01-01", periods=48, freq="1h", tz="UTC")
    put(store, made(moments), "1h")
    put(store, made(moments[::24], seed=7), "1d")
    before = got(store, "1d")
    with pytest.raises(RequestInvalid, match="ACME's 1d candles were imported; add --replace"):
        resample(store, "ACME", "1h", "1d")
    same(got(store, "1d"), before)
    report = resample(store, "ACME", "1h", "1d", replace=True)
    assert report.rows_replaced == 2
    assert resample(store, "ACME", "1h", "1d").years == ()  # the same again changes nothing
    with pytest.raises(RequestInvalid, match="1h cannot be made of 1d; choose one of 1w"):
        resample(store, "ACME", "1d", "1h")
