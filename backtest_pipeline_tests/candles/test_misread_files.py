"""Files that were imported wrongly once, written again by hand, with the bars that they mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest_pipeline.candles.importer import import_candles
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.model.timeframe import Timeframe
from backtest_pipeline_tests.candles.source_files import FILES, MINUTES

HEADER = "Date,Open,High,Low,Close,Volume"
BAR = "10,11,9,10.5,100"

EPOCH_UNITS_MIXED = "\n".join(
    [
        "open_time,open,high,low,close,volume",
        *(f"{at},{BAR}" for at in (1735682400000, 1735686000000)),  # milliseconds until 2024
        *(f"{at},{BAR}" for at in (1735689600000000, 1735693200000000, 1735696800000000)),
    ]
)
YEAR_MONTH_DAY = "\n".join([HEADER, *(f"24/01/{day},{BAR}" for day in ("02", "03", "31")), f"24/02/01,{BAR}"])
LIVE_ROW = "\n".join(
    [
        HEADER,
        *(f"2024-01-0{day} 00:00:00-05:00,{BAR}" for day in (2, 3, 4)),
        f"2024-01-04 13:12:44-05:00,{BAR}",
    ]
)
TWO_SYMBOLS = (
    f"date,symbol,open,high,low,close,volume\n2024-01-02,AAA,{BAR}\n2024-01-04,BBB,500,510,490,505,1\n"
)
DAILY = "\n".join([HEADER, *(f"2024-01-{day},{BAR}" for day in range(10, 30) if day % 7 not in {6, 0})])


def _opens(tmp_path: Path, data: bytes | str, timeframe: Timeframe) -> list[str]:
    path, store = tmp_path / "candles", CandleStore(tmp_path / "data")
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    import_candles(store, path, "ACME", timeframe)
    return [f"{at:%Y-%m-%d %H:%M}" for at in store.load(["ACME"], timeframe)["ACME"].to_frame()["timestamp"]]


def test_a_unit_that_changes_in_a_column_gives_five_hours(tmp_path: Path) -> None:
    assert _opens(tmp_path, EPOCH_UNITS_MIXED, "1h") == [
        *("2024-12-31 22:00", "2024-12-31 23:00"),
        *("2025-01-01 00:00", "2025-01-01 01:00", "2025-01-01 02:00"),
    ]


@pytest.mark.parametrize(
    ("text", "timeframe", "problem"),
    [
        (YEAR_MONTH_DAY, "1d", "'24/01/02' may be 2024-01-02 or 2002-01-24"),
        (LIVE_ROW, "1d", "the bar at 2024-01-04T18:12:44 opens 13 h 12 min after the one before"),
        (LIVE_ROW, "1d", "line 5)"),
        (TWO_SYMBOLS, "1d", "the column 'symbol' has 2 values (AAA, BBB)"),
        (DAILY, "1m", "these are not 1m candles: bars are 1 day apart"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    text: str, timeframe: Timeframe, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(BacktestError) as refused:
        _opens(tmp_path, text, timeframe)

    assert problem in str(refused.value)
    assert not (tmp_path / "data").exists()


def test_the_words_of_a_korean_header_tell_its_encoding(tmp_path: Path) -> None:
    text = "일자,종가,시가,고가,저가,거래량\n2024/01/02,79600,78200,79800,78200,17142847\n"

    assert _opens(tmp_path, text.encode("cp949"), "1d") == ["2024-01-02 00:00"]


def test_a_table_of_metatrader_in_utf_16_is_read(tmp_path: Path) -> None:
    text = FILES["EURUSD_H1.csv"][0]().decode()

    assert len(_opens(tmp_path, text.encode("utf-16"), "1h")) == 5


def test_minutes_of_histdata_are_no_hours(tmp_path: Path) -> None:
    assert len(MINUTES) == 5
    with pytest.raises(BacktestError, match="these are not 1h candles: most are 60 s apart"):
        _opens(tmp_path, FILES["HISTDATA.zip"][0](), "1h")
