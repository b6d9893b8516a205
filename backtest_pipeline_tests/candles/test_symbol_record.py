"""What is recorded of a symbol beside its candles."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from backtest_pipeline.candles.importer import import_table
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.candles.store_check import check_store
from backtest_pipeline.model.errors import CandlesInvalid, RequestInvalid, SymbolRecordInvalid
from backtest_pipeline.model.market import SymbolRecord
from backtest_pipeline_tests.results.published import store_candles, wandering


def table(days: list[str]) -> pa.Table:
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), [1.0] * len(days))
    return pa.table({"date": days, **prices})


# Five sessions in Seoul around Seollal of 2024, Thursday to Wednesday: the 9th and the 12th are holidays.
SEOLLAL = ["2024-02-07", "2024-02-08", "2024-02-13", "2024-02-14", "2024-02-15"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("calendar", "written"),
    [
        ("XKRX", {"calendar": "XKRX", "quote": "KRW", "timezone": "Asia/Seoul"}),
        ("xnas", {"calendar": "XNAS", "quote": "USD", "timezone": "America/New_York"}),
        ("XKOS", {"calendar": "XKOS", "quote": "KRW", "timezone": "Asia/Seoul"}),
        ("24/7", {"calendar": "24/7", "quote": None, "timezone": "UTC"}),
    ],
)
def test_an_import_records_the_calendar(tmp_path: Path, calendar: str, written: dict[str, object]) -> None:
    store = CandleStore(tmp_path)
    import_table(store, table(SEOLLAL), "X", "1d", calendar=calendar)
    assert json.loads((tmp_path / "X" / "symbol.json").read_text()) == written
    assert store.load(["X"], "1d")["X"].record == SymbolRecord.model_validate(written)


def test_holidays_are_no_gap_and_a_missing_session_is_named(tmp_path: Path) -> None:
    store = CandleStore(tmp_path, "Asia/Seoul")
    report = import_table(store, table(SEOLLAL), "X", "1d", calendar="XKRX")
    assert (report.gaps.count, report.gaps.calendar) == (0, "XKRX")
    again = import_table(store, table([*SEOLLAL[:3], "2024-02-15"]), "Y", "1d", calendar="XKRX")
    assert (again.gaps.count, again.gaps.missing_sessions) == (1, ("2024-02-14",))
    assert [found.gaps for found in check_store(store)] == [report.gaps, again.gaps]
    # in New York, the 9th and the 12th were sessions
    told = import_table(store, table(SEOLLAL), "Z", "1d", calendar="XNYS")
    assert told.gaps.missing_sessions == ("2024-02-09", "2024-02-12")


def test_a_later_import_keeps_what_is_recorded_and_another_calendar_replaces_it(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    import_table(store, table(SEOLLAL), "X", "1d", calendar="XKRX")
    path = tmp_path / "X" / "symbol.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quote": "USD", "source": "a vendor"}))
    assert import_table(store, table(SEOLLAL), "X", "1d").gaps.calendar == "XKRX"
    import_table(store, table(SEOLLAL), "X", "1d", calendar="XTKS")
    assert json.loads(path.read_text()) == {
        "calendar": "XTKS",
        "quote": "USD",
        "timezone": "Asia/Tokyo",
        "source": "a vendor",
    }


def test_nothing_is_recorded_of_an_import_that_is_refused(tmp_path: Path) -> None:
    store = CandleStore(tmp_path)
    with pytest.raises(RequestInvalid, match=r"no calendar 'XKRS'; did you mean .*XKRX"):
        import_table(store, table(SEOLLAL), "X", "1d", calendar="XKRS")
    with pytest.raises(CandlesInvalid):
        import_table(store, table(SEOLLAL).drop_columns("close"), "X", "1d", calendar="XKRX")
    assert not (tmp_path / "X").exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "no JSON object"),
        ('{"calendar": "XKRX"', "no JSON object"),
        ("[]", "no JSON object"),
        ('{"calendar": "XKRX"}', "timezone: Field required"),
        ('{"calendar": "XXXX", "timezone": "UTC"}', "calendar: there is no calendar 'XXXX'"),
        ('{"calendar": "24/7", "timezone": "Mars/Base"}', "timezone: 'Mars/Base' is no time zone"),
    ],
)
def test_a_broken_record_is_an_error_that_an_import_mends(tmp_path: Path, content: str, problem: str) -> None:
    store_candles(tmp_path, wandering("X"))
    store = CandleStore(tmp_path)
    path = tmp_path / "X" / "symbol.json"
    path.write_text(content)
    with pytest.raises(SymbolRecordInvalid, match="candles import --calendar") as caught:
        store.load(["X"], "1d")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)
    [report] = check_store(store)
    assert (report.rows, len(report.faults)) == (200, 1)
    import_table(store, table(SEOLLAL), "X", "1d", calendar="24/7")
    assert store.record("X") == SymbolRecord.of("24/7")
