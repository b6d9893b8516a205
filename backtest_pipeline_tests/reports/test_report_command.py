"""`backtest report` and `backtest compare`, on results on disk."""

from __future__ import annotations

import hashlib
import json
import re
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

from backtest_pipeline import BacktestRequest, CandleStore, run_backtest
from backtest_pipeline.candles.importer import import_table
from backtest_pipeline.cli.main import app
from backtest_pipeline.model.errors import FileThere, RequestInvalid, ResultMissing, TaskUnknown
from backtest_pipeline.model.manifest import ResultFile
from backtest_pipeline.reports.sections import CANDLES_GONE
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import get_settings
from backtest_pipeline_tests.reports.made import (
    OTHER_TASK,
    TASK,
    candles_of,
    manifest_of,
    walk,
    without_translations,
)

UNKNOWN = "2f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store with candles of two symbols and one finished task; the current folder is an empty one."""
    data = tmp_path / "data"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("DATA_ROOT", str(data))
    get_settings.cache_clear()
    _import(data, "AAPL", walk(120))
    _import(data, "IBM", walk(120, seed=1))
    _run_task(data, TASK, fast=3)
    yield data
    get_settings.cache_clear()


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were opened in the reader's browser."""
    addresses: list[str] = []

    def note(address: str) -> bool:
        addresses.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", note)
    return addresses


def _import(data: Path, symbol: str, closes: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    frame = candles_of(closes, symbol).to_frame()
    import_table(CandleStore(data), pa.table(frame), symbol, "1d", adjust=False, source="test")


def _run_task(data: Path, task_id: str, *, fast: int, report: bytes | None = None) -> None:
    candles = CandleStore(data).load(["AAPL", "IBM"], "1d")
    request = BacktestRequest(strategy="sma_cross", params={"fast": fast, "slow": 8}, symbols=["AAPL", "IBM"])
    result = run_backtest(candles, request)
    store = TaskStore(data)
    with store.staging(task_id) as staged:
        files = store.write_tables(staged, result)
        if report is not None:
            (staged / "report.html").write_bytes(report)
            facts = {"size_bytes": len(report), "sha256": hashlib.sha256(report).hexdigest(), "rows": None}
            files.append(ResultFile(name="report", path="report.html", kind="html", **facts))
        store.publish(manifest_of(result, candles, files, task_id=task_id), staged)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.slow
def test_a_report_is_drawn_into_the_current_folder_and_opened(root: Path, opened: list[str]) -> None:
    done = _run("report", TASK)
    page = Path.cwd() / f"report-{TASK}.html"
    assert done.stdout.strip() == str(page)
    assert opened == [page.as_uri()]
    standing_by = r'<[^>]* id="price-gone"[^>]* hidden>[^<]*'
    assert CANDLES_GONE not in re.sub(standing_by, "", without_translations(page.read_text()))
    assert _run("report", TASK).exit_code == 0  # our own name may be drawn again


def test_a_published_report_is_opened_as_it_is_and_copied_where_asked(root: Path, opened: list[str]) -> None:
    _run_task(root, OTHER_TASK, fast=3, report=b"<p>as published")
    published = TaskStore(root).layout.task(OTHER_TASK) / "report.html"
    _run("report", OTHER_TASK)
    assert opened == [published.as_uri()]
    _run("report", OTHER_TASK, "--out", "copy.html", "--no-open")
    assert Path("copy.html").read_bytes() == b"<p>as published"
    assert len(opened) == 1


def test_json_tells_where_the_page_is(root: Path) -> None:
    done = _run("report", TASK, "--out", "page.html", "--no-open", "--json")
    assert json.loads(done.stdout) == {
        "task_id": TASK,
        "path": str(Path.cwd() / "page.html"),
        "opened": False,
        "left_out": [],
    }


def test_candles_that_changed_since_are_left_out_with_a_note(root: Path) -> None:
    _import(root, "IBM", walk(120, seed=2))
    left_out = json.loads(_run("report", TASK, "--no-open", "--json").stdout)["left_out"]
    assert [note.split()[0] for note in left_out] == ["IBM"]
    assert "have changed" in left_out[0]


def test_candles_that_are_gone_are_left_out_with_a_note(root: Path) -> None:
    for file in (root / "AAPL" / "1D").iterdir():
        file.unlink()
    left_out = json.loads(_run("report", TASK, "--no-open", "--json").stdout)["left_out"]
    assert [note.split()[0] for note in left_out] == ["AAPL"]


@pytest.mark.slow
def test_a_file_of_another_name_is_not_written_over_unasked(root: Path) -> None:
    Path("mine.html").write_text("mine")
    assert isinstance(_run("report", TASK, "--out", "mine.html").exception, FileThere)
    assert Path("mine.html").read_text() == "mine"
    assert _run("report", TASK, "--out", "mine.html", "--force", "--no-open").exit_code == 0
    assert Path("mine.html").read_text().startswith("<!doctype html>")


def test_a_task_without_result_has_no_report(root: Path) -> None:
    assert isinstance(_run("report", UNKNOWN).exception, ResultMissing)
    assert isinstance(_run("report", "no-task").exception, TaskUnknown)
    assert isinstance(_run("compare", TASK, UNKNOWN).exception, ResultMissing)
    assert list(Path.cwd().iterdir()) == []


def test_two_tasks_are_compared_on_one_page(root: Path, opened: list[str]) -> None:
    _run_task(root, OTHER_TASK, fast=5)
    done = _run("compare", TASK, OTHER_TASK, "--json")
    page = Path.cwd() / "comparison.html"
    assert json.loads(done.stdout) == {
        "task_ids": [TASK, OTHER_TASK],
        "path": str(page),
        "opened": True,
    }
    assert opened == [page.as_uri()]
    for wanted in (TASK[:8], OTHER_TASK[:8], "params.fast"):
        assert wanted in page.read_text()


def test_one_task_is_nothing_to_compare(root: Path) -> None:
    assert isinstance(_run("compare", TASK, TASK).exception, RequestInvalid)
