"""The job `sweep`, run in this process on an instance of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from backtest_pipeline import BacktestRequest, CandleStore, IntRange, SweepRequest, run_sweep
from backtest_pipeline.candles.year_file import parquet_bytes
from backtest_pipeline.model import tags
from backtest_pipeline.model.candles import CANDLE_COLUMNS, Candles
from backtest_pipeline.model.errors import TrialsFailed
from backtest_pipeline.model.sweep_config import from_sweep_config, to_sweep_config
from backtest_pipeline.orchestration.jobs.sweep import sweep
from backtest_pipeline.orchestration.tasks import sweep_context as contexts
from backtest_pipeline.orchestration.tasks.sweep_context import SweepContext
from backtest_pipeline.results.archive import export_task, import_archive
from backtest_pipeline.results.sweep_parts import PartDamaged, SweepParts
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.sweep_chunks import chunks_of
from backtest_pipeline.workflows.sweep_files import SweepFiles, write_sweep
from backtest_pipeline_tests.research.made_candles import walk

pytestmark = pytest.mark.slow

REQUEST = SweepRequest(
    backtest=BacktestRequest(strategy="sma_cross", symbols=["A"], labels={"desk": "fx"}),
    space={
        "params.fast": IntRange(2, 22, step=4),
        "params.slow": [10, 20, 40],
        "symbols": [["A"], ["A", "B"]],
        "timeframe": ["1d", "4h"],
        "start": [None, "2015-03-01"],
    },
    where=["trades >= 2"],
    keep_best=5,
)


@pytest.fixture
def store(own_data_root: Path) -> TaskStore:
    for timeframe in ("1d", "4h"):
        for symbol, bars in (("A", 260), ("B", 200)):
            put(own_data_root, walk(symbol, bars, timeframe=timeframe))
    return TaskStore(own_data_root)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def put(data_root: Path, candles: Candles) -> None:
    """Stores candles of one year."""
    path = Layout(data_root).candle_file(candles.symbol, candles.timeframe, 2015)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(parquet_bytes({name: getattr(candles, name) for name in CANDLE_COLUMNS}))


def launch(instance: dg.DagsterInstance, request: SweepRequest = REQUEST, **options: Any) -> Any:
    return sweep.execute_in_process(to_sweep_config(request), instance=instance, **options)


def parts_of(store: TaskStore) -> list[Path]:
    return sorted(path for path in (store.layout.tasks / ".sweeps").glob("*") if path.is_dir())


def test_a_sweep_leaves_the_files_that_its_manifest_lists(
    store: TaskStore, instance: dg.DagsterInstance
) -> None:
    run = launch(instance)
    manifest = store.manifest(run.run_id)
    assert manifest.kind == "sweep"
    assert manifest.request == from_sweep_config(to_sweep_config(REQUEST)).to_dict() | {
        "backtest": manifest.request["backtest"]
    }
    assert {seen.timeframe for seen in manifest.candles} == {"1d", "4h"}
    assert [file.path for file in manifest.result_files] == [
        "trials.parquet",
        "trials_by_symbol.parquet",
        "blocks.parquet",
        "best/signals.parquet",
        "best/trades.parquet",
        "best/equity.parquet",
        "best_equity.parquet",
        "heatmap.png",
        "report.html",
    ]
    candles = CandleStore(store.layout.data_root)
    loaded = {name: candles.load(["A", "B"], name, None, None) for name in ("1d", "4h")}
    alone = run_sweep(loaded, REQUEST)
    trials = pq.read_table(store.layout.task(run.run_id) / "trials.parquet")
    assert len(trials) == len(alone.trials) == 144  # 6 · 3 · 2 · 2 · 2
    for name in ("rank", "sharpe", "trades"):
        assert (
            trials.column(name).to_pylist()
            == alone.trials[name].astype(object).where(alone.trials[name].notna(), None).to_list()
        )
    assert alone.best is not None
    assert manifest.metrics == alone.best.metrics
    assert manifest.summary.trials == {
        **{
            state: int((alone.trials["state"] == state).sum()) for state in ("completed", "invalid", "failed")
        },
        "ranked": int(alone.trials["rank"].notna().sum()),
    }
    assert trials.column("rank").to_pylist().index(1) == manifest.summary.best_trial
    assert parts_of(store) == []  # nothing is left of chunks


def test_a_sweep_tells_what_it_is_and_keeps_its_events_few(
    store: TaskStore, instance: dg.DagsterInstance
) -> None:
    run = launch(instance)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    told = {name: found.tags[name] for name in (tags.STRATEGY, tags.SYMBOLS, tags.TIMEFRAME, tags.PROGRESS)}
    assert list(told.values()) == ["sma_cross", "A,B", "1d,4h", "1.00"]
    assert found.tags["label/desk"] == "fx"
    assert found.tags[tags.RESULT_PATH] == str(store.layout.task(run.run_id))
    assert len(instance.all_logs(run.run_id)) <= 100


def test_a_sweep_that_was_interrupted_goes_on_in_another_task(
    store: TaskStore, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = SweepParts.write
    whole = launch(instance)
    first = _tables(store, whole.run_id)

    def until_full(parts: SweepParts, name: str, tables: Any) -> None:
        if len(chunks_of(parts)):
            raise OSError(28, "No space left on device")
        written(parts, name, tables)

    monkeypatch.setenv("SWEEP_PROCESSES", "1")
    get_settings.cache_clear()
    monkeypatch.setattr(SweepParts, "write", until_full)
    failed = launch(instance, raise_on_error=False)
    assert not failed.success
    assert store.manifest(failed.run_id).status == "failed"
    [left] = parts_of(store)
    assert chunks_of(SweepParts(left)) == ["00000000-00000064"]  # the first chunk, of 64 trials
    kept = (left / "00000000-00000064.json").stat().st_mtime_ns

    made: list[str] = []

    def watched(parts: SweepParts, name: str, tables: Any) -> None:
        made.append(name)
        assert (left / "00000000-00000064.json").stat().st_mtime_ns == kept
        written(parts, name, tables)

    monkeypatch.setattr(SweepParts, "write", watched)
    again = launch(instance, REQUEST.model_copy(update={"backtest": with_other_service_fields()}))
    assert again.success
    assert _tables(store, again.run_id) == first
    assert parts_of(store) == []


def _tables(store: TaskStore, task_id: str) -> dict[str, str]:
    """Digests of a sweep's tables; its report names the task and when it ran."""
    files = store.manifest(task_id).result_files
    return {file.path: file.sha256 for file in files if file.kind == "parquet"}


