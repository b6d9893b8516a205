"""A sweep's folder: verified, handed on, read, run again, and what becomes of unfinished chunks."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import ArchiveRefused, RequestInvalid, ResultDamaged, ResultMissing
from backtest_pipeline.model.manifest import Manifest
from backtest_pipeline.results.archive import export_task, import_archive
from backtest_pipeline.results.catalog import read_catalog, results_frame
from backtest_pipeline.results.retention import sweep as clean
from backtest_pipeline.results.retention_rules import Rules
from backtest_pipeline.results.sweep_parts import SweepParts
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.sdk.sweep_results import best_trials, read_sweep, request_of_trial
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.run_backtest import run_backtest
from backtest_pipeline.workflows.sweep_rerun import rerun_sample
from backtest_pipeline_tests.orchestration.forged_sweeps import rewritten
from backtest_pipeline_tests.research.made_candles import walk
from backtest_pipeline_tests.results.published import publish, store_candles, wandering

NOW = datetime(2030, 1, 1, tzinfo=UTC)
TTL = timedelta(days=7)


def test_a_sweep_is_whole_and_agrees_with_itself(task: tuple[Layout, str]) -> None:
    layout, task_id = task
    found = verify_task(layout, task_id)
    assert (found.status, found.problems) == ("completed", [])


def _column(table: pa.Table, name: str, values: Any) -> pa.Table:
    place = table.schema.get_field_index(name)
    return table.set_column(place, name, pa.array(values, table.schema.field(name).type))


def _swapped_ranks(table: pa.Table) -> pa.Table:
    ranks = table.column("rank").to_pylist()
    first, second = ranks.index(1), ranks.index(2)
    ranks[first], ranks[second] = 2, 1
    return _column(table, "rank", ranks)


def _other_metric(table: pa.Table) -> pa.Table:
    wins = [None if one is None else one / 2 for one in table.column("win_rate").to_pylist()]
    return _column(table, "win_rate", wins)


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("trials", lambda table: table.slice(1), "trials are not numbered on from 0"),
        ("trials", _swapped_ranks, "ranks do not follow sharpe"),
        ("trials", lambda table: _column(table, "state", ["failed"] * len(table)), "the manifest says"),
        ("trials", _other_metric, "win_rate of trial"),
        ("trials", lambda table: table.drop_columns(["error"]), "end with error"),
        ("blocks", lambda table: table.slice(1), "its trials are not those that have completed"),
        ("blocks", lambda table: table.rename_columns(["trial", "n", "s", "ss"]), "has the columns"),
    ],
)
def test_tables_that_contradict_each_other_are_told(
    name: str, change: Callable[[pa.Table], pa.Table], problem: str, task: tuple[Layout, str]
) -> None:
    layout, task_id = task
    rewritten(layout, task_id, name, change)
    assert problem in "; ".join(verify_task(layout, task_id).problems)


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (
            lambda folder: (folder / "best" / "trades.parquet").unlink(),
            "best/trades.parquet: the file is gone",
        ),
        (
            lambda folder: (folder / "best" / "notes.txt").touch(),
            "best/notes.txt: the manifest does not list",
        ),
        (lambda folder: (folder / "trials.parquet").write_bytes(b"PAR1"), "trials.parquet: has 4 bytes"),
    ],
)
def test_files_that_are_not_as_published_are_told(
    harm: Callable[[Path], object], problem: str, task: tuple[Layout, str]
) -> None:
    layout, task_id = task
    harm(layout.task(task_id))
    assert problem in "; ".join(verify_task(layout, task_id).problems)
    if "does not list" not in problem:  # what nobody lists, nobody reads
        with pytest.raises(ResultDamaged, match=problem.partition(":")[0]):
            read_sweep(TaskStore(layout.data_root), task_id)


def test_a_manifest_of_another_kind_is_told(task: tuple[Layout, str]) -> None:
    layout, task_id = task
    manifest = json.loads(layout.manifest(task_id).read_text()) | {"kind": "backtest"}
    layout.manifest(task_id).write_text(json.dumps(manifest))
    problems = "; ".join(verify_task(layout, task_id).problems)
    assert "kind is backtest, the request is that of a sweep" in problems


def test_an_archive_brings_a_sweep_elsewhere(task: tuple[Layout, str], tmp_path: Path) -> None:
    layout, task_id = task
    archive, there = tmp_path / "sweep.tar.zst", Layout(tmp_path / "elsewhere")
    export_task(layout, task_id, archive)
    assert import_archive(there, archive).new
    assert not import_archive(there, archive).new
    assert verify_task(there, task_id).ok
    shutil.rmtree(there.tasks)
    (there.task(task_id)).mkdir(parents=True)
    with pytest.raises(ArchiveRefused):
        import_archive(there, archive)


def test_a_sweep_is_read_back_as_it_was_written(task: tuple[Layout, str]) -> None:
    layout, task_id = task
    store = TaskStore(layout.data_root)
    result = read_sweep(store, task_id)
    assert len(result.trials) == 7 * 3 * 2
    assert result.by_symbol is not None
    assert set(result.by_symbol["symbol"]) == {"A", "B"}
    assert result.best is not None
    assert result.manifest is not None
    candles = {"A": walk("A", 300), "B": walk("B", 250)}
    single = run_backtest(candles, result.best.request)
    assert result.best.metrics == single.metrics == result.manifest.metrics
    assert result.best.equity["equity"].tolist() == single.equity["equity"].tolist()
    assert len(result.best_equity.columns) == 1 + 4  # type: ignore[union-attr]  # of a task
    rows = best_trials(store, task_id, 3)
    assert [row["rank"] for row in rows] == [1, 2, 3]
    other = request_of_trial(store, task_id, rows[1]["trial"])
    assert run_backtest(candles, other).metrics["sharpe"] == rows[1]["sharpe"]
    with pytest.raises(RequestInvalid, match="its last is 41"):
        request_of_trial(store, task_id, 42)
    with pytest.raises(ResultMissing, match="it is a sweep"):
        store.result(task_id)


def test_a_backtest_is_no_sweep(tmp_path: Path) -> None:
    manifest = publish(tmp_path, wandering())
    with pytest.raises(ResultMissing, match="no sweep"):
        best_trials(TaskStore(tmp_path), manifest.task_id, 3)


def test_old_manifests_are_of_backtests(tmp_path: Path) -> None:
    manifest = publish(tmp_path, wandering())
    path = Layout(tmp_path).manifest(manifest.task_id)
    old = json.loads(path.read_text())
    del old["kind"], old["summary"]["trials"], old["summary"]["best_trial"]
    path.write_text(json.dumps(old))
    assert Manifest.model_validate_json(path.read_bytes()).kind == "backtest"
    assert verify_task(Layout(tmp_path), manifest.task_id).ok
    assert results_frame(read_catalog(Layout(tmp_path)))["kind"].tolist() == ["backtest"]


def test_the_catalog_tells_sweeps_with_their_labels(task: tuple[Layout, str]) -> None:
    layout, task_id = task
    row = results_frame(read_catalog(layout)).loc[task_id]
    assert (row["kind"], row["label.desk"], row["strategy"]) == ("sweep", "fx", "sma_cross")
    assert row["sharpe"] == best_trials(TaskStore(layout.data_root), task_id, 1)[0]["sharpe"]


def test_some_trials_run_again_are_identical(task: tuple[Layout, str]) -> None:
    layout, task_id = task
    store = TaskStore(layout.data_root)
    again = rerun_sample(layout.task(task_id), store.manifest(task_id), CandleStore(layout.data_root))
    assert again.verdict == "identical", again.details
    assert "21 trials" in again.details[0] or "20 trials" in again.details[0]  # the best may be in the sample


def test_a_row_that_does_not_come_out_again_is_told(task: tuple[Layout, str]) -> None:
    layout, task_id = task
    rewritten(layout, task_id, "trials", _other_metric)
    store = TaskStore(layout.data_root)
    again = rerun_sample(layout.task(task_id), store.manifest(task_id), CandleStore(layout.data_root))
    assert again.verdict == "not reproducible"
    assert "metric win_rate was" in again.details[0]


def test_changed_candles_are_told(task: tuple[Layout, str]) -> None:
    layout, task_id = task
    changed = walk("B", 250)
    store_candles(layout.data_root, _with_other_close(changed))
    store = TaskStore(layout.data_root)
    again = rerun_sample(layout.task(task_id), store.manifest(task_id), CandleStore(layout.data_root))
    assert again.verdict == "candles changed since"
    assert again.details[0].startswith("B: had 250 rows")


def _with_other_close(candles: Any) -> Any:
    volume = candles.volume.copy()
    volume[3] += 1.0
    columns = {name: getattr(candles, name) for name in ("timestamp", "open", "high", "low", "close")} | {
        "volume": volume
    }
    return type(candles).from_arrays(candles.symbol, candles.timeframe, columns)


@pytest.mark.parametrize(
    ("age", "used", "why"),
    [
        (timedelta(days=6), False, "not past its time"),
        (timedelta(days=8), True, "unfinished"),
        (timedelta(days=8), False, "left by an unfinished sweep"),
    ],
)
def test_unfinished_chunks_stay_as_long_as_results(
    age: timedelta, used: bool, why: str, tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    parts = SweepParts(layout.sweep_parts("ab" * 32))
    with parts.in_use():
        parts.write("00000000-00000003", {"trials": pa.table({"trial": np.arange(3)})})
    then = (NOW - age).timestamp()
    for path in (*parts.folder.iterdir(), parts.folder):
        os.utime(path, (then, then))
    rules = Rules(now=NOW, ttl=TTL, unfinished=lambda _: False)
    if used:
        with parts.in_use():
            swept = clean(tmp_path, rules)
    else:
        swept = clean(tmp_path, rules)
    gone = why.startswith("left")
    assert [one.why for one in swept.deleted] == ([why] if gone else [])
    assert parts.folder.exists() != gone
    assert gone or swept.kept[why] == 1
