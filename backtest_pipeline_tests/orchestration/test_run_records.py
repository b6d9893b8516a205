"""Giving space back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from backtest_pipeline.orchestration.tasks import run_records
from backtest_pipeline.orchestration.tasks.run_records import shrink


def _with_free_pages(path: Path) -> int:
    """A database of which most has been deleted."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE filler (content BLOB)")
        database.executemany("INSERT INTO filler VALUES (zeroblob(4000))", [()] * 500)
        database.commit()
        database.execute("DELETE FROM filler")
        database.commit()
    return path.stat().st_size


def test_free_pages_are_given_back_and_other_files_left_alone(tmp_path: Path) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        before = _with_free_pages(tmp_path / "own.db")
        (tmp_path / "stray.db").write_text("this is no database " * 1_000)
        assert shrink(instance) >= 0.9 * before
        assert (tmp_path / "own.db").stat().st_size < 0.1 * before


def test_a_large_file_waits_while_a_backtest_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_records, "_LARGE_BYTES", 1_000_000)
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        run = instance.add_run(dg.DagsterRun(job_name="backtest", status=dg.DagsterRunStatus.STARTED))
        before = _with_free_pages(tmp_path / "own.db")
        shrink(instance)
        assert (tmp_path / "own.db").stat().st_size == before
        instance.report_run_failed(run)
        assert shrink(instance) >= 0.9 * before
