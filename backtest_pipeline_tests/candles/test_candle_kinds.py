"""Kinds of files that are easily misread: each gives its own bars, or one line that says what to do."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline.candles.formats import unpack as candle_unpack
from backtest_pipeline.candles.formats.read_options import ReadOptions
from backtest_pipeline.candles.importer import ImportReport, import_candles
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import BacktestError, RequestInvalid
from backtest_pipeline.model.timeframe import Timeframe

HEADER = "date,open,high,low,close,volume"
BAR = "10,12,9,11,500"
EPOCH_S = 1_735_689_600  # 2025-01-01


def _import(
    store: CandleStore, data: bytes | str, timeframe: Timeframe = "1d", **options: Any
) -> tuple[ImportReport, pd.DataFrame]:
    path = store.layout.data_root.parent / "candles"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    report = import_candles(store, path, "ACME", timeframe, options=ReadOptions(**options))
    return report, store.load(["ACME"], timeframe)["ACME"].to_frame()


def _refusal(store: CandleStore, data: bytes | str, timeframe: Timeframe = "1d", **options: Any) -> str:
    with pytest.raises(BacktestError) as refused:
        _import(store, data, timeframe, **options)
    assert "\n" not in str(refused.value)
    assert not list(store.layout.data_root.rglob("*.parquet"))
    return str(refused.value)


def _times(frame: pd.DataFrame) -> list[str]:
    return [f"{at:%Y-%m-%d %H:%M}" for at in frame["timestamp"]]


def _first_bar(frame: pd.DataFrame) -> list[float]:
    bar: list[float] = frame[["open", "high", "low", "close", "volume"]].to_numpy()[0].tolist()
    return bar


UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}


@pytest.mark.parametrize("first", UNITS)
@pytest.mark.parametrize("second", UNITS)
@pytest.mark.parametrize("decimals", ["", ".0"])
def test_every_number_is_read_in_its_own_unit(
    first: str, second: str, decimals: str, store: CandleStore
) -> None:
    rows = [
        f"{(EPOCH_S + hour * 3_600) * UNITS[first if hour < 2 else second]}{decimals}" for hour in range(4)
    ]

    report, frame = _import(store, "\n".join([HEADER, *(f"{row},{BAR}" for row in rows)]), "1h")

    assert _times(frame) == [f"2025-01-01 0{hour}:00" for hour in range(4)]
    told = [sentence for sentence in report.assumptions if "by their size" in sentence]
    assert len(told) == (first != second)


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ([EPOCH_S, 0], "timestamp 0 would be 1970-01-01, decades from the others"),
        ([EPOCH_S * 1_000, 0, (EPOCH_S + 60) * 1_000], "timestamp 0 would be 1970-01-01"),
        (
            [EPOCH_S, EPOCH_S * 1_000 + 3_600_000, 5],
            "timestamp is neither a date nor seconds.*: 5 like the others",
        ),
        ([EPOCH_S, 20_250_102], "timestamp 20250102 would be 1970-08-23"),
        ([45_293, 45_294], "45293, perhaps a spreadsheet's number of a day"),
        (["1.73569E+12"], "has lost its last digits, as in a spreadsheet"),
    ],
)
def test_a_number_that_is_no_time_is_named(numbers: list[Any], problem: str, store: CandleStore) -> None:
    message = _refusal(store, "\n".join([HEADER, *(f"{number},{BAR}" for number in numbers)]), "1h")

    assert pd.Series([message]).str.contains(problem).all(), message
    assert ", line " in message


def test_milliseconds_since_the_first_day_are_one_unit(store: CandleStore) -> None:
    days = np.arange(0, 3_000)
    rows = [f"{day * 86_400_000},{BAR}" for day in days]

    _, frame = _import(store, "\n".join([HEADER, *rows]))

    assert (frame["timestamp"] == pd.date_range("1970-01-01", periods=3_000, tz="UTC")).all()


@pytest.mark.parametrize(
    ("dates", "days"),
    [
        (["99/12/30", "99/12/31"], ["1999-12-30", "1999-12-31"]),  # no day is the 99th
        (["01/30/24", "01/31/24"], ["2024-01-30", "2024-01-31"]),  # no month is the 30th
        (["30.12.99", "31.12.99"], ["1999-12-30", "1999-12-31"]),
        (["991230", "991231"], ["1999-12-30", "1999-12-31"]),
        (["13-Jan-20", "14-Jan-20"], ["2020-01-13", "2020-01-14"]),
    ],
)
def test_years_of_two_digits_are_read_in_the_one_order_that_fits(
    dates: list[str], days: list[str], store: CandleStore
) -> None:
    report, frame = _import(store, "\n".join([HEADER, *(f"{date},{BAR}" for date in dates)]))

    assert [at[:10] for at in _times(frame)] == days
    assert "years of two digits" in " ".join(report.assumptions)


@pytest.mark.parametrize(
    "dates", [["24/01/02", "24/01/31"], ["02.01.24"], ["240102", "240131"], ["05-04-23"]]
)
def test_years_of_two_digits_are_refused_where_several_orders_fit(
    dates: list[str], store: CandleStore
) -> None:
    message = _refusal(store, "\n".join([HEADER, *(f"{date},{BAR}" for date in dates)]))

    assert " may be 20" in message
    assert "--date-format '%" in message


def test_a_told_order_reads_years_of_two_digits(store: CandleStore) -> None:
    rows = "\n".join([HEADER, f"24/01/02,{BAR}", f"24/01/03,{BAR}"])

    assert _times(_import(store, rows, date_format="%y/%m/%d")[1]) == ["2024-01-02 00:00", "2024-01-03 00:00"]


KOREAN = "일자,종가,시가,고가,저가,거래량\n2024/01/02,11,10,12,9,500\n2024/01/03,11,10,12,9,500\n"
JAPANESE = KOREAN.replace("일자,종가,시가,고가,저가,거래량", "日付,終値,始値,高値,安値,出来高")
CHINESE = KOREAN.replace("일자,종가,시가,고가,저가,거래량", "日期,收盘,开盘,最高,最低,成交量")
GERMAN = KOREAN.replace("일자,종가,시가,고가,저가,거래량", "Datum,Schluss,Eröffnung,Hoch,Tief,Stück")
ENGLISH = KOREAN.replace("일자,종가,시가,고가,저가,거래량", "Date,Close,Open,High,Low,Volume")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((text, "utf-8") for text in (KOREAN, JAPANESE, CHINESE, GERMAN, ENGLISH)),
        *(
            (text, name)
            for text in (KOREAN, ENGLISH)
            for name in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")
        ),
        (ENGLISH, "utf-32"),
        (KOREAN, "cp949"),
        (KOREAN, "euc-kr"),
        (JAPANESE, "shift_jis"),
        (CHINESE, "gb18030"),
        (CHINESE, "gbk"),
        (GERMAN, "cp1252"),
    ],
)
def test_encodings_are_recognised_by_their_marks_zeros_and_header_words(
    text: str, encoding: str, store: CandleStore
) -> None:
    if (text, encoding) in {(KOREAN, "utf-16-le"), (KOREAN, "utf-16-be")}:
        text = text.replace("\n", "\n" * 40, 1)  # without a mark, ASCII must prevail

    _, frame = _import(store, text.encode(encoding))

    assert _times(frame) == ["2024-01-02 00:00", "2024-01-03 00:00"]
    assert _first_bar(frame) == [10, 12, 9, 11, 500]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (ENGLISH.encode() + "메모\n".encode("cp949"), "invalid UTF8 data in line 4"),
        (ENGLISH.replace("Date", "Date\u00e9").encode("latin-1"), "invalid UTF8 data in line 1"),
        (KOREAN.encode("cp949") + b"\xff\xff\n", "this is not cp949 (line 4)"),
        (KOREAN.encode("iso2022_kr"), "missing columns: timestamp"),
        (ENGLISH.encode() + b"\x80", "invalid UTF8 data in line 4"),
    ],
)
def test_other_bytes_are_refused_with_the_cure(data: bytes, problem: str, store: CandleStore) -> None:
    message = _refusal(store, data)

    assert problem in message
    assert "--encoding cp949" in message or "missing columns" in message


def test_a_told_encoding_is_used(store: CandleStore) -> None:
    assert len(_import(store, KOREAN.encode("iso2022_kr"), encoding="iso2022_kr")[1]) == 2
    with pytest.raises(RequestInvalid, match="'cp9499' is no encoding"):
        ReadOptions(encoding="cp9499")


SYMBOLS = "\n".join(
    [
        "date,{},open,high,low,close,volume",
        *(f"2024-01-{day},{BAR}" for day in ("02,AAA", "03,BBB", "03,AAA")),
    ]
)


@pytest.mark.parametrize("name", ["symbol", "Ticker", "code", "market", "pair", "종목코드", "Interval"])
def test_several_symbols_are_refused_and_one_can_be_taken(name: str, store: CandleStore) -> None:
    text = SYMBOLS.format(name)

    message = _refusal(store, text)
    _, frame = _import(store, text, only="AAA")

    assert f"the column {name!r} has 2 values (AAA, BBB); import one of them, e.g. --only AAA" in message
    assert _times(frame) == ["2024-01-02 00:00", "2024-01-03 00:00"]
    assert f"there is no 'CCC' to import only; the file has {name!r}" in _message(store, text, only="CCC")


def _message(store: CandleStore, data: str, **options: Any) -> str:
    with pytest.raises(BacktestError) as refused:
        _import(store, data, **options)
    return str(refused.value)


def test_symbols_side_by_side_are_refused_and_one_can_be_taken(store: CandleStore) -> None:
    frame = pd.DataFrame(
        [[10, 12, 9, 11, 5, 20, 22, 19, 21, 6], [10, 12, 9, 11, 5, *[None] * 5]],
        index=pd.Index(["2024-01-02", "2024-01-03"], name="Date"),
        columns=pd.MultiIndex.from_product(
            [["AAPL", "MSFT"], ["Open", "High", "Low", "Close", "Volume"]], names=["Ticker", "Price"]
        ),
    )

    assert "the header names 2 symbols (AAPL, MSFT); import one of them, e.g. --only AAPL" in _refusal(
        store, frame.to_csv()
    )
    report, taken = _import(store, frame.to_csv(), only="MSFT")
    assert taken["close"].tolist() == [21]
    assert "without any price and left out: 1 row" in report.assumptions


@pytest.mark.parametrize(
    ("header", "times", "first"),
    [
        ("timestamp,timeOpen", ["2024-01-02 23:59:59.999", "2024-01-02 00:00"], "2024-01-01 15:00"),
        ("close_time,open_time", ["1704239999999", "1704153600000"], "2024-01-02 00:00"),
        ("time,start_time", ["2024-01-03 00:00", "2024-01-02 00:00"], "2024-01-01 15:00"),
        ("timestamp,candle_date_time_utc", ["1704240000000", "2024-01-02 00:00"], "2024-01-02 00:00"),
        (
            "candle_date_time_utc,candle_date_time_kst",
            ["2024-01-02 00:00", "2024-01-02 09:00"],
            "2024-01-02 00:00",
        ),
        ("candle_date_time_kst,x", ["2024-01-02 09:00", ""], "2024-01-02 00:00"),
        ("Date (UTC),x", ["2024-01-02", ""], "2024-01-02 00:00"),
        ("time_utc,x", ["2024-01-02", ""], "2024-01-02 00:00"),
        ("gmttime,x", ["2024-01-02", ""], "2024-01-02 00:00"),
        ("Date (America/New_York),x", ["2024-01-02", ""], "2024-01-02 05:00"),
        ("Date (YYYY/MM/DD),x", ["2024-01-02", ""], "2024-01-01 15:00"),
        ("local time,x", ["2024-01-02", ""], "2024-01-01 15:00"),
    ],
)
def test_the_open_time_goes_before_others_and_a_name_may_say_the_zone(
    header: str, times: list[str], first: str, tmp_path: Path
) -> None:
    text = f"{header},open,high,low,close,volume\n{','.join(times)},{BAR}\n"

    _, frame = _import(CandleStore(tmp_path / "data", "Asia/Seoul"), text)

    assert _times(frame) == [first]


@pytest.mark.parametrize(
    ("day", "clock"),
    [
        *(("Date", "Time"), ("일자", "시간"), ("날짜", "시각"), ("日付", "時刻"), ("日期", "时间")),
        *(("Datum", "Uhrzeit"), ("fecha", "hora"), ("일자", "time"), ("거래일자", "시간")),
    ],
)
@pytest.mark.parametrize("date", ["2024/01/02", "2024.01.02", "20240102", "2024-01-02"])
@pytest.mark.parametrize(
    "times", [["09:00", "09:01"], ["900", "901"], ["090000", "090100"], ["0900", "0901"]]
)
def test_a_day_and_a_time_of_day_in_two_columns_are_one_moment(
    day: str, clock: str, date: str, times: list[str], tmp_path: Path
) -> None:
    # Bars of the same values would be one repeated row if the day alone were read.
    rows = "\n".join(f"{date},{time},{BAR}" for time in times)
    text = f"{day},{clock},open,high,low,close,volume\n{rows}\n"

    _, frame = _import(CandleStore(tmp_path / "data", "Asia/Seoul"), text, "1m")

    assert _times(frame) == ["2024-01-02 00:00", "2024-01-02 00:01"]


@pytest.mark.parametrize(
    ("morning", "noon", "evening"),
    [
        ("오전 9:30:00", "오후 12:00:00", "오후 11:30:00"),
        ("午前 9:30", "午後 12:00", "午後 11:30"),
        ("上午09:30", "下午12:00", "下午11:30"),
        ("9:30 a.m.", "12:00 p.m.", "11:30 p.m."),
        ("09:30AM", "12:00PM", "11:30PM"),
        ("9:30 AM", "12:00 PM", "11:30 PM"),
    ],
)
@pytest.mark.parametrize("date", ["2024-01-02", "2024/01/02", "2024.01.02"])
def test_halves_of_a_day_are_read_as_people_write_them(
    date: str, morning: str, noon: str, evening: str, store: CandleStore
) -> None:
    rows = "".join(f"{date} {time},{BAR}\n" for time in (noon, morning, evening))

    _, frame = _import(store, f"{HEADER}\n{rows}", "30m")

    assert _times(frame) == ["2024-01-02 09:30", "2024-01-02 12:00", "2024-01-02 23:30"]


@pytest.mark.parametrize("first", ["2024-01-02 23:00", "2024-01-02 24:00"])
def test_hour_24_is_refused_as_a_closing_time(first: str, store: CandleStore) -> None:
    said = _refusal(store, f"{HEADER}\n{first},{BAR}\n2024-01-02 24:00,{BAR}\n", "1h")

    assert "'2024-01-02 24:00'" in said
    assert "these are closing times; a column of open times is needed" in said


@pytest.mark.parametrize("zero", ["0", "0.00", "-0"])
def test_days_without_a_trade_are_left_out_and_said(zero: str, store: CandleStore) -> None:
    halted = f"2024-01-03,{zero},{zero},{zero},11,0\n"

    report, frame = _import(store, f"{HEADER}\n2024-01-02,{BAR}\n{halted}2024-01-04,{BAR}\n")

    assert _times(frame) == ["2024-01-02 00:00", "2024-01-04 00:00"]
    assert report.assumptions == ("without a trade (open, high, low and volume are 0) and left out: 1 row",)


def test_an_open_of_zero_beside_a_trade_is_a_fault(store: CandleStore) -> None:
    traded = "2024-01-03,0,0,0,11,5\n"
    assert "open must be finite and positive" in _refusal(store, f"{HEADER}\n2024-01-02,{BAR}\n{traded}")
    assert "open must be finite and positive" in _refusal(store, f"{HEADER}\n2024-01-03,0,0,0,11,0\n")


@pytest.mark.parametrize(
    ("close", "adjusted"), [("현재가", "수정종가"), ("終値", "調整後終値"), ("收盘价", "调整后收盘价")]
)
def test_adjusted_closes_are_found_by_the_words_of_exports(
    close: str, adjusted: str, store: CandleStore
) -> None:
    path = store.layout.data_root.parent / "candles"
    path.write_text(f"date,open,high,low,{close},{adjusted},volume\n2024-01-02,10,12,9,11,5.5,500\n")

    import_candles(store, path, "ACME", "1d", adjust=True)

    # Half of each price, and twice the volume.
    assert _first_bar(store.load(["ACME"], "1d")["ACME"].to_frame()) == [5, 6, 4.5, 5.5, 1000]


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("20240102 09:30:00 US/Eastern", "2024-01-02 14:30"),
        ("2024-07-02 09:30 America/New_York", "2024-07-02 13:30"),
        ("2024-01-02 09:30:00 KST", "2024-01-02 00:30"),
        ("02.01.2024 09:30:00.000 GMT+0100", "2024-01-02 08:30"),
        ("2024-01-02 09:30:00 UTC-5", "2024-01-02 14:30"),
        ("Tue Jan 02 2024 09:30:00 GMT+0900 (Korean Standard Time)", "2024-01-02 00:30"),
        ("2024-01-02T09:30:00-05:00[America/New_York]", "2024-01-02 14:30"),
        ("2024년 01월 02일 09:30", "2024-01-02 09:30"),
        ("2024- 01- 02", "2024-01-02 00:00"),
        ("2024年1月2日", "2024-01-02 00:00"),
    ],
)
def test_zones_and_spellings_of_times_are_understood(written: str, moment: str, store: CandleStore) -> None:
    assert _times(_import(store, f'{HEADER}\n"{written}",{BAR}\n', "1h")[1]) == [moment]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["2024-01-02 09:30 CST"], "has a zone that could be several or none: 'CST'"),
        (["2024-01-02 09:30 IST"], "has a zone that could be several or none: 'IST'"),
        (["2024-01-02 09:30 Mars/Olympus"], "has a zone that could be several or none: 'Mars/Olympus'"),
        (["2024-01-02 09:30 EST", "2024-01-02 10:30"], "2024-01-02 10:30 has no zone, others have one"),
        (["now"], "timestamp is no date or time: 'now'"),
        (["today"], "timestamp is no date or time: 'today'"),
        (["2024-1"], "timestamp is no date or time: '2024-1'"),
    ],
)
def test_times_that_cannot_be_told_are_refused(rows: list[str], problem: str, store: CandleStore) -> None:
    assert problem in _refusal(store, "\n".join([HEADER, *(f"{row},{BAR}" for row in rows)]), "1h")


PRICED = "Date;Open;High;Low;Close;Volume\n2024-01-02;{};{};{};{};{}\n"


@pytest.mark.parametrize(
    ("cells", "bar"),
    [
        (("1.234,50", "1.240,00", "1.230,00", "1.235,25", "1.000"), [1234.5, 1240, 1230, 1235.25, 1000]),
        (("1,234.50", "1,240.00", "1,230.00", "1,235.25", "1,000"), [1234.5, 1240, 1230, 1235.25, 1000]),
        (("$10.5", "$12", "$9", "$11", "1.2M"), [10.5, 12, 9, 11, 1_200_000]),
        (("10,5 €", "12,0 €", "9,0 €", "11,0 €", "1,1K"), [10.5, 12, 9, 11, 1_100]),
        (
            ("₩71,100", "₩72,100", "₩70,000", "₩71,200", "1,017,142"),
            [71_100, 72_100, 70_000, 71_200, 1_017_142],
        ),
        (("1'234.5", "1'240", "1'230", "1'235", "2.5B"), [1234.5, 1240, 1230, 1235, 2.5e9]),
        (("1 234,5", "1 240,0", "1 230,0", "1 235,0", "7"), [1234.5, 1240, 1230, 1235, 7]),
        (("10.5 USD", "12 USD", "9 USD", "11 USD", "1"), [10.5, 12, 9, 11, 1]),
    ],
)
def test_numbers_in_any_dress_are_read_and_said(
    cells: tuple[str, ...], bar: list[float], store: CandleStore
) -> None:
    report, frame = _import(store, PRICED.format(*cells))

    assert _first_bar(frame) == bar
    assert report.assumptions


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        (
            ("1,100", "1,200", "1,000", "1,100", "0"),
            "open '1,100' may have a decimal comma or a thousands separator",
        ),
        (("10.5", "12,5", "9", "11", "0"), "high is no number: '12,5'"),
        (("10 11", "12", "9", "11", "0"), "open is no number: '10 11'"),
        (("10", "12K", "9", "11", "0"), "high is no number: '12K'"),
        (("10", "12", "9", "11", "5%"), "volume is no number: '5%'"),
        (("1e999", "1e999", "9", "11", "5"), "open must be finite and positive: open inf"),
        (("10", "12", "nan", "11", "5"), "low must be finite and positive: low nan"),
    ],
)
def test_numbers_that_cannot_be_told_are_refused(
    cells: tuple[str, ...], problem: str, store: CandleStore
) -> None:
    message = _refusal(store, PRICED.format(*cells))

    assert problem in message
    assert "line 2" in message


def test_a_told_decimal_sign_reads_three_decimals(store: CandleStore) -> None:
    text = PRICED.format("1,100", "1,200", "1,000", "1,100", "0")

    assert _import(store, text, decimal=",")[1]["open"].tolist() == [1.1]
    assert _import(store, text, decimal=".")[1]["open"].tolist() == [1_100]


@pytest.mark.parametrize(
    "text",
    [
        f"https://example.org/data\n{HEADER}\n2024-01-02,{BAR}\n",
        f"sep=,\n{HEADER}\n2024-01-02,{BAR}\n",
        f'"ACME Inc."\n\n{HEADER}\n2024-01-02,{BAR}\n',
        f"{HEADER}\n2024-01-02,{BAR}\nTotal,,,,,500\n\n",
        f'{HEADER}\n2024-01-02,{BAR}\n"Highest: 12.0","Lowest: 9.0"\n',
        f"{HEADER}\n2024-01-02,{BAR}\n,,,,,\n* adjusted for splits\n",
        f"{HEADER}\n2024-01-02,{BAR}\n합계,10,12,9,11,500\n",
        f"{HEADER}\n{HEADER}\n2024-01-02,{BAR}\n{HEADER}\n",
        f"{HEADER},\n2024-01-02,{BAR},\n",
        f"{HEADER}\n2024-01-02,{BAR},\n",
        f",open,high,low,close,volume\n2024-01-02,{BAR}\n",
        f"Price,Open,High,Low,Close,Volume\nTicker,A,A,A,A,A\nDate,,,,,\n2024-01-02,{BAR}\n",
        f"Ticker,A,A,A,A,A\nPrice,Open,High,Low,Close,Volume\nDate,,,,,\n2024-01-02,{BAR}\n",
        f"{HEADER}\r2024-01-02,{BAR}\r",
        f"\ufeff{HEADER}\n2024-01-02,{BAR}\n\ufeff{HEADER}\n",
        f"{HEADER}\n2024-01-02,{BAR}\n2024-01-03,null,null,null,null,null\n",
        json.dumps([dict(zip(HEADER.split(","), ["2024-01-02", 10, 12, 9, 11, 500], strict=True))]),
        json.dumps({"data": {"candles": [["2024-01-02", 10, 12, 9, 11, 500]]}}),
        json.dumps({"s": "ok", "t": [1704153600], "o": [10], "h": [12], "l": [9], "c": [11], "v": [500]}),
        json.dumps({"2024-01-02": {"open": 10, "high": 12, "low": 9, "close": 11, "volume": 500}}),
        json.dumps(
            {"columns": HEADER.split(","), "index": [0], "data": [["2024-01-02", 10, 12, 9, 11, 500]]}
        ),
        '{"time": 1704153600, "open": 10, "high": 12, "low": 9, "close": 11, "volume": 500}\n' * 2,
        f"1704153600000,{BAR}\n",
        f"2024.01.02,00:00,{BAR}\n",
        f"20240102 000000;{BAR.replace(',', ';')}\n",
        "1704153600,10,12,9,11,10.5,500,42\n",
    ],
)
def test_what_stands_around_the_rows_is_left_out(text: str, store: CandleStore) -> None:
    _, frame = _import(store, text)

    assert _times(frame) == ["2024-01-02 00:00"]
    assert _first_bar(frame) == [10, 12, 9, 11, 500]


def test_a_second_import_in_another_zone_is_refused(tmp_path: Path) -> None:
    text = "\n".join([HEADER, *(f"2024-01-0{day},{BAR}" for day in range(2, 6))])
    _import(CandleStore(tmp_path / "data", "UTC"), text)

    with pytest.raises(
        BacktestError, match="do not fit together: the bar at 2024-01-02T00:00:00 opens 9 h after"
    ):
        _import(CandleStore(tmp_path / "data", "Asia/Seoul"), text)
    assert len(CandleStore(tmp_path / "data").load(["ACME"], "1d")["ACME"]) == 4


def test_a_live_bar_alone_does_not_fit_the_stores_candles(store: CandleStore) -> None:
    _import(store, "\n".join([HEADER, *(f"2024-01-0{day},{BAR}" for day in range(2, 6))]))

    message = _message(store, f"{HEADER}\n2024-01-05 13:12,{BAR}\n")

    assert "the bar at 2024-01-05T13:12:00 opens 13 h 12 min after the one before" in message


def _zip(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, f"{HEADER}\n2024-01-02,{BAR}\n")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(ENGLISH.encode(), mtime=0),
        bz2.compress(ENGLISH.encode()),
        _zip("a.csv"),
        _zip("__MACOSX/._a.csv", "a.csv", "readme.txt"),
        gzip.compress(_zip("a.csv"), mtime=0),
    ],
)
def test_one_file_inside_another_is_read(data: bytes, store: CandleStore) -> None:
    assert _times(_import(store, data)[1])[0] == "2024-01-02 00:00"


@pytest.mark.parametrize(
    ("data", "problem", "cure"),
    [
        (
            _zip("a.csv", "b.csv"),
            "a zip archive of 2 files: a.csv, b.csv",
            "unpack it and import each by itself",
        ),
        (
            _zip("[Content_Types].xml", "xl/workbook.xml"),
            "an Excel or OpenDocument spreadsheet",
            "save it as CSV",
        ),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "an old Excel spreadsheet", "save it as CSV"),
        (b"\x80\x04\x95", "a pickle", "write it as Parquet from Python"),
        (b"\x89HDF\r\n", "an HDF5 file", "write it as Parquet from Python"),
        (b"<!DOCTYPE html><html>", "a web page", "download the data itself"),
        (
            b'{"error": "too many requests"}',
            "no candles, but error: 'too many requests'",
            "give a list of candles",
        ),
        (b"[" * 100_000, "the JSON is nested too deeply", "give a list of candles"),
        (gzip.compress(ENGLISH.encode(), mtime=0)[:-9], "damaged", "fetch it again"),
        (b"10,12,12,10,5\n", "there is no header", "--columns timestamp,open,high,low,close,volume"),
        (b"1704153600,10,12,12,10,5\n", "several orders of columns fit", "--columns timestamp,open"),
        (b"1704153600,10,9,12,11,5\n", "no one order of columns fits", "--columns timestamp,open"),
        (f'{HEADER}\n2024-01-02,"10,12\n'.encode(), "line 2 opens a quote and does not close it", "CSV"),
        (f"{HEADER}\n2024-01-02,{BAR}\0\n".encode(), "line 2 holds a NUL byte", "fetch it again"),
        (f"{HEADER}\n{'9' * 200_000}\n".encode(), "line 2 has 200001 bytes", "CSV"),
        (
            b"date open high low close volume\n2024-01-02 10 12 9 11 5\n",
            "are separated by spaces",
            "write commas",
        ),
        (
            b"close_time,open,high,low,close,volume\n1704153599999,10,12,9,11,5\n",
            "'close_time' says",
            "open times",
        ),
        (b"date,open,high,low,close\n2024-01-02,10,12,9,11\n", "missing columns: volume", "--no-volume"),
    ],
)
def test_other_files_are_named_with_what_to_do(
    data: bytes, problem: str, cure: str, store: CandleStore
) -> None:
    message = _refusal(store, data)

    assert problem in message
    assert cure in message


def test_what_swells_beyond_reason_is_refused(store: CandleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candle_unpack, "SUSPICIOUS_BYTES", 1 << 20)
    bomb = gzip.compress(b"0" * (4 << 20), mtime=0)

    assert "it swells from" in _refusal(store, bomb)


def test_told_columns_read_what_has_no_header(store: CandleStore) -> None:
    text = "1704153600,10,12,12,10,500\n"

    _, frame = _import(store, text, columns=("timestamp", "open", "high", "close", "low", "volume"))

    assert _first_bar(frame)[:4] == [10, 12, 10, 12]
    assert "--columns names 2 columns, the file has 6" in _message(store, text, columns=("timestamp", "open"))


def test_a_line_is_counted_with_all_that_stands_above_it(store: CandleStore) -> None:
    # Line 1 the address, 2 empty, 3 the header, 4 a bar, 5 empty, 6 the header again, 7 the bad bar: row 1.
    text = f"https://example.org\n\n{HEADER}\n2024-01-02,{BAR}\n\n{HEADER}\n2024-01-03,10,8,9,11,500\n"

    assert "line 7)" in _refusal(store, text)


def test_no_volume_is_zero_where_it_is_asked_for(store: CandleStore) -> None:
    report, frame = _import(store, "date,open,high,low,close\n2024-01-02,10,12,9,11\n", no_volume=True)

    assert frame["volume"].tolist() == [0]
    assert "there is no volume, 0 was stored" in report.assumptions
