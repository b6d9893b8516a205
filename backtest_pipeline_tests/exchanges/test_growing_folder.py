"""A folder of files that grows is stored as far as it is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from backtest_pipeline.candles.sources.downloads import DownloadReport
from backtest_pipeline.candles.sources.folder_source import FolderSource
from backtest_pipeline.candles.sources.updates import open_source, update_all, update_folder
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.cli.commands.candle_commands import candles_app
from backtest_pipeline_tests.exchanges.conftest import QuickTime
from backtest_pipeline_tests.exchanges.exchange_files import FIRST_S, approx, stored
from backtest_pipeline_tests.exchanges.made_market import MadeMarket
from backtest_pipeline_tests.polling import until

MARKET = MadeMarket.of(FIRST_S, 100, seed=6)
LONG_AFTER_S = float(FIRST_S + 10**7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "feed"
    path.mkdir()
    return path


def line(at: int) -> str:
    return ",".join(map(str, (at, *MARKET.rows[at]))) + "\n"


def lines(first: int, stop: int) -> str:
    return "".join(line(FIRST_S + hour * 3_600) for hour in range(first, stop))


HEADER = "timestamp,open,high,low,close,volume\n"


def taken(
    store: CandleStore, folder: Path, now_s: float = LONG_AFTER_S, *, refresh: bool = False
) -> DownloadReport:
    clock = QuickTime(now_s).clock
    return update_folder(store, FolderSource(folder, ZoneInfo("UTC"), clock), clock, refresh=refresh)[0]


def rows(first: int, stop: int) -> dict[int, tuple[float, ...]]:
    return {at: row for at, row in MARKET.rows.items() if first <= (at - FIRST_S) // 3_600 < stop}


def test_a_line_that_is_being_written_waits_for_its_end(store: CandleStore, folder: Path) -> None:
    file = folder / "ACME-1h.csv"
    file.write_text(HEADER + lines(0, 10) + line(FIRST_S + 36_000)[:-6])
    assert taken(store, folder).rows_new == 10
    assert stored(store, "ACME") == approx(rows(0, 10))
    with file.open("a") as feed:
        feed.write(line(FIRST_S + 36_000)[-6:])
    assert taken(store, folder).rows_new == 1
    assert stored(store, "ACME") == approx(rows(0, 11))


def test_the_candle_in_progress_waits_for_its_end(store: CandleStore, folder: Path) -> None:
    (folder / "ACME-1h.csv").write_text(HEADER + lines(0, 10))
    assert taken(store, folder, FIRST_S + 9.5 * 3_600).rows_new == 9
    assert taken(store, folder, FIRST_S + 10 * 3_600).rows_new == 1


def test_files_of_earlier_months_may_come_later(store: CandleStore, folder: Path) -> None:
    (folder / "ACME-1h-02.csv").write_text(HEADER + lines(50, 80))
    taken(store, folder)
    (folder / "ACME-1h-01.csv").write_text(HEADER + lines(0, 50))
    (folder / "ACME-1h-03.csv").write_text(HEADER + lines(80, 100))
    taken(store, folder)
    assert stored(store, "ACME") == approx(rows(0, 100))


def test_a_file_that_is_rewritten_is_told_and_taken_by_refresh(store: CandleStore, folder: Path) -> None:
    file = folder / "ACME-1h.csv"
    file.write_text(HEADER + lines(0, 10))
    taken(store, folder)
    opened, high, low, close, _ = MARKET.rows[FIRST_S]
    file.write_text(HEADER + f"{FIRST_S},{opened},{high},{low},{close},5.5\n" + lines(1, 10))
    assert taken(store, folder).rows_differing == 1
    assert stored(store, "ACME") == approx(rows(0, 10))
    assert taken(store, folder, refresh=True).rows_replaced == 1
    assert stored(store, "ACME")[FIRST_S][4] == 5.5


def test_an_update_of_everything_knows_the_folder(store: CandleStore, folder: Path) -> None:
    file = folder / "ACME-1h.csv"
    file.write_text(HEADER + lines(0, 10))
    (folder / "notes.txt").write_text("nothing of ours")
    taken(store, folder)
    file.write_text(HEADER + lines(0, 20))
    clock = QuickTime(LONG_AFTER_S).clock
    [report] = update_all(store, lambda name: open_source(name, store, clock, {}), clock)
    assert (report.rows_new, report.source) == (10, f"folder:{folder}")


def test_a_file_that_cannot_be_read_is_named(store: CandleStore, folder: Path) -> None:
    (folder / "ACME-1h.parquet").write_bytes(b"PAR1 and no more")
    report = taken(store, folder)
    assert report.state == "failed"
    assert "ACME-1h.parquet" in report.error


@pytest.mark.slow
def test_a_watched_folder_is_stored_as_it_grows(store: CandleStore, folder: Path) -> None:
    file = folder / "ACME-1h.csv"
    file.write_text(HEADER + lines(0, 10))
    command = [str(Path(sys.executable).with_name("backtest")), "candles", "update", "--folder", str(folder)]
    environment = os.environ | {"DATA_ROOT": str(store.layout.data_root)}
    with subprocess.Popen(
        [*command, "--watch", "--every-s", "0.2"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        until(lambda: store.files("ACME", "1h") != {}, "the first candles")
        with file.open("a") as feed:
            feed.write(lines(10, 20))
        until(lambda: len(stored(store, "ACME")) == 20, "what the file grew by")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"ACME 1h: 10 new" in errors
    assert stored(store, "ACME") == approx(rows(0, 20))


def test_watching_needs_a_folder() -> None:
    result = CliRunner().invoke(candles_app, ["update", "--watch"])
    assert result.exit_code == 2
    assert "needs --folder" in result.stderr
