"""Other people's files: columns, dates, numbers, adjusting, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest_pipeline.candles.formats.source_table import CandleSource
from backtest_pipeline.candles.importer import import_candles
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.candles import Candles
from backtest_pipeline.model.errors import CandleFileUnreadable, CandlesInvalid
from backtest_pipeline.model.span import zone_of
from backtest_pipeline.model.timeframe import Timeframe

HEADER = "date,open,high,low,close,volume"
BAR = "10,12,9,11,500"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    return tmp_path / "candles.csv"


def _imported(
    store: CandleStore, path: Path, timeframe: Timeframe = "1d", *, adjust: bool = False
) -> Candles:
    import_candles(store, path, "ACME", timeframe, adjust)
    return store.load(["ACME"], timeframe)["ACME"]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("timestamp,open,high,low,close,volume", "2020-01-02,10,12,9,11,500"),
        ("Date,Open,High,Low,Close,Adj Close,Volume", "2020-01-02,10,12,9,11,5.5,500"),
        ("DATETIME;O;H;L;C;V", "2020-01-02 00:00;10;12;9;11;500"),
        ("Volume\tClose\tLow\tHigh\tOpen\tTime", "500\t11\t9\t12\t10\t2020-01-02"),
        ("open_time,open,high,low,close,vol,close_time", "1577923200000,10,12,9,11,500,1578009599999"),
        ("unix,date,symbol,open,high,low,close,Volume", "1577923200,2020-01-02 00:00,ACME,10,12,9,11,500"),
        ("<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>", "20200102,00:00,10,12,9,11,500"),
        ('"Date", "Open", "High", "Low", "Close", "Volume"', '"Jan 02, 2020"," 10 ",12,9,11,500'),
        ("Gmt time,Open,High,Low,Close,Volume", "02.01.2020 00:00:00.000,10,12,9,11,500"),
        ("\ufeffDate,Open,High,Low,Close,Volume", "2020-01-02,10.0,1.2e1,9,11,500"),
    ],
)
def test_usual_columns_are_found_whatever_their_case(
    header: str, row: str, csv: Path, store: CandleStore
) -> None:
    csv.write_text(f"{header}\n{row}\n")

    candles = _imported(store, csv)

    assert str(candles.timestamp[0]) == "2020-01-02T00:00:00.000000"
    bar = candles.open[0], candles.high[0], candles.low[0], candles.close[0], candles.volume[0]
    assert bar == (10, 12, 9, 11, 500)


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2020-01-13", "2020-01-13T00:00"),
        ("2020-01-13T09:30", "2020-01-13T09:30"),
        ("2020-01-13 09:30:15", "2020-01-13T09:30:15"),
        ("2020-01-13T09:30:00+09:00", "2020-01-13T00:30"),
        ("2020-01-13 09:30 -0500", "2020-01-13T14:30"),
        ("2020-01-13T09:30:00Z", "2020-01-13T09:30"),
        ("2020-01-13 09:30 UTC", "2020-01-13T09:30"),
        ("2020/01/13", "2020-01-13T00:00"),
        ("2020.01.13 09:30", "2020-01-13T09:30"),
        ("20200113", "2020-01-13T00:00"),
        ("202001130930", "2020-01-13T09:30"),
        ("20200113093015", "2020-01-13T09:30:15"),
        ("01/13/2020", "2020-01-13T00:00"),
        ("13/01/2020 09:30", "2020-01-13T09:30"),
        ("1/13/2020 9:30 PM", "2020-01-13T21:30"),
        ("13.01.2020", "2020-01-13T00:00"),
        ("13-Jan-2020", "2020-01-13T00:00"),
        ("13-Jan-20", "2020-01-13T00:00"),
        ("January 13, 2020", "2020-01-13T00:00"),
        ("13/01/2020 09:30 +0100", "2020-01-13T08:30"),
        ("1578907800", "2020-01-13T09:30"),
        ("1578907800.5", "2020-01-13T09:30:00.500000"),
        ("1578907800000", "2020-01-13T09:30"),
        ("1578907800000000", "2020-01-13T09:30"),
        ("1578907800000000000", "2020-01-13T09:30"),
    ],
)
def test_dates_are_read_as_people_write_them(
    written: str, moment: str, csv: Path, store: CandleStore
) -> None:
    csv.write_text(f'{HEADER}\n"{written}",{BAR}\n')

    assert _imported(store, csv).timestamp[0] == np.datetime64(moment, "us")


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2020-01-13", "2020-01-12T15:00"),
        ("20200113", "2020-01-12T15:00"),
        ("13.01.2020 09:30", "2020-01-13T00:30"),
        ("2020-01-13T09:30Z", "2020-01-13T09:30"),
        ("1578907800", "2020-01-13T09:30"),
    ],
)
def test_a_time_without_a_zone_is_local_and_an_epoch_never_is(
    written: str, moment: str, csv: Path, data_root: Path
) -> None:
    csv.write_text(f"{HEADER}\n{written},{BAR}\n")

    candles = _imported(CandleStore(data_root, "Asia/Seoul"), csv)

    assert candles.timestamp[0] == np.datetime64(moment, "us")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([f"soon,{BAR}"], "timestamp is no date or time: 'soon'; write 2024-05-01T09:30 ({}, line 2)"),
        (
            [f"2020-01-01,{BAR}", f"2020-01-32,{BAR}"],
            "timestamp '2020-01-32' is no date or time like those before it ({}, line 3)",
        ),
        (
            [f"20200101,{BAR}", f"20201301,{BAR}"],
            "timestamp '20201301' is no date or time ({}, line 3)",
        ),
        (
            [f"03/03/2020,{BAR}", f"03/04/2020,{BAR}"],
            (
                "timestamp '03/04/2020' may be month first or day first; write 2024-05-01, "
                "or name the order, e.g. --date-format '%m/%d/%Y' ({}, line 3)"
            ),
        ),
        (
            [f"2020-01-01 00:00Z,{BAR}", f"2020-01-02 00:00,{BAR}"],
            "timestamp 2020-01-02 00:00 has no zone, those before have one ({}, line 3)",
        ),
        (
            [f"0,{BAR}", f"1,{BAR}"],
            (
                "timestamp is neither a date nor seconds, milli-, micro- or nanoseconds since 1970: 0 "
                "({}, line 2)"
            ),
        ),
        ([f"1578907800,{BAR}", f"n/a,{BAR}"], "timestamp is no number: 'n/a' ({}, line 3)"),
        ([f"2020-01-01,{BAR}", f",{BAR}"], "timestamp is missing ({}, line 3)"),
        (["2020-01-01,10,twelve,9,11,500"], "high is no number: 'twelve' ({}, line 2)"),
        ([f"2020-01-01,{BAR}", "2020-01-02,10,12,9,,500"], "close is missing ({}, line 3)"),
        (
            [f"2020-01-01,{BAR}", "2020-01-02,10,10.5,9,11,500"],
            "high is below close: high 10.5, close 11.0, at 2020-01-02T00:00:00 ({}, line 3)",
        ),
        (
            [f"2020-01-02,{BAR}", "2020-01-01,10,12,9,11,-1"],
            "volume must be finite and not negative: volume -1.0, at 2020-01-01T00:00:00 ({}, line 3)",
        ),
        (
            [f"2020-01-02,{BAR}", f"2020-01-01,{BAR}", "2020-01-02,10,12,9,11,600"],
            ("volume is 600.0, but 500.0 in line 2 of the same time, 2020-01-02T00:00:00 ({}, line 4)"),
        ),
        (
            [f"2020-01-01 09:{minute},{BAR}" for minute in range(30, 40)],
            "these are not 1d candles: most are 60 s apart, not 86400 s ({})",
        ),
        ([], "there are no rows ({})"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(
    rows: list[str], problem: str, csv: Path, store: CandleStore, data_root: Path
) -> None:
    csv.write_text("\n".join([HEADER, *rows, ""]))

    with pytest.raises(CandlesInvalid) as refused:
        import_candles(store, csv, "ACME", "1d")

    assert str(refused.value) == "ACME: " + problem.format(csv)
    assert not data_root.exists()


def test_the_first_text_among_many_numbers_is_named(csv: Path, store: CandleStore) -> None:
    days = pd.date_range("2000-01-01", periods=3_000).strftime("%Y-%m-%d")
    rows = [f"{day},10,12,9,{'oops' if at in (1_234, 2_000) else 11},500" for at, day in enumerate(days)]
    csv.write_text("\n".join([HEADER, *rows]))

    with pytest.raises(CandlesInvalid, match=r"close is no number: 'oops' \(.*, line 1236\)"):
        import_candles(store, csv, "ACME", "1d")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "day,price\n2020-01-01,10\n",
            "missing columns: timestamp, open, high, low, close, volume; the file has day, ",
        ),
        (
            "date,open,high,low,close,Close,volume\n2020-01-01,10,12,9,11,11,500\n",
            "'close' and 'Close' are the same column twice",
        ),
    ],
)
def test_columns_that_cannot_be_told_are_refused(
    text: str, problem: str, csv: Path, store: CandleStore
) -> None:
    csv.write_text(text)

    with pytest.raises(CandlesInvalid, match=problem):
        import_candles(store, csv, "ACME", "1d")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "Empty CSV file"),
        (f"{HEADER}\n2020-01-01,10,12\n".encode(), "CSV parse error: Row #2: Expected 6 columns, got 3"),
        (f"{HEADER}\n\xff\xfe,1,2,3,4,5\n".encode("latin-1"), "invalid UTF8 data"),
        (b"PAR1 and then nothing of the kind", "Parquet magic bytes not found"),
    ],
)
def test_a_file_that_is_neither_csv_nor_parquet_is_unreadable(
    data: bytes, reason: str, csv: Path, store: CandleStore
) -> None:
    csv.write_bytes(data)

    with pytest.raises(CandleFileUnreadable) as refused:
        import_candles(store, csv, "ACME", "1d")

    assert reason in str(refused.value)
    assert str(refused.value).endswith("; give a CSV or Parquet file")


def test_a_file_that_is_not_there_is_unreadable(tmp_path: Path, store: CandleStore) -> None:
    with pytest.raises(CandleFileUnreadable, match=r"cannot read .*gone\.csv: No such file or directory"):
        import_candles(store, tmp_path / "gone.csv", "ACME", "1d")


def test_compressed_csv_is_read(tmp_path: Path, store: CandleStore) -> None:
    path = tmp_path / "candles.csv.gz"
    path.write_bytes(gzip.compress(f"{HEADER}\n2020-01-13,{BAR}\n".encode()))

    assert _imported(store, path).close[0] == 11


@pytest.mark.parametrize("kind", ["index", "text", "seconds", "date", "category"])
def test_parquet_is_imported_whatever_its_times_are(kind: str, tmp_path: Path, store: CandleStore) -> None:
    days = pd.date_range("2020-01-13", periods=3, tz="UTC")
    values = {"Open": [10, 11, 12], "High": [13.0] * 3, "Low": [9.0] * 3, "Close": [11] * 3, "Vol": [5] * 3}
    times: Any = {
        "index": days,
        "text": days.strftime("%d.%m.%Y"),
        "seconds": days.as_unit("s").astype("int64"),
        "date": days.date,
        "category": pd.Categorical(days.strftime("%Y-%m-%d")),
    }[kind]
    frame = pd.DataFrame(values, index=days if kind == "index" else None)
    path = tmp_path / "candles.parquet"
    (frame if kind == "index" else frame.assign(Date=times)).to_parquet(path)

    candles = _imported(store, path)

    assert [str(stamp)[:10] for stamp in candles.timestamp] == ["2020-01-13", "2020-01-14", "2020-01-15"]
    assert candles.open.tolist() == [10, 11, 12]


def test_adjusting_scales_prices_and_keeps_the_money_traded(csv: Path, store: CandleStore) -> None:
    # A 2-for-1 split: before it, the adjusted close is half the close.
    csv.write_text(f"{HEADER},Adj Close\n2020-01-02,20,24,18,22,500,11\n2020-01-03,11,12,10,11,900,11\n")

    candles = _imported(store, csv, adjust=True)

    assert candles.open.tolist() == [10, 11]
    assert candles.high.tolist() == [12, 12]
    assert candles.low.tolist() == [9, 10]
    assert candles.close.tolist() == [11, 11]
    assert candles.volume.tolist() == [1_000, 900]


def test_adjusting_is_done_only_when_asked_for(csv: Path, store: CandleStore) -> None:
    csv.write_text(f"{HEADER},Adj Close\n2020-01-02,20,24,18,22,500,11\n")

    assert _imported(store, csv).close.tolist() == [22]


@pytest.mark.parametrize(
    ("header", "value", "problem"),
    [
        ("Adj Close", "0", r"adj close must be finite and positive: 0\.0 \(.*, line 2\)"),
        ("adj_close", "nan", r"adj close must be finite and positive: nan \(.*, line 2\)"),
        ("Adjusted Close", "", r"adj close is missing \(.*, line 2\)"),
        ("something", "11", "missing columns: adj close; the file has date, open"),
    ],
)
def test_adjusting_needs_a_usable_adjusted_close(
    *, header: str, value: str, problem: str, csv: Path, store: CandleStore
) -> None:
    csv.write_text(f"{HEADER},{header}\n2020-01-02,{BAR},{value}\n")

    with pytest.raises(CandlesInvalid, match=problem):
        import_candles(store, csv, "ACME", "1d", adjust=True)


PRICES = st.floats(min_value=1e-6, max_value=1e6)


@given(st.lists(st.tuples(PRICES, PRICES, PRICES), min_size=1, max_size=50))
def test_rounding_never_makes_an_adjusted_bar_invalid(bars: list[tuple[float, float, float]]) -> None:
    opens, closes, adjusted = (np.array(column) for column in zip(*bars, strict=True))
    table = pa.table(
        {
            "date": pd.date_range("2020-01-01", periods=len(bars)),
            "open": opens,
            "high": np.maximum(opens, closes),  # the tightest bars that are valid
            "low": np.minimum(opens, closes),
            "close": closes,
            "volume": np.ones(len(bars)),
            "adj_close": adjusted,
        }
    )

    columns = CandleSource("ACME", "table", zone_of("UTC"), table).columns(adjust=True)

    assert columns["close"].tolist() == adjusted.tolist()
    np.testing.assert_allclose(columns["open"], opens * adjusted / closes, rtol=1e-12)
    np.testing.assert_allclose(columns["high"], np.maximum(opens, closes) * adjusted / closes, rtol=1e-12)
    assert (columns["high"] >= np.maximum(columns["open"], columns["close"])).all()
    assert (columns["low"] <= np.minimum(columns["open"], columns["close"])).all()


def test_a_high_that_lies_a_hair_below_the_close_is_lifted(csv: Path, store: CandleStore) -> None:
    csv.write_text(
        f"{HEADER}\n2020-01-02,10,10.999999999999998,9,11,500\n2020-01-03,10,12,10.000000000000002,11,5\n"
    )

    candles = _imported(store, csv)

    assert candles.high[0] == 11
    assert candles.low[1] == 10


def test_what_is_more_than_a_hair_stays_a_fault(csv: Path, store: CandleStore) -> None:
    csv.write_text(f"{HEADER}\n2020-01-02,10,10.99999,9,11,500\n")

    with pytest.raises(CandlesInvalid, match=r"high is below close: high 10\.99999, close 11\.0"):
        import_candles(store, csv, "ACME", "1d")
