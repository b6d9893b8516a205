"""Checking a whole store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.candles.store_check import check_store
from backtest_pipeline.model.errors import SymbolsUnknown

MakeFrame = Callable[..., pd.DataFrame]
Put = Callable[..., Path]


def test_a_sound_store_has_rows_and_gaps_and_no_fault(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2019-12-02", 30), "ACME/1D/2019.parquet")
    put(candle_frame("2020-01-05", 300), "ACME/1D/2020.parquet")
    put(candle_frame("2020-01-01", 10, "1h"), "BETA/1H/2020.parquet")

    reports = list(check_store(store))

    assert [(report.symbol, report.timeframe, report.files, report.rows) for report in reports] == [
        ("ACME", "1d", 2, 330),
        ("BETA", "1h", 1, 10),
    ]
    assert [report.faults for report in reports] == [(), ()]
    assert [report.gaps.count for report in reports] == [1, 0]  # 1 to 4 January


def test_the_check_goes_on_after_the_first_faulty_file(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    frame = candle_frame("2018-01-01", 10)
    rotten = put(frame, "ACME/1D/2017.parquet")
    rotten.write_bytes(b"rotten")
    bad_row = put(frame.assign(low=[99.0, 500.0] + [99.0] * 8), "ACME/1D/2018.parquet")
    put(candle_frame("2019-01-01", 10), "ACME/1D/2019.parquet")
    stray = put(candle_frame("2016-06-01", 10), "ACME/1D/2020.parquet")
    put(candle_frame("2021-12-30", 4), "ACME/1D/2021.parquet")
    put(candle_frame("2021-12-31", 16, "1h"), "BETA/1H/2021.parquet")
    twice = put(candle_frame("2021-12-31 15:00", 40, "1h"), "BETA/1H/2022.parquet")

    acme, beta = check_store(store)

    assert acme.rows == 10
    assert acme.faults[0].startswith(f"ACME: cannot read {rotten}: Parquet ")
    assert acme.faults[1] == (
        f"ACME: low is above open: low 500.0, open 100.5, at 2018-01-02T00:00:00 ({bad_row}, row 1)"
    )
    assert acme.faults[2] == f"ACME: the file of 2020 holds a candle of 2016-06-01T00:00:00 ({stray})"
    assert acme.faults[3].startswith("ACME: the file of 2021 holds a candle of 2022-01-02T00:00:00 (")
    assert len(beta.faults) == 1
    assert beta.faults[0] == (
        "BETA: two rows have the same timestamp: 2021-12-31T15:00:00 follows 2021-12-31T15:00:00 "
        f"of 2021.parquet ({twice}, row 0)"
    )


def test_an_open_off_the_grid_is_a_fault_of_its_file(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    put(candle_frame("2019-12-20", 12), "ACME/1D/2019.parquet")
    live = candle_frame("2020-01-01", 10)
    live.loc[9, "timestamp"] = pd.Timestamp("2020-01-09 13:12", tz="UTC")
    path = put(live, "ACME/1D/2020.parquet")
    put(candle_frame("2020-01-01", 60, "1h"), "BETA/1M/2020.parquet")

    acme, beta = check_store(store)

    assert acme.rows == 22
    assert len(acme.faults) == 1
    assert acme.faults[0].startswith(
        "ACME: the bar at 2020-01-09T13:12:00 opens 13 h 12 min after the one before"
    )
    assert acme.faults[0].endswith(f"({path}, row 9)")
    assert "these are not 1m candles: bars are 1 h apart" in beta.faults[0]


def test_only_the_named_symbols_are_checked(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    for symbol in ("ACME", "BETA", "GAMMA"):
        put(candle_frame("2020-01-01", 10), f"{symbol}/1D/2020.parquet")

    assert [report.symbol for report in check_store(store, ["GAMMA", "ACME"])] == ["GAMMA", "ACME"]
    with pytest.raises(SymbolsUnknown) as refused:
        list(check_store(store, ["ACME", "NOPE", "NEVER"]))
    assert str(refused.value) == "the store has no candles of NOPE, NEVER; it has ACME, BETA, GAMMA"


def test_an_empty_store_is_sound(store: CandleStore) -> None:
    assert list(check_store(store)) == []