def with_other_service_fields() -> BacktestRequest:
    """Asks for the same, otherwise treated."""
    return REQUEST.backtest.model_copy(update={"timeout_s": 99, "priority": 1, "labels": {}})


def test_changed_candles_begin_afresh(
    store: TaskStore, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = SweepContext(get_settings())
    config = to_sweep_config(REQUEST)
    context.trials(config, "code")
    put(store.layout.data_root, walk("A", 259))
    other = SweepContext(get_settings())
    other.trials(config, "code")
    assert len(parts_of(store)) == 2
    third = SweepContext(get_settings())
    third.trials(config, "other code")
    assert len(parts_of(store)) == 3
    for one in (context, other, third):
        one.forget_parts()
    assert parts_of(store) == []


def test_parts_that_another_sweep_uses_stay(store: TaskStore) -> None:
    one, other = SweepContext(get_settings()), SweepContext(get_settings())
    config = to_sweep_config(REQUEST)
    assert one.trials(config, "code").states == other.trials(config, "code").states
    one.forget_parts()
    assert len(parts_of(store)) == 1
    other.forget_parts()
    assert parts_of(store) == []


def test_parts_that_go_while_results_are_written_are_made_again(
    store: TaskStore, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = write_sweep, []

    def losing(*arguments: Any) -> SweepFiles:
        calls.append(arguments)
        if len(calls) == 1:
            raise PartDamaged("00000000-00000064")
        return real(*arguments)

    monkeypatch.setattr(contexts, "write_sweep", losing)
    assert launch(instance).success
    assert len(calls) == 2


def test_a_sweep_of_which_every_trial_fails_fails(
    store: TaskStore, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise TrialsFailed(7, 3, "it broke")

    monkeypatch.setattr(contexts, "run_trials", fail)
    run = launch(instance, raise_on_error=False)
    manifest = store.manifest(run.run_id)
    assert manifest.status == "failed"
    assert manifest.kind == "sweep"
    assert manifest.error is not None
    assert (manifest.error.type, manifest.error.retryable) == ("TrialsFailed", False)


def test_a_sweep_of_which_every_trial_is_invalid_is_whole_and_can_be_handed_on(
    store: TaskStore, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    space = {"params.fast": [50, 60], "params.slow": [10, 20]}
    run = launch(instance, SweepRequest(backtest=REQUEST.backtest, space=space))
    manifest = store.manifest(run.run_id)
    assert manifest.summary.trials == {"completed": 0, "invalid": 4, "failed": 0, "ranked": 0}
    assert verify_task(store.layout, run.run_id).problems == []
    export_task(store.layout, run.run_id, tmp_path / "task.tar.zst")
    elsewhere = TaskStore(tmp_path / "elsewhere")
    import_archive(elsewhere.layout, tmp_path / "task.tar.zst")
    assert elsewhere.manifest(run.run_id).summary == manifest.summary


def test_a_refused_sweep_is_recorded_as_it_was_asked(store: TaskStore, instance: dg.DagsterInstance) -> None:
    config = to_sweep_config(REQUEST) | {"space": {"params.fats": [1]}}
    run = sweep.execute_in_process(config, instance=instance, raise_on_error=False)
    manifest = store.manifest(run.run_id)
    assert manifest.error is not None
    assert "there is no such parameter (did you mean fast?)" in manifest.error.message
    assert manifest.request["space"] == {"params.fats": [1]}


def test_an_untouched_form_is_a_sweep(store: TaskStore, instance: dg.DagsterInstance) -> None:
    put(store.layout.data_root, walk("AAPL", 300))
    run = sweep.execute_in_process({}, instance=instance)
    trials = store.manifest(run.run_id).summary.trials or {}
    # 10 fast and 10 slow windows; 20 is not above seven of the fast ones, 40 not above three
    assert (trials["completed"], trials["invalid"], trials["failed"]) == (100 - 7 - 3, 7 + 3, 0)
