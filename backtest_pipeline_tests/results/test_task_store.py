"""Publishing and reading results."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline import BacktestRequest, BacktestResult, Candles, run_backtest
from backtest_pipeline.model.errors import AttemptSuperseded, ResultDamaged, ResultMissing, TaskUnknown
from backtest_pipeline.model.manifest import (
    Environment,
    Manifest,
    ResultFile,
    Summary,
    TaskErrorRecord,
    Timestamps,
)
from backtest_pipeline.results.catalog import read_catalog
from backtest_pipeline.results.retention import Swept, sweep
from backtest_pipeline.results.retention_rules import Rules
from backtest_pipeline.results.task_store import TaskStore

TASK = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
RETRY = "1f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def _result() -> BacktestResult:
    closes = np.array([10.0, 11.0, 12.0, 11.0, 10.0, 9.0, 10.0, 11.0, 12.0, 13.0])
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("2024-01-01", periods=10, tz="UTC"),
            "open": closes,
            "high": closes + 1,
            "low": closes - 1,
            "close": closes,
            "volume": 100.0,
        }
    )
    candles = Candles.from_frame(frame, symbol="AAPL", timeframe="1d")
    request = BacktestRequest(strategy="sma_cross", params={"fast": 2, "slow": 3}, symbols=["AAPL"])
    return run_backtest({"AAPL": candles}, request)


def _manifest(
    result: BacktestResult, files: list[ResultFile], *, run_ids: list[str], **changes: Any
) -> Manifest:
    request = result.request
    fields: dict[str, Any] = {
        "task_id": TASK,
        "status": "completed",
        "strategy_id": request.strategy,
        "params": dict(request.params),
        "symbols": list(request.symbols),
        "timeframe": request.timeframe,
        "start": None,
        "end": None,
        "request": request.to_dict(),
        "request_digest": request.digest(),
        "result_files": files,
        "candles": [],
        "timestamps": Timestamps(submitted_at=NOON, started_at=NOON, finished_at=NOON, expires_at=None),
        "duration_ms": 0,
        "attempt": len(run_ids),
        "run_ids": run_ids,
        "summary": Summary(total_signals=0, total_trades=0, symbols_processed=1, symbols_failed=0),
        "metrics": result.metrics,
        "by_symbol": result.by_symbol,
        "checks": {},
        "diagnostics": [],
        "pinned": False,
        "environment": Environment(**dict.fromkeys(Environment.model_fields, "1")),
        "error": None,
    }
    return Manifest(**{**fields, **changes})


def _publish(store: TaskStore, run_ids: list[str]) -> BacktestResult:
    result = _result()
    with store.staging(run_ids[-1]) as staged:
        files = store.write_tables(staged, result)
        store.publish(_manifest(result, files, run_ids=run_ids), staged)
    return result


def test_a_published_result_reads_back_as_it_was(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    written = _publish(store, [TASK])
    read = store.result(TASK)
    for name in ("signals", "trades", "equity"):
        pd.testing.assert_frame_equal(getattr(read, name), getattr(written, name))
    assert read.metrics == written.metrics
    assert read.request == written.request
    assert store.task_ids() == [TASK]


def test_the_same_result_is_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for attempt in ("one", "two"):
        store = TaskStore(tmp_path / attempt)
        _publish(store, [TASK])
        contents.append(
            [(store.layout.task(TASK) / f"{n}.parquet").read_bytes() for n in ("signals", "trades", "equity")]
        )
    assert contents[0] == contents[1]


def test_nothing_is_seen_before_it_is_published(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    with store.staging(TASK) as staged:
        store.write_tables(staged, _result())
        assert store.task_ids() == []
        with pytest.raises(ResultMissing, match="nothing has been published there"):
            store.manifest(TASK)
    assert not staged.exists()


def test_a_crash_while_staging_leaves_no_result_and_the_next_attempt_starts_clean(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    left = store.layout.staging(TASK)
    left.mkdir(parents=True)
    (left / "half.parquet").write_bytes(b"PAR1")
    _publish(store, [TASK])
    assert {path.name for path in store.layout.task(TASK).iterdir()} == {
        "manifest.json",
        "signals.parquet",
        "trades.parquet",
        "equity.parquet",
    }


def test_a_later_attempt_replaces_an_earlier_one_whole(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    failed = TaskErrorRecord(type="OSError", message="disk full", retryable=True, stage="writing")
    with store.staging(TASK) as staged:
        store.publish(_manifest(_result(), [], run_ids=[TASK], status="failed", error=failed), staged)
    with pytest.raises(ResultMissing, match="it failed: disk full"):
        store.result(TASK)
    _publish(store, [TASK, RETRY])
    assert store.manifest(TASK).run_ids == [TASK, RETRY]
    assert len(store.result(TASK).equity) == 10
    assert list((tmp_path / "tasks" / ".trash").iterdir()) == []


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_what_one_attempt_completed_outlives_another_that_did_not(tmp_path: Path, status: str) -> None:
    store = TaskStore(tmp_path)
    completed = _publish(store, [TASK])
    for run_ids in ([TASK, RETRY], [TASK, RETRY]):  # the worker's manifest, then the sensor's
        with store.staging(RETRY) as staged:
            target = store.publish(_manifest(completed, [], run_ids=run_ids, status=status), staged)
        assert target == store.layout.task(TASK)
        assert not staged.exists()
    assert store.manifest(TASK).run_ids == [TASK]
    pd.testing.assert_frame_equal(store.result(TASK).trades, completed.trades)
    _publish(store, [TASK, RETRY])
    assert store.manifest(TASK).run_ids == [TASK, RETRY]


def test_other_systems_results_are_no_tasks_of_ours(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    _publish(store, [TASK])
    for name, content in {"old": '{"id": 7}', "broken": "{"}.items():
        (tmp_path / "tasks" / name).mkdir()
        (tmp_path / "tasks" / name / "manifest.json").write_text(content)
    assert store.task_ids() == [TASK, "broken"]
    assert set(read_catalog(store.layout).unreadable) == {"broken"}


def test_what_killed_attempts_left_behind_goes_when_a_later_one_publishes(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    left = store.layout.staging(TASK)
    left.mkdir(parents=True)
    (left / "trades.parquet").write_bytes(b"half")
    other = store.layout.staging("2f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0")
    other.mkdir()
    result = _result()
    with store.staging(RETRY) as folder:
        files = store.write_tables(folder, result)
        store.publish(_manifest(result, files, run_ids=[TASK, RETRY]), folder)
    assert not left.exists()
    assert other.exists()


def test_a_pin_takes_the_end_away_and_unpinning_gives_it_back_counted_from_the_finish(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    _publish(store, [TASK])
    pinned = store.pin(TASK, pinned=True, ttl_days=7)
    assert (pinned.pinned, pinned.timestamps.expires_at) == (True, None)
    assert store.pin(TASK, pinned=True, ttl_days=7) == pinned, "repeated, it changes nothing"
    unpinned = store.pin(TASK, pinned=False, ttl_days=7)
    assert (unpinned.pinned, unpinned.timestamps.expires_at) == (False, NOON + timedelta(days=7))
    assert store.pin(TASK, pinned=False, ttl_days=0).timestamps.expires_at is None, "0 days: for ever"
    with pytest.raises(ResultMissing):
        store.pin(RETRY, pinned=True, ttl_days=7)


def test_a_task_that_runs_again_stays_pinned(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    _publish(store, [TASK])
    store.pin(TASK, pinned=True, ttl_days=7)
    _publish(store, [TASK, RETRY])
    assert store.manifest(TASK).attempt == 2
    assert store.manifest(TASK).pinned


def test_a_report_that_comes_later_is_listed_with_the_other_files(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    _publish(store, [TASK])
    first = store.manifest(TASK)
    for text in (b"draft", b"<html>"):  # a second one replaces the first
        store.add_file(first, "report.html", text, name="report")
    [*tables, report] = store.manifest(TASK).result_files
    assert [file.name for file in tables] == ["signals", "trades", "equity"]
    assert (report.name, report.kind, report.size_bytes, report.rows) == ("report", "html", 6, None)
    assert store.result(TASK).manifest is not None, "the checksums are right"


def test_a_report_of_an_attempt_that_was_replaced_comes_too_late(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    _publish(store, [TASK])
    first = store.manifest(TASK)
    _publish(store, [TASK, RETRY])
    with pytest.raises(AttemptSuperseded):
        store.add_file(first, "report.html", b"<html>", name="report")
    assert not (store.layout.task(TASK) / "report.html").exists()


@pytest.mark.slow
def test_a_cleanup_beside_a_publishing_worker_leaves_whole_tasks_or_none(tmp_path: Path) -> None:
    store, result, over = TaskStore(tmp_path), _result(), threading.Event()
    expired = Rules(NOON + timedelta(days=8), timedelta(days=7), lambda _: False)
    swept: list[Swept] = []

    def clean() -> None:
        while not over.is_set():
            swept.append(sweep(tmp_path, expired))

    cleaners = [threading.Thread(target=clean) for _ in range(2)]
    for cleaner in cleaners:
        cleaner.start()
    for _ in range(30):
        with store.staging(TASK) as folder:
            files = store.write_tables(folder, result)
            store.publish(_manifest(result, files, run_ids=[TASK]), folder)
    over.set()
    for cleaner in cleaners:
        cleaner.join()
    sweep(tmp_path, expired)
    assert sum(len(one.deleted) for one in swept) > 0
    assert not any(one.failed for one in swept)
    assert {path.name for path in store.layout.tasks.iterdir()} <= {".lock", ".staging", ".trash"}
    assert not [path for name in (".staging", ".trash") for path in (store.layout.tasks / name).glob("*")]


def test_a_changed_file_is_found_by_its_checksum(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    _publish(store, [TASK])
    path = store.layout.task(TASK) / "trades.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ResultDamaged, match=r"trades.parquet: the file differs from what was published"):
        store.result(TASK)


def test_a_lost_file_is_told_by_name(tmp_path: Path) -> None:
    store = TaskStore(tmp_path)
    _publish(store, [TASK])
    (store.layout.task(TASK) / "equity.parquet").unlink()
    with pytest.raises(ResultDamaged, match=r"equity.parquet: the file is gone"):
        store.result(TASK)


@pytest.mark.parametrize("content", ["", "{", "{}", json.dumps({"schema_version": 2})])
def test_a_manifest_that_is_not_ours_is_told_as_such(tmp_path: Path, content: str) -> None:
    store = TaskStore(tmp_path)
    _publish(store, [TASK])
    store.layout.manifest(TASK).write_text(content)
    with pytest.raises(ResultDamaged, match="no manifest of schema version 1"):
        store.manifest(TASK)


@pytest.mark.parametrize(
    "task_id", ["", "..", "../../etc", TASK.upper(), TASK + "/..", ".trash", TASK + "\n"]
)
def test_what_is_no_task_id_never_becomes_a_path(tmp_path: Path, task_id: str) -> None:
    with pytest.raises(TaskUnknown):
        TaskStore(tmp_path).result(task_id)
