"""Loading candles: which rows, from which files, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from backtest_pipeline.candles.store import CandleListing, CandleStore
from backtest_pipeline.model.errors import (
    CandleFileUnreadable,
    CandlesInvalid,
    CandlesMissing,
    RequestInvalid,
    SymbolsUnknown,
)

MakeFrame = Callable[..., pd.DataFrame]
Put = Callable[..., Path]


def _days(candles: Any) -> list[str]:
    return [str(stamp)[:10] for stamp in candles.timestamp]


def test_start_and_end_are_inclusive(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    put(candle_frame("2020-01-01", 10))

    candles = store.load(["ACME"], "1d", date(2020, 1, 3), date(2020, 1, 5))["ACME"]

    assert _days(candles) == ["2020-01-03", "2020-01-04", "2020-01-05"]
    assert candles.close.tolist() == [102, 103, 104]
    assert candles.volume.tolist() == [1_002, 1_003, 1_004]


def test_a_date_as_end_includes_that_whole_day(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    put(candle_frame("2020-01-01", 72, "1h"), "ACME/1H/2020.parquet")

    candles = store.load(["ACME"], "1h", date(2020, 1, 2), date(2020, 1, 2))["ACME"]

    assert str(candles.timestamp[0]) == "2020-01-02T00:00:00.000000"
    assert str(candles.timestamp[-1]) == "2020-01-02T23:00:00.000000"


def test_a_datetime_as_end_is_that_moment(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    put(candle_frame("2020-01-01", 72, "1h"), "ACME/1H/2020.parquet")

    candles = store.load(["ACME"], "1h", datetime(2020, 1, 2), datetime(2020, 1, 2, 5))["ACME"]  # noqa: DTZ001  naive on purpose

    assert len(candles) == 6


def test_moments_without_a_zone_are_local_and_those_with_one_are_converted(
    data_root: Path, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-01-01", 72, "1h"), "ACME/1H/2020.parquet")
    seoul = CandleStore(data_root, "Asia/Seoul")

    by_day = seoul.load(["ACME"], "1h", date(2020, 1, 2), date(2020, 1, 2))["ACME"]
    tokyo = timezone(timedelta(hours=9))
    by_moment = seoul.load(
        ["ACME"], "1h", datetime(2020, 1, 2, tzinfo=tokyo), datetime(2020, 1, 2, 14, 59, tzinfo=UTC)
    )["ACME"]

    assert str(by_day.timestamp[0]) == "2020-01-01T15:00:00.000000"
    assert str(by_day.timestamp[-1]) == "2020-01-02T14:00:00.000000"
    assert by_moment.fingerprint() == by_day.fingerprint()


@pytest.mark.parametrize(
    ("start", "end"),
    [(date.min, date.max), (datetime.min, datetime.max)],  # noqa: DTZ901  naive on purpose
)
@pytest.mark.parametrize("zone", ["Asia/Seoul", "America/New_York"])
def test_the_widest_range_that_python_can_say_loads_everything(
    *, start: date, end: date, zone: str, data_root: Path, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-01-01", 10))

    assert len(CandleStore(data_root, zone).load(["ACME"], "1d", start, end)["ACME"]) == 10


def test_a_range_includes_both_hours_of_a_local_time_that_comes_twice(
    data_root: Path, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-11-01", 24, "1h"), "ACME/1H/2020.parquet")
    one_o_clock = datetime(2020, 11, 1, 1)  # noqa: DTZ001  naive on purpose

    candles = CandleStore(data_root, "America/New_York").load(["ACME"], "1h", one_o_clock, one_o_clock)[
        "ACME"
    ]

    # 01:00 in summer time is 05:00 UTC, 01:00 in winter time 06:00 UTC.
    assert [str(stamp)[11:13] for stamp in candles.timestamp] == ["05", "06"]


def test_a_corrupt_year_outside_the_range_is_never_opened(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    for year in (2018, 2019, 2020, 2021):
        put(candle_frame(f"{year}-01-01", 300), f"ACME/1D/{year}.parquet")
    for year in (2018, 2021):
        put(candle_frame("2000-01-01", 1), f"ACME/1D/{year}.parquet").write_bytes(b"rotten")

    candles = store.load(["ACME"], "1d", date(2019, 3, 1), date(2020, 6, 30))["ACME"]

    # 2019 has its days 60 to 300 (1 March to 27 October), 2020 its first 182.
    assert len(candles) == 241 + 182


def test_a_year_cut_by_local_time_is_found_from_either_side(
    data_root: Path, candle_frame: MakeFrame, put: Put
) -> None:
    frame = candle_frame("2019-12-31", 48, "1h", tz="Asia/Seoul")
    put(frame[:24], "ACME/1H/2019.parquet")
    put(frame[24:], "ACME/1H/2020.parquet")  # begins on 2019-12-31 15:00 UTC

    for zone in ("UTC", "Asia/Seoul"):
        candles = CandleStore(data_root, zone).load(
            ["ACME"], "1h", datetime(2019, 12, 31, 14, tzinfo=UTC), datetime(2019, 12, 31, 16, tzinfo=UTC)
        )["ACME"]
        assert [str(stamp)[11:13] for stamp in candles.timestamp] == ["14", "15", "16"]


def _spoil(path: Path, column: str, group: int) -> None:
    """Overwrites one column's pages in one row group."""
    names = pq.read_schema(path).names
    chunk = pq.ParquetFile(path).metadata.row_group(group).column(names.index(column))
    begin = chunk.dictionary_page_offset if chunk.has_dictionary_page else chunk.data_page_offset
    data = bytearray(path.read_bytes())
    data[begin : begin + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(data)


def test_row_groups_outside_the_range_stay_on_disk(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    path = put(candle_frame("2020-01-01", 300), row_group_size=100)
    for column in ("timestamp", "close"):
        _spoil(path, column, group=0)
        _spoil(path, column, group=2)

    candles = store.load(["ACME"], "1d", date(2020, 5, 1), date(2020, 6, 1))["ACME"]

    assert candles.close[0] == 100 + 121  # 1 May is day 121 of a leap year, from zero
    with pytest.raises(CandleFileUnreadable, match=r"ACME: cannot read .*2020\.parquet: "):
        store.load(["ACME"], "1d")


def test_row_groups_of_local_times_are_chosen_rightly(
    data_root: Path, candle_frame: MakeFrame, put: Put
) -> None:
    path = put(candle_frame("2020-01-01", 300 * 24, "1h", tz=None), "ACME/1H/2020.parquet", row_group_size=24)
    _spoil(path, "close", group=90)
    store = CandleStore(data_root, "Asia/Seoul")

    candles = store.load(["ACME"], "1h", date(2020, 5, 1), date(2020, 5, 2))["ACME"]

    assert str(candles.timestamp[0]) == "2020-04-30T15:00:00.000000"
    assert candles.close[0] == 100 + 121 * 24
    assert len(candles) == 48


def test_further_columns_are_not_read(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    path = put(candle_frame("2020-01-01", 50).assign(symbol="ACME", timeframe="1D", trades=7))
    for column in ("symbol", "timeframe", "trades"):
        _spoil(path, column, group=0)

    assert len(store.load(["ACME"], "1d")["ACME"]) == 50


def test_arrays_are_owned_writable_and_contiguous(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-01-01", 10))

    candles = store.load(["ACME"], "1d")["ACME"]

    for name in ("open", "high", "low", "close", "volume"):
        array = getattr(candles, name)
        assert array.dtype == np.float64
        assert array.flags.writeable
        assert array.flags.c_contiguous
    assert candles.timestamp.dtype == np.dtype("datetime64[us]")
    assert candles.timestamp.flags.writeable


def test_all_unknown_symbols_are_named_before_any_file_is_read(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-01-01", 10)).write_bytes(b"rotten")
    put(candle_frame("2020-01-01", 10), "BETA/1D/2020.parquet")

    with pytest.raises(SymbolsUnknown) as refused:
        store.load(["ACME", "NOPE", "BETA", "NEVER"], "1d")

    assert str(refused.value) == "the store has no 1d candles of NOPE, NEVER; it has ACME, BETA"


def test_an_empty_store_says_how_to_fill_it(store: CandleStore) -> None:
    with pytest.raises(SymbolsUnknown) as refused:
        store.load(["ACME"], "1d")

    assert str(refused.value) == (
        "the store has no 1d candles of ACME; it is empty; see `backtest candles import --help`"
    )


def test_a_store_without_the_timeframe_says_which_it_has(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-01-01", 10))

    with pytest.raises(SymbolsUnknown) as refused:
        store.load(["ACME"], "1m")

    assert str(refused.value) == "the store has no 1m candles of ACME; it has candles of 1d only"


def test_a_symbol_of_other_timeframes_and_a_misspelt_one_are_told_as_such(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-01-01", 10))
    put(candle_frame("2020-01-01", 10, "1h"), "BETA/1H/2020.parquet")

    with pytest.raises(SymbolsUnknown) as refused:
        store.load(["ACME", "BTEA", "NOPE"], "1h")

    assert str(refused.value) == (
        "the store has no 1h candles of ACME (1d only), BTEA (did you mean BETA?), NOPE; it has BETA"
    )


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York"])
def test_what_can_be_loaded_is_never_missing_and_what_lies_outside_is(
    zone: str, store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    local = candle_frame("2019-12-30", 5)
    local["timestamp"] = local["timestamp"].dt.tz_localize(None)
    put(local, "ACME/1D/2019.parquet")
    put(candle_frame("2020-01-04", 4), "ACME/1D/2020.parquet")
    store = CandleStore(store.layout.data_root, zone)
    moments = [None, *(datetime(2019, 12, 27, 12) + timedelta(hours=11 * step) for step in range(30))]  # noqa: DTZ001  local
    found = missing = 0
    for start in moments:
        for end in moments:
            try:
                store.load(["ACME"], "1d", start, end)
            except CandlesMissing as error:
                load_says = str(error)
                missing += 1
            else:
                store.require(["ACME"], "1d", start, end)
                found += 1
                continue
            if (start and start > datetime(2020, 1, 9)) or (end and end < datetime(2019, 12, 28)):  # noqa: DTZ001  local
                with pytest.raises(CandlesMissing) as refused:
                    store.require(["ACME"], "1d", start, end)
                assert str(refused.value) == load_says
    assert found > 300
    assert missing > 50


def test_whether_there_are_candles_is_known_from_two_files_of_metadata(
    store: CandleStore, candle_frame: MakeFrame, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    for year in range(2010, 2020):
        put(candle_frame(f"{year}-01-01", 10), f"ACME/1D/{year}.parquet")
    opened: list[object] = []
    usual = pq.ParquetFile

    def counting(path: Path, **options: Any) -> object:
        opened.append(path)
        return usual(path, **options)

    monkeypatch.setattr(pq, "ParquetFile", counting)
    store.require(["ACME"], "1d")
    assert opened == []
    store.require(["ACME"], "1d", date(2015, 1, 1))
    assert [Path(str(path)).stem for path in opened] == ["2010", "2019"]


def test_an_empty_range_says_what_the_store_has(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-01-06", 100))
    put(candle_frame("2021-01-04", 10), "ACME/1D/2021.parquet")

    with pytest.raises(CandlesMissing) as refused:
        store.load(["ACME"], "1d", date(1990, 1, 1), date(1995, 12, 31))

    assert str(refused.value) == (
        "no ACME 1d candles from 1990-01-01 to 1995-12-31; the store has 2020-01-06 to 2021-01-13"
    )


def test_a_range_that_lies_in_a_gap_is_empty(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    put(candle_frame("2020-01-01 09:00", 10, "1h"), "ACME/1H/2020.parquet")

    with pytest.raises(CandlesMissing) as refused:
        store.load(["ACME"], "1h", datetime(2020, 3, 1, 12, tzinfo=UTC))

    assert str(refused.value) == (
        "no ACME 1h candles from 2020-03-01T12:00:00+00:00 to the last; "
        "the store has 2020-01-01T09:00+00:00 to 2020-01-01T18:00+00:00"
    )


def test_a_file_without_rows_is_a_missing_range(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-01-01", 0))

    with pytest.raises(
        CandlesMissing, match="no ACME 1d candles from the first to the last; its files hold no"
    ):
        store.load(["ACME"], "1d")
    assert store.inventory()[0].first is None


def test_a_time_in_two_files_is_refused(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    put(candle_frame("2019-12-20", 13), "ACME/1D/2019.parquet")
    path = put(candle_frame("2020-01-01", 10))

    for days_back, problem in (
        (1, "two rows have the same timestamp"),
        (3, "rows are not sorted by timestamp"),
    ):
        put(candle_frame("2019-12-20", 12 + days_back), "ACME/1D/2019.parquet")
        with pytest.raises(CandlesInvalid) as refused:
            store.load(["ACME"], "1d")
        assert str(refused.value) == (
            f"ACME: {problem}: 2020-01-01T00:00:00 follows 2020-01-0{days_back}T00:00:00 of 2019.parquet "
            f"({path}, row 0)"
        )


@pytest.mark.parametrize("symbol", ["../ACME", "acme", "", "A..B", "A/B"])
def test_what_is_no_symbol_reaches_no_folder(symbol: str, store: CandleStore) -> None:
    with pytest.raises(RequestInvalid, match="is not a symbol"):
        store.load([symbol], "1d")


def test_wrong_arguments_are_explained(store: CandleStore) -> None:
    with pytest.raises(RequestInvalid, match="timeframe: there is no '2d'; choose one of 1m, 5m"):
        store.load(["ACME"], cast(Any, "2d"))
    with pytest.raises(
        RequestInvalid, match="start: '2020-01-01' is neither a date nor a datetime; give date"
    ):
        store.load(["ACME"], "1d", cast(Any, "2020-01-01"))
    with pytest.raises(RequestInvalid, match="end: NaT is neither a date nor a datetime"):
        store.load(["ACME"], "1d", end=cast(Any, pd.NaT))
    with pytest.raises(RequestInvalid, match="'Mars/Base' is no time zone; write one like UTC"):
        CandleStore("data", "Mars/Base")


def test_the_inventory_reads_metadata_alone(
    data_root: Path, store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    first = put(candle_frame("2019-06-01", 10), "ACME/1D/2019.parquet")
    second = put(candle_frame("2020-01-01", 50))
    hourly = put(candle_frame("2020-01-01", 5, "1h"), "BETA/1H/2020.parquet")
    for path in (first, second, hourly):
        for column in ("timestamp", "open", "close"):
            _spoil(path, column, group=0)
    (data_root / "tasks").mkdir()
    (data_root / "EMPTY" / "1D").mkdir(parents=True)
    (data_root / "ACME" / "1D" / ".2021.parquet.tmp").write_bytes(b"half")
    (data_root / "ACME" / "1D" / "notes.txt").write_text("mine")

    assert store.symbols("1d") == ["ACME"]
    assert store.symbols("1m") == []
    assert store.inventory() == [
        CandleListing(
            "ACME",
            "1d",
            60,
            datetime(2019, 6, 1, tzinfo=UTC),
            datetime(2020, 2, 19, tzinfo=UTC),
            first.stat().st_size + second.stat().st_size,
        ),
        CandleListing(
            "BETA",
            "1h",
            5,
            datetime(2020, 1, 1, tzinfo=UTC),
            datetime(2020, 1, 1, 4, tzinfo=UTC),
            hourly.stat().st_size,
        ),
    ]


def test_files_without_statistics_are_listed_and_loaded(
    data_root: Path, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-01-01", 100, tz=None), row_group_size=10, write_statistics=False)
    store = CandleStore(data_root, "Asia/Seoul")

    listing = store.inventory()[0]

    assert listing.first == datetime(2019, 12, 31, 15, tzinfo=UTC)
    assert listing.last == datetime(2020, 4, 8, 15, tzinfo=UTC)
    assert _days(store.load(["ACME"], "1d", date(2020, 2, 1), date(2020, 2, 2))["ACME"])[0] == "2020-01-31"


def test_a_store_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    store = CandleStore(tmp_path / "nowhere")

    assert store.inventory() == []
    assert store.symbols("1d") == []


def test_gaps_are_reported_not_refused(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    put(candle_frame("2020-01-01", 60).drop(index=[30, 31, 32]).reset_index(drop=True))

    gaps = store.gaps(store.load(["ACME"], "1d")["ACME"])

    assert (gaps.count, gaps.largest_bars) == (1, 3)
    assert (gaps.largest_from, gaps.largest_to) == (
        datetime(2020, 1, 30, tzinfo=UTC),
        datetime(2020, 2, 3, tzinfo=UTC),
    )


def test_the_store_loads_neither_dagster_nor_numba() -> None:
    code = (
        "import sys, backtest_pipeline.candles.store, backtest_pipeline.candles.importer\n"
        "print([name for name in ('dagster', 'numba', 'backtest_pipeline.settings') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("warmup_bars", [0, 1, 3, 40, 400, 900, None])
@pytest.mark.parametrize("start", [date(2020, 1, 1), date(2021, 1, 1), date(2021, 3, 9)])
def test_candles_before_start_are_the_newest_of_all_years_before_it(
    store: CandleStore, candle_frame: MakeFrame, put: Put, start: date, warmup_bars: int | None
) -> None:
    for year in (2019, 2020, 2021):
        put(candle_frame(f"{year}-01-01", 300), f"ACME/1D/{year}.parquet")
    whole = store.load(["ACME"], "1d")["ACME"]
    first = int(np.searchsorted(whole.timestamp, np.datetime64(start)))

    loaded = store.load(["ACME"], "1d", start, date(2021, 4, 1), warmup_bars)["ACME"]

    before = first if warmup_bars is None else min(warmup_bars, first)
    stop = int(np.searchsorted(whole.timestamp, np.datetime64("2021-04-02")))
    assert loaded.fingerprint() == whole.slice(first - before, stop).fingerprint()


def test_candles_before_start_do_not_stand_for_those_that_are_asked_for(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2020-01-01", 10))
    with pytest.raises(CandlesMissing):
        store.load(["ACME"], "1d", date(2020, 2, 1), date(2020, 3, 1), warmup_bars=5)
