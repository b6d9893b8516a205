"""One file of candles: the forms it may have, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import (
    CandleFileUnreadable,
    CandlesInvalid,
)

MakeFrame = Callable[..., pd.DataFrame]
Put = Callable[..., Path]


def _as_index(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index("timestamp")


def _as_unnamed_index(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index("timestamp").rename_axis(None)


def _as_seoul_times(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(timestamp=frame["timestamp"].dt.tz_convert("Asia/Seoul"))


def _as_naive_seoul_times(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(timestamp=frame["timestamp"].dt.tz_convert("Asia/Seoul").dt.tz_localize(None))


def _with_unit(unit: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.assign(timestamp=frame["timestamp"].dt.as_unit(cast(Any, unit)))


def _with_types(frame: pd.DataFrame) -> pd.DataFrame:
    kinds = {"open": "float32", "high": "float32", "low": "float32", "close": "int32", "volume": "int64"}
    return frame.astype(kinds)


def _with_more_columns(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(symbol="ACME", timeframe="1D")[["symbol", "volume", *frame.columns[:5], "timeframe"]]


@pytest.mark.parametrize(
    "form",
    [
        _as_index,
        _as_unnamed_index,
        _as_seoul_times,
        _as_naive_seoul_times,
        _with_unit("ns"),
        _with_unit("ms"),
        _with_unit("s"),
        _with_types,
        _with_more_columns,
    ],
)
def test_files_of_the_old_volume_load_as_they_are(
    form: Callable[[pd.DataFrame], pd.DataFrame], data_root: Path, candle_frame: MakeFrame, put: Put
) -> None:
    frame = candle_frame("2020-02-01", 200)
    put(frame, "PLAIN/1D/2020.parquet")
    put(form(frame), "OLD/1D/2020.parquet")

    loaded = CandleStore(data_root, "Asia/Seoul").load(
        ["PLAIN", "OLD"], "1d", date(2020, 3, 1), date(2020, 4, 1)
    )

    assert len(loaded["PLAIN"]) == 32
    assert loaded["OLD"].fingerprint() == loaded["PLAIN"].fingerprint()


def test_dates_and_decimals_load_too(data_root: Path, candle_frame: MakeFrame) -> None:
    frame = candle_frame("2020-02-01", 5)
    table = pa.table(frame)
    table = table.set_column(0, "timestamp", table["timestamp"].cast(pa.timestamp("us")).cast(pa.date32()))
    for at, name in enumerate(table.column_names[1:], start=1):
        table = table.set_column(at, name, table[name].cast(pa.decimal128(20, 4)))
    path = data_root / "ACME/1D/2020.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)

    candles = CandleStore(data_root, "Asia/Seoul").load(["ACME"], "1d", date(2020, 2, 2))["ACME"]

    assert str(candles.timestamp[0]) == "2020-02-01T15:00:00.000000"
    assert candles.close.tolist() == frame["close"].tolist()[1:]


def test_local_times_that_come_twice_or_never_are_read_by_the_rule(
    data_root: Path, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-11-01 00:00", 3, "1h", tz=None), "ACME/1H/2020.parquet")
    put(candle_frame("2021-03-14 01:30", 2, "1h", tz=None), "ACME/1H/2021.parquet")

    stamps = CandleStore(data_root, "America/New_York").load(["ACME"], "1h")["ACME"].timestamp

    assert [str(stamp)[:16] for stamp in stamps] == [
        "2020-11-01T04:00",
        "2020-11-01T05:00",  # 01:00, in summer time; the second 01:00 is not in the file
        "2020-11-01T07:00",  # 02:00, in winter time
        "2021-03-14T06:30",  # 01:30
        "2021-03-14T07:00",  # 02:30 never was: 03:00 summer time
    ]


@pytest.mark.parametrize("keep", [0, 3, 4, 50, 2_000])
def test_a_truncated_file_is_unreadable(
    keep: int, store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    path = put(candle_frame("2020-01-01", 100))
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(CandleFileUnreadable) as refused:
        store.load(["ACME"], "1d")

    assert str(refused.value).startswith(f"ACME: cannot read {path}: Parquet ")
    assert str(refused.value).endswith("; restore the file, or delete it and import its candles again")


def _changed(row: int, **values: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        for name, value in values.items():
            column: list[Any] = frame[name].tolist()
            column[row] = value
            frame = frame.assign(**{name: column})
        return frame

    return change


def _same_time_twice(frame: pd.DataFrame) -> pd.DataFrame:
    stamps = frame["timestamp"].tolist()
    stamps[151] = stamps[150]
    return frame.assign(timestamp=stamps)


def _two_rows_swapped(frame: pd.DataFrame) -> pd.DataFrame:
    stamps = frame["timestamp"].tolist()
    stamps[150], stamps[151] = stamps[151], stamps[150]
    return frame.assign(timestamp=stamps)


DAY_150 = "at 2020-05-30T00:00:00"


@pytest.mark.parametrize(
    ("change", "problem", "row"),
    [
        (_changed(150, open=np.nan), f"open must be finite and positive: open nan, {DAY_150}", 150),
        (_changed(150, close=0.0), f"close must be finite and positive: close 0.0, {DAY_150}", 150),
        (_changed(150, low=-3.0), f"low must be finite and positive: low -3.0, {DAY_150}", 150),
        (_changed(150, high=np.inf), f"high must be finite and positive: high inf, {DAY_150}", 150),
        (_changed(150, high=249.9), f"high is below close: high 249.9, close 250.0, {DAY_150}", 150),
        (_changed(150, open=251.5), f"high is below open: high 251.0, open 251.5, {DAY_150}", 150),
        (_changed(150, low=249.75), f"low is above open: low 249.75, open 249.5, {DAY_150}", 150),
        (_changed(150, volume=-1.0), f"volume must be finite and not negative: volume -1.0, {DAY_150}", 150),
        (_changed(150, volume=np.nan), f"volume must be finite and not negative: volume nan, {DAY_150}", 150),
        (_changed(150, timestamp=pd.NaT), "timestamp is missing", 150),
        (
            _same_time_twice,
            "two rows have the same timestamp: 2020-05-30T00:00:00 follows 2020-05-30T00:00:00",
            151,
        ),
        (
            _two_rows_swapped,
            "rows are not sorted by timestamp: 2020-05-30T00:00:00 follows 2020-05-31T00:00:00",
            151,
        ),
    ],
)
@pytest.mark.parametrize("start", [None, date(2020, 5, 10)])
def test_a_bad_row_is_named_by_its_place_in_the_file(
    *,
    change: Callable[[pd.DataFrame], pd.DataFrame],
    problem: str,
    row: int,
    start: date | None,
    store: CandleStore,
    candle_frame: MakeFrame,
    put: Put,
) -> None:
    path = put(change(candle_frame("2020-01-01", 300)), row_group_size=64)

    with pytest.raises(CandlesInvalid) as refused:
        store.load(["ACME"], "1d", start)

    assert str(refused.value) == f"ACME: {problem} ({path}, row {row})"
    assert refused.value.row == row


def test_a_bad_row_outside_the_range_does_not_matter(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    put(_changed(150, close=0.0)(candle_frame("2020-01-01", 300)))

    assert len(store.load(["ACME"], "1d", end=date(2020, 3, 1))["ACME"]) == 61


def test_missing_columns_are_named(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    path = put(candle_frame("2020-01-01", 10).drop(columns=["low", "volume"]))

    with pytest.raises(CandlesInvalid) as refused:
        store.load(["ACME"], "1d")

    assert str(refused.value) == (
        f"ACME: missing columns: low, volume; the file has timestamp, open, high, close ({path})"
    )


def test_a_missing_timestamp_is_named(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    put(candle_frame("2020-01-01", 10).rename(columns={"timestamp": "when"}))

    with pytest.raises(CandlesInvalid, match="missing columns: timestamp; the file has when, open"):
        store.load(["ACME"], "1d")


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        ("close", "close must hold numbers, not "),
        ("timestamp", "timestamp must hold times, not .*; use `backtest candles import`"),
    ],
)
def test_a_column_of_the_wrong_type_is_named(
    column: str, problem: str, store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    frame = candle_frame("2020-01-01", 10)
    put(frame.assign(**{column: frame[column].astype(str)}))

    with pytest.raises(CandlesInvalid, match=problem):
        store.load(["ACME"], "1d")


def test_times_beyond_the_calendar_are_refused(data_root: Path, candle_frame: MakeFrame) -> None:
    table = pa.table(candle_frame("2020-01-01", 2))
    wrong_unit = pa.array([1_600_000_000_000, 1_600_086_400_000]).cast(pa.timestamp("s", tz="UTC"))
    path = data_root / "ACME/1D/2020.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table.set_column(0, "timestamp", wrong_unit), path)
    store = CandleStore(data_root)

    for use in (lambda: store.load(["ACME"], "1d"), store.inventory):
        with pytest.raises(CandlesInvalid, match="timestamp must lie in the years 1 to 9999: 52671-"):
            use()
