"""The engine runs on what was asked for: from `start` to `end`, as the store would have cut it."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from backtest_pipeline.candles.merge import merge_candles
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.engine.inputs import chosen_candles
from backtest_pipeline.model.candles import CANDLE_COLUMNS, Candles
from backtest_pipeline.model.errors import CandlesMissing, RequestInvalid
from backtest_pipeline.model.request import SERVICE_FIELDS, BacktestRequest
from backtest_pipeline.workflows.run_backtest import run_backtest
from backtest_pipeline_tests.engine.scripted import candles_of, flat

SEOUL = timezone(timedelta(hours=9))
HOURS = candles_of(flat(*range(100, 100 + 24 * 10)), timeframe="1h", start="2024-01-01")  # ten days


def _request(**fields: Any) -> BacktestRequest:
    return BacktestRequest(**{"strategy": "buy_and_hold", "symbols": ["X"], "timeframe": "1h", **fields})


def _seen(request: BacktestRequest, zone: str = "UTC") -> tuple[pd.Timestamp, pd.Timestamp, int]:
    """First moment, last moment and number of bars that the account went through."""
    moments = run_backtest({"X": HOURS}, request, timezone=zone).equity["timestamp"]
    return moments.iloc[0], moments.iloc[-1], len(moments)


def _utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@pytest.mark.parametrize(
    ("asked", "first", "last", "bars"),
    [
        ({}, "2024-01-01T00:00", "2024-01-10T23:00", 240),
        ({"start": "2024-01-03"}, "2024-01-03T00:00", "2024-01-10T23:00", 8 * 24),
        ({"end": "2024-01-03"}, "2024-01-01T00:00", "2024-01-03T23:00", 3 * 24),
        ({"start": "2024-01-03", "end": "2024-01-03"}, "2024-01-03T00:00", "2024-01-03T23:00", 24),
        ({"start": date(2024, 1, 2), "end": date(2024, 1, 4)}, "2024-01-02T00:00", "2024-01-04T23:00", 72),
        ({"start": "2024-01-03T05:00", "end": "2024-01-03T07:00"}, "2024-01-03T05:00", "2024-01-03T07:00", 3),
        (
            {"start": "2024-01-03T05:00:01", "end": "2024-01-03T06:59"},
            "2024-01-03T06:00",
            "2024-01-03T06:00",
            1,
        ),
        ({"start": datetime(2024, 1, 3, 5, tzinfo=SEOUL)}, "2024-01-02T20:00", "2024-01-10T23:00", 196),
        ({"end": "2024-01-03T05:00:00+09:00"}, "2024-01-01T00:00", "2024-01-02T20:00", 45),
        ({"start": "2020-01-01", "end": "2030-01-01"}, "2024-01-01T00:00", "2024-01-10T23:00", 240),
        ({"start": "0001-01-01", "end": "9999-12-31"}, "2024-01-01T00:00", "2024-01-10T23:00", 240),
    ],
)
def test_start_and_end_are_inclusive_and_a_date_as_end_is_that_whole_day(
    asked: dict[str, Any], first: str, last: str, bars: int
) -> None:
    assert _seen(_request(**asked)) == (_utc(first), _utc(last), bars)


def test_a_moment_without_a_zone_is_of_the_zone_that_is_named_and_of_utc_otherwise() -> None:
    day = _request(start="2024-01-03", end="2024-01-03")
    assert _seen(day) == (_utc("2024-01-03T00:00"), _utc("2024-01-03T23:00"), 24)
    assert _seen(day, "Asia/Seoul") == (_utc("2024-01-02T15:00"), _utc("2024-01-03T14:00"), 24)
    moment = _request(start="2024-01-03T05:00", end="2024-01-03T05:00")
    assert _seen(moment, "America/New_York")[0] == _utc("2024-01-03T10:00")
    told = _request(start="2024-01-03T05:00Z", end="2024-01-03T05:00Z")
    assert _seen(told, "America/New_York")[0] == _utc("2024-01-03T05:00")


def test_a_zone_that_is_none_is_refused() -> None:
    with pytest.raises(RequestInvalid, match="'Nowhere' is no time zone"):
        run_backtest({"X": HOURS}, _request(), timezone="Nowhere")


@pytest.mark.parametrize(
    "asked",
    [
        {"end": "2023-12-31"},
        {"start": "2024-01-11"},
        {"start": "2024-01-03T05:15", "end": "2024-01-03T05:45"},
        {"start": "2019-01-01", "end": "2019-12-31"},
    ],
)
def test_where_nothing_is_left_the_run_is_refused_and_says_what_there_is(asked: dict[str, str]) -> None:
    with pytest.raises(
        CandlesMissing,
        match=r"no X 1h candles from .* to .*; the candles given are from 2024-01-01 to 2024-01-10T23:00",
    ):
        run_backtest({"X": HOURS}, _request(**asked))


def test_each_symbol_must_have_something_left() -> None:
    late = candles_of(flat(1, 2, 3), symbol="LATE", timeframe="1h", start="2024-02-01")
    request = _request(symbols=["X", "LATE"], end="2024-01-05")
    with pytest.raises(CandlesMissing, match="no LATE 1h candles from the first to 2024-01-05"):
        run_backtest({"X": HOURS, "LATE": late}, request)


def test_candles_that_were_cut_already_are_taken_as_they_are() -> None:
    request = _request(start="2024-01-03", end="2024-01-05")
    [cut] = chosen_candles({"X": HOURS}, request)
    [again] = chosen_candles({"X": cut}, request)
    assert again is cut
    [whole] = chosen_candles({"X": HOURS}, _request(start="2024-01-01"))
    assert whole is HOURS


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York", "Australia/Lord_Howe"])
def test_it_cuts_as_the_store_cuts(tmp_path: Path, zone: str) -> None:
    """All bars around both changes of New York's clocks, by every kind of moment."""
    moments = pd.date_range("2024-03-08", "2024-11-05", freq="1h", tz="UTC")
    prices = dict.fromkeys(("open", "high", "low", "close"), 100.0)
    frame = pd.DataFrame({"timestamp": moments, **prices, "volume": 1.0})
    candles = Candles.from_frame(frame, symbol="X", timeframe="1h")
    store = CandleStore(tmp_path, zone)
    columns = {name: getattr(candles, name) for name in CANDLE_COLUMNS}
    merge_candles(store, "X", "1h", columns)
    for start, end in [
        (date(2024, 3, 10), date(2024, 3, 10)),
        (date(2024, 11, 3), date(2024, 11, 3)),
        (datetime(2024, 3, 10, 2, 30), datetime(2024, 11, 3, 1, 30)),  # noqa: DTZ001  one never was, one was twice
        (datetime(2024, 11, 3, 1), datetime(2024, 11, 3, 1)),  # noqa: DTZ001  which was twice in New York
        (datetime(2024, 4, 1, tzinfo=ZoneInfo("Europe/Berlin")), date(2024, 4, 2)),
        (None, date(2024, 3, 31)),
        (date(2024, 10, 27), None),
    ]:
        loaded = store.load(["X"], "1h", start, end)["X"]
        [cut] = chosen_candles({"X": candles}, _request(start=start, end=end), zone)
        assert cut.fingerprint() == loaded.fingerprint(), (start, end)
        [again] = chosen_candles({"X": loaded}, _request(start=start, end=end), zone)
        assert again is loaded


def test_different_spans_give_different_results() -> None:
    finals = {
        run_backtest({"X": HOURS}, _request(start=start, end=end)).metrics["final_equity"]
        for start, end in [("2024-01-01", "2024-01-02"), ("2024-01-03", "2024-01-06"), (None, "2024-01-09")]
    }
    assert len(finals) == 3


def test_what_the_engine_leaves_to_the_service_changes_no_result() -> None:
    changed = {"timeout_s": 7, "max_retries": 0, "priority": 9, "pinned": True, "labels": {"desk": "rates"}}
    assert set(changed) == set(SERVICE_FIELDS)
    plain = run_backtest({"X": HOURS}, _request())
    other = run_backtest({"X": HOURS}, _request(**changed))
    assert plain.metrics == other.metrics
    assert plain.equity.equals(other.equity)
    assert plain.trades.equals(other.trades)
