"""Merging imported candles: what changes, what stays, crashes and two writers at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backtest_pipeline.candles.importer import ImportReport, import_candles, import_table
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import CandleFileUnreadable, CandlesInvalid, RequestInvalid
from backtest_pipeline.model.gaps import Gaps

MakeFrame = Callable[..., pd.DataFrame]
Put = Callable[..., Path]


def _import(store: CandleStore, frame: pd.DataFrame, timeframe: Any = "1d") -> ImportReport:
    return import_table(store, pa.Table.from_pandas(frame, preserve_index=False), "ACME", timeframe)


def _bytes(data_root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data_root)): path.read_bytes() for path in data_root.rglob("*.parquet")}


def test_an_import_reports_what_it_did(store: CandleStore, candle_frame: MakeFrame, tmp_path: Path) -> None:
    path = tmp_path / "candles.csv"
    frame = candle_frame("2019-12-30", 40).drop(index=[10, 11])
    pd.concat([frame, frame[:3]]).to_csv(path, index=False)

    report = import_candles(store, path, "ACME", "1d")

    assert report == ImportReport(
        "ACME",
        "1d",
        rows_read=41,
        rows_new=38,
        rows_replaced=0,
        years=(2019, 2020),
        first=datetime(2019, 12, 30, tzinfo=UTC),
        last=datetime(2020, 2, 7, tzinfo=UTC),
        gaps=Gaps(1, datetime(2020, 1, 8, tzinfo=UTC), datetime(2020, 1, 11, tzinfo=UTC), 2),
    )


def test_files_have_the_documented_form(store: CandleStore, candle_frame: MakeFrame, data_root: Path) -> None:
    _import(store, candle_frame("2020-01-01", 200_000, "1min"), "1m")

    parquet = pq.ParquetFile(data_root / "ACME" / "1M" / "2020.parquet")
    columns = parquet.metadata.row_group(0)
    assert [(field.name, str(field.type)) for field in parquet.schema_arrow] == [
        ("timestamp", "timestamp[us, tz=UTC]"),
        *((name, "double") for name in ("open", "high", "low", "close", "volume")),
    ]
    assert [parquet.metadata.row_group(at).num_rows for at in range(4)] == [65_536] * 3 + [
        200_000 - 3 * 65_536
    ]
    assert {columns.column(at).compression for at in range(6)} == {"ZSTD"}
    assert columns.column(0).statistics.has_min_max


def test_a_flipped_bit_never_changes_a_candle(
    store: CandleStore, candle_frame: MakeFrame, data_root: Path
) -> None:
    _import(store, candle_frame("2020-01-01", 200))
    path = data_root / "ACME/1D/2020.parquet"
    whole, sound = path.read_bytes(), store.load(["ACME"], "1d")["ACME"].fingerprint()
    close = pq.read_metadata(path).row_group(0).column(4)
    refused = 0

    for at in range(close.total_compressed_size):
        data = bytearray(whole)
        data[close.dictionary_page_offset + at] ^= 1 << at % 8
        path.write_bytes(data)
        try:
            assert store.load(["ACME"], "1d")["ACME"].fingerprint() == sound
        except CandleFileUnreadable:
            refused += 1

    assert refused > 0.9 * close.total_compressed_size


def test_the_same_import_again_changes_no_byte(
    store: CandleStore, candle_frame: MakeFrame, data_root: Path
) -> None:
    frame = candle_frame("2019-12-30", 40)
    _import(store, frame)
    before = _bytes(data_root)
    written_at = {name: (data_root / name).stat().st_mtime_ns for name in before}

    again = _import(store, frame.sample(frac=1, random_state=0))

    assert (again.rows_new, again.rows_replaced, again.years) == (0, 0, ())
    assert _bytes(data_root) == before
    assert {name: (data_root / name).stat().st_mtime_ns for name in before} == written_at


def test_imported_candles_replace_those_of_the_same_time(
    store: CandleStore, candle_frame: MakeFrame, data_root: Path
) -> None:
    _import(store, candle_frame("2019-06-01", 400))
    year_before = (data_root / "ACME/1D/2019.parquet").read_bytes()
    newer = candle_frame("2020-03-01", 3).assign(volume=7.0)

    report = _import(store, newer)

    candles = store.load(["ACME"], "1d", date(2020, 2, 29), date(2020, 3, 4))["ACME"]
    assert (report.rows_new, report.rows_replaced, report.years) == (0, 3, (2020,))
    # 29 February 2020 is 273 days after 1 June 2019, 4 March 277.
    assert candles.volume.tolist() == [1_273, 7, 7, 7, 1_277]
    assert (data_root / "ACME/1D/2019.parquet").read_bytes() == year_before


def test_old_files_are_merged_in_place_and_untouched_ones_stay(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    old = candle_frame("2020-01-01", 10).assign(symbol="ACME", timeframe="1D")
    path = put(old.set_index("timestamp"))
    as_it_was = path.read_bytes()

    assert _import(store, candle_frame("2020-01-01", 10)).years == ()
    assert path.read_bytes() == as_it_was

    assert _import(store, candle_frame("2020-01-01", 12)).rows_new == 2
    assert len(store.load(["ACME"], "1d")["ACME"]) == 12


def test_a_year_cut_by_local_time_keeps_its_rows(data_root: Path, candle_frame: MakeFrame, put: Put) -> None:
    frame = candle_frame("2019-12-31", 48, "1h", tz="Asia/Seoul")
    put(frame[:20], "ACME/1H/2019.parquet")
    later = put(frame[24:40], "ACME/1H/2020.parquet")  # begins on 2019-12-31 15:00 UTC
    store = CandleStore(data_root, "Asia/Seoul")

    report = _import(store, frame.assign(volume=9.0), "1h")

    candles = store.load(["ACME"], "1h")["ACME"]
    assert (report.rows_new, report.rows_replaced) == (12, 36)
    assert len(candles) == 48
    assert (candles.volume == 9).all()
    assert pq.read_metadata(later).num_rows == 24


def test_a_year_that_reaches_into_the_next_keeps_its_rows(
    store: CandleStore, candle_frame: MakeFrame, put: Put
) -> None:
    frame = candle_frame("2019-12-31", 48, "1h")
    earlier = put(frame[:29], "ACME/1H/2019.parquet")  # New York's year ends on 2020-01-01 05:00 UTC

    report = _import(store, frame, "1h")

    assert report.years == (2020,)
    assert pq.read_metadata(earlier).num_rows == 29
    assert len(store.load(["ACME"], "1h")["ACME"]) == 48


def test_a_file_of_another_year_is_refused(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    put(candle_frame("2018-06-01", 10))

    with pytest.raises(CandlesInvalid, match="the file of 2020 holds a candle of 2018-06-01T00:00:00"):
        _import(store, candle_frame("2020-01-01", 10))


def test_overlapping_files_are_refused(store: CandleStore, candle_frame: MakeFrame, put: Put) -> None:
    put(candle_frame("2019-12-31", 30, "1h"), "ACME/1H/2019.parquet")
    put(candle_frame("2019-12-31 20:00", 30, "1h"), "ACME/1H/2020.parquet")

    with pytest.raises(CandlesInvalid, match=r"2019\.parquet and 2020\.parquet overlap"):
        _import(store, candle_frame("2020-01-01", 30, "1h"), "1h")


def test_a_corrupt_year_that_must_be_merged_stops_the_whole_import(
    store: CandleStore, candle_frame: MakeFrame, data_root: Path
) -> None:
    _import(store, candle_frame("2019-12-01", 60))
    (data_root / "ACME/1D/2020.parquet").write_bytes(b"rotten")
    before = _bytes(data_root)

    with pytest.raises(CandleFileUnreadable):
        _import(store, candle_frame("2019-11-01", 90))

    assert _bytes(data_root) == before


def test_a_crash_between_two_years_leaves_each_of_them_whole(
    store: CandleStore, candle_frame: MakeFrame, data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _import(store, candle_frame("2019-12-01", 60))
    newer = candle_frame("2019-12-01", 60).assign(volume=5.0)
    replace = Path.replace

    def crash_at_2020(tmp: Path, target: Path) -> Path:
        if target.name == "2020.parquet":
            raise OSError("no power")
        return replace(tmp, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash_at_2020)
        with pytest.raises(OSError, match="no power"):
            _import(store, newer)

    volume = store.load(["ACME"], "1d")["ACME"].volume
    assert (volume[:31] == 5).all()
    assert volume[31:].tolist() == [1_000 + day for day in range(31, 60)]
    assert not list((data_root / "ACME/1D").glob(".*.tmp"))
    assert _import(store, newer).years == (2020,)


def test_leftovers_of_a_killed_import_are_ignored_and_removed(
    store: CandleStore, candle_frame: MakeFrame, data_root: Path
) -> None:
    _import(store, candle_frame("2020-01-01", 10))
    leftover = data_root / "ACME/1D/.2019.parquet.tmp"
    leftover.write_bytes(b"PAR1 half")

    assert len(store.load(["ACME"], "1d")["ACME"]) == 10
    _import(store, candle_frame("2020-01-01", 11))
    assert not leftover.exists()


@pytest.mark.slow
def test_imports_at_the_same_time_lose_no_row(
    data_root: Path, candle_frame: MakeFrame, tmp_path: Path
) -> None:
    frame = candle_frame("2019-07-01", 400)
    code = (
        "import sys\n"
        "from backtest_pipeline.candles.importer import import_candles\n"
        "from backtest_pipeline.candles.store import CandleStore\n"
        "for path in sys.argv[2:]:\n"
        "    import_candles(CandleStore(sys.argv[1]), path, 'ACME', '1d')\n"
    )
    shuffled = frame.sample(frac=1, random_state=0)  # every thirtieth day alone would be no daily series
    writers = []
    for writer in range(3):
        paths = []
        for part in range(10):
            path = tmp_path / f"{writer}-{part}.csv"
            shuffled[writer * 10 + part :: 30].to_csv(path, index=False)
            paths.append(str(path))
        writers.append(subprocess.Popen([sys.executable, "-c", code, str(data_root), *paths]))

    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    candles = CandleStore(data_root).load(["ACME"], "1d")["ACME"]
    assert candles.close.tolist() == frame["close"].tolist()


def test_a_negative_zero_is_stored_as_zero(
    store: CandleStore, candle_frame: MakeFrame, data_root: Path
) -> None:
    _import(store, candle_frame("2020-01-01", 2).assign(volume=0.0))
    before = _bytes(data_root)

    (data_root / "ACME/1D/2020.parquet").unlink()
    _import(store, candle_frame("2020-01-01", 2).assign(volume=-0.0))

    assert _bytes(data_root) == before


def test_what_is_no_symbol_is_refused_before_the_file_is_read(store: CandleStore, tmp_path: Path) -> None:
    with pytest.raises(RequestInvalid, match=r"'\.\./ACME' is not a symbol"):
        import_candles(store, tmp_path / "gone.csv", "../ACME", "1d")
