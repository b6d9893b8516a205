"""The chart and the report that come after a task has completed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from backtest_pipeline import BacktestRequest, BacktestResult, Candles, CandleStore, run_backtest
from backtest_pipeline.candles.importer import import_table
from backtest_pipeline.engine.inputs import SeenCandles
from backtest_pipeline.local_service.environment import environment_of
from backtest_pipeline.model.manifest import Manifest
from backtest_pipeline.orchestration.tasks import deferred
from backtest_pipeline.orchestration.tasks.others_wait import OthersWait
from backtest_pipeline.orchestration.tasks.report_publishing import add_chart, add_report, once_ended
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import Settings, get_settings
from backtest_pipeline.workflows.render_report import rendered_chart
from backtest_pipeline_tests.orchestration.queued_runs import queued_run
from backtest_pipeline_tests.reports.made import OTHER_TASK, TASK, candles_of, manifest_of, walk

BOTH = (add_chart, add_report)


@pytest.fixture
def result(tmp_path: Path) -> BacktestResult:
    """What a task of two symbols came to, whose candles are in the store."""
    store = CandleStore(tmp_path)
    for seed, symbol in enumerate(("AAPL", "IBM")):
        table = pa.table(candles_of(walk(120, seed=seed), symbol).to_frame())
        import_table(store, table, symbol, "1d", adjust=False, source="test")
    return run_backtest(_candles(tmp_path), BacktestRequest(strategy="sma_cross", symbols=["AAPL", "IBM"]))


def _candles(data_root: Path) -> dict[str, Candles]:
    return CandleStore(data_root).load(["AAPL", "IBM"], "1d")


def _seen(data_root: Path) -> dict[str, SeenCandles]:
    return {symbol: SeenCandles(own) for symbol, own in _candles(data_root).items()}


def _published(data_root: Path, result: BacktestResult, **changes: object) -> Manifest:
    store = TaskStore(data_root)
    with store.staging(TASK) as staged:
        manifest = manifest_of(result, _candles(data_root), store.write_tables(staged, result))
        store.publish(manifest.model_copy(update=changes), staged)
    return store.manifest(TASK)


def test_a_completed_task_gets_its_chart_and_its_report_listed_with_their_checksums(
    tmp_path: Path, result: BacktestResult
) -> None:
    store, manifest = TaskStore(tmp_path), _published(tmp_path, result)
    assert [file.name for file in manifest.result_files] == ["signals", "trades", "equity"]
    for add in BOTH:
        add(store, manifest, result, _seen(tmp_path), OthersWait(None))
    listed = {file.name: file.path for file in store.manifest(TASK).result_files}
    assert listed["equity_chart"] == "equity.png"
    assert listed["report"] == "report.html"
    assert store.result(TASK).manifest is not None, "the checksums are right"


def test_a_chart_that_is_drawn_when_somebody_opens_it_is_the_one_that_would_have_been_added(
    tmp_path: Path, result: BacktestResult
) -> None:
    store, manifest = TaskStore(tmp_path), _published(tmp_path, result)
    add_chart(store, manifest, result, _seen(tmp_path), OthersWait(None))
    added = (store.layout.task(TASK) / "equity.png").read_bytes()
    assert rendered_chart(tmp_path, "UTC", TASK) == added
    store.layout.timeframe_folder("IBM", "1d").rename(tmp_path / "away")
    alone = rendered_chart(tmp_path, "UTC", TASK)
    assert alone.startswith(b"\x89PNG")
    assert alone != added, "without the candles there is nothing to compare with"


@pytest.mark.parametrize("add", BOTH)
def test_nothing_is_drawn_while_others_wait(
    tmp_path: Path, result: BacktestResult, add: Callable[..., None]
) -> None:
    store, manifest = TaskStore(tmp_path), _published(tmp_path, result)
    with dg.instance_for_test() as instance, closing(OthersWait(instance.root_directory)) as others_wait:
        waiting = queued_run(instance)
        add(store, manifest, result, _seen(tmp_path), others_wait)
        assert len(store.manifest(TASK).result_files) == 3
        instance.delete_run(waiting.run_id)
        add(store, manifest, result, _seen(tmp_path), others_wait)
        assert len(store.manifest(TASK).result_files) == 4


def _noted(done: list[str], name: str, *, others_wait: Callable[[], bool]) -> None:
    assert not others_wait()
    done.append(name)


@pytest.mark.parametrize(("wanted", "made"), [("true", ["chart", "report"]), ("false", [])])
def test_operators_choose_whether_anything_is_made_before_somebody_asks(
    wanted: str, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORTS_AHEAD", wanted)
    get_settings.cache_clear()
    done: list[str] = []
    with dg.instance_for_test() as instance:
        additions = [partial(_noted, done, name) for name in ("chart", "report")]
        once_ended(instance, *additions)
    assert done == made
    get_settings.cache_clear()


@pytest.mark.parametrize("add", BOTH)
def test_what_comes_after_a_later_attempt_is_not_added(
    tmp_path: Path, result: BacktestResult, add: Callable[..., None]
) -> None:
    store, first = TaskStore(tmp_path), _published(tmp_path, result)
    _published(tmp_path, result, run_ids=[TASK, OTHER_TASK], attempt=2)
    add(store, first, result, _seen(tmp_path), OthersWait(None))
    assert len(store.manifest(TASK).result_files) == 3
    assert {path.suffix for path in store.layout.task(TASK).iterdir()} == {".json", ".parquet"}


def test_a_rehearsal_postpones_nothing() -> None:
    done: list[str] = []
    with deferred.left_out():
        deferred.later(lambda: done.append("rehearsed"))
    deferred.later(lambda: done.append("now"))
    assert done == ["now"]


@pytest.mark.slow
def test_a_warm_worker_finds_all_that_a_task_needs_imported_and_one_thread(tmp_path: Path) -> None:
    preload = "backtest_pipeline.orchestration.processes.worker_preload"
    needed = ("matplotlib.figure", "arch.bootstrap", "bokeh", "numba", "dagster")
    code = f"import sys, {preload} as it; print(it.THREADS_AFTER_LOADING, set({needed}) <= set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment_of("code", Settings(data_root=tmp_path), host="127.0.0.1", url="", own_token=""),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "1 True"
