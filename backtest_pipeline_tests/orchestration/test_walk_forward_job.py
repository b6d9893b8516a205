"""The job `walk_forward`, run in this process on an instance of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from backtest_pipeline import (
    BacktestRequest,
    CandleStore,
    IntRange,
    SweepRequest,
    WalkForwardRequest,
    run_walk_forward,
)
from backtest_pipeline.cli.main import app
from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import TrialsFailed
from backtest_pipeline.model.walk_forward_config import from_walk_forward_config, to_walk_forward_config
from backtest_pipeline.orchestration.jobs.walk_forward import walk_forward
from backtest_pipeline.orchestration.jobs.walk_forward_form import walk_forward_preset
from backtest_pipeline.orchestration.tasks import walk_forward_context as contexts
from backtest_pipeline.orchestration.tasks.same_result import SameResult
from backtest_pipeline.results.completed_walk_forwards import stored_walk
from backtest_pipeline.results.ledger import Ledger
from backtest_pipeline.results.sweep_parts import PartDamaged
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.sdk.stored_results import StoredResults
from backtest_pipeline.strategies.sweep_resolution import resolve_walk_forward
from backtest_pipeline.workflows.walk_forward_chunks import run_trainings
from backtest_pipeline.workflows.walk_forward_files import WalkForwardFiles, write_walk_forward
from backtest_pipeline_tests.research.made_candles import walk
from backtest_pipeline_tests.results.published import store_candles

pytestmark = pytest.mark.slow

SWEEP = SweepRequest(
    backtest=BacktestRequest(
        strategy="sma_cross", symbols=["A"], direction="both", start="2015-06-01", labels={"desk": "fx"}
    ),
    space={"params.fast": IntRange(2, 22, step=10), "params.slow": [10, 20, 40]},
)
REQUEST = WalkForwardRequest(sweep=SWEEP, train="8mo", test="2mo", purge_bars=2)
CROSSED = WalkForwardRequest(sweep=SWEEP, cross_validation="purged", folds=4, purge_bars=2)


@pytest.fixture
def store(own_data_root: Path) -> TaskStore:
    store_candles(own_data_root, walk("A", 700, seed=4))
    return TaskStore(own_data_root)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


def _launch(instance: dg.DagsterInstance, request: WalkForwardRequest = REQUEST, **options: Any) -> Any:
    return walk_forward.execute_in_process(to_walk_forward_config(request), instance=instance, **options)


def test_walks_among_strategies_are_deflated_by_those_before(
    store: TaskStore, instance: dg.DagsterInstance
) -> None:
    """The strategy of the backtest that is varied is none of them, so the ledger has no walk of it."""
    sweep = SweepRequest(
        backtest=BacktestRequest(strategy="momentum", symbols=["A"]),
        space={"strategy": ["sma_cross", "ema_cross"]},
    )
    runs = [
        _launch(instance, WalkForwardRequest(sweep=sweep, train=300, test=test)) for test in (100, 150, 200)
    ]
    found = [store.manifest(run.run_id).robustness for run in runs]
    assert [one.trials if one else None for one in found] == [1, 2, 3]


def test_a_cross_validation_of_single_folds_has_one_path_and_is_whole(
    store: TaskStore, instance: dg.DagsterInstance
) -> None:
    single = WalkForwardRequest(sweep=SWEEP, cross_validation="purged", folds=3, test_folds=1)
    run = _launch(instance, single)
    manifest = store.manifest(run.run_id)
    assert "paths" not in {file.name for file in manifest.result_files}
    folds = pd.read_parquet(store.layout.task(run.run_id) / "folds.parquet")
    assert folds["path"].tolist() == [0, 0, 0]
    assert folds["equity_after"].iloc[-1] == manifest.metrics["final_equity"]
    assert verify_task(store.layout, run.run_id).problems == []


@pytest.mark.parametrize("request_", [REQUEST, CROSSED], ids=["walking", "crossing"])
def test_a_task_leaves_what_a_walk_in_memory_yields_and_all_of_it_adds_up(
    store: TaskStore, instance: dg.DagsterInstance, request_: WalkForwardRequest
) -> None:
    run = _launch(instance, request_)
    manifest = store.manifest(run.run_id)
    assert (manifest.kind, manifest.status, manifest.strategy_id) == (
        "walk_forward",
        "completed",
        "sma_cross",
    )
    crossed = ["paths.parquet"] if request_.is_cross_validation else []
    assert [file.path for file in manifest.result_files] == [
        "trials.parquet",
        "folds.parquet",
        "signals.parquet",
        "trades.parquet",
        "equity.parquet",
        *crossed,
        "equity.png",
        "report.html",
    ]
    candles = CandleStore(store.layout.data_root).load(["A"], "1d", warmup_bars=None)
    alone = run_walk_forward(candles, request_)
    found = StoredResults(store.layout.data_root).result(run.run_id)
    for name in ("folds", "trials", "equity", "trades"):
        pd.testing.assert_frame_equal(
            getattr(found, name), getattr(alone, name), check_exact=True, check_dtype=False
        )
    assert manifest.metrics == alone.metrics
    assert manifest.summary.folds == alone.folds.fold.nunique()
    assert manifest.summary.trials == {
        "completed": len(alone.trials) - _invalid(alone),
        "invalid": _invalid(alone),
        "failed": 0,
        "ranked": int(alone.trials["rank"].notna().sum()),
    }
    [seen] = manifest.candles
    assert (seen.warmup_rows, seen.timeframe) == (40, "1d"), "the longest window of any trial"
    assert verify_task(store.layout, run.run_id).problems == []
    assert list((store.layout.tasks / ".sweeps").glob("*")) == []
    assert found.request == resolve_walk_forward(request_)
    assert found.robustness is not None
    assert found.robustness.verdict.startswith("Out of sample")


def _invalid(result: Any) -> int:
    return int((result.trials.state == "invalid").sum())


def test_a_task_tells_what_it_is_and_keeps_its_events_few(
    store: TaskStore, instance: dg.DagsterInstance
) -> None:
    run = _launch(instance)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    told = {name: found.tags[name] for name in (tags.STRATEGY, tags.SYMBOLS, tags.TIMEFRAME, tags.PROGRESS)}
    assert list(told.values()) == ["sma_cross", "A", "1d", "1.00"]
    assert found.tags["label/desk"] == "fx"
    assert found.tags[tags.REQUEST_DIGEST] == resolve_walk_forward(REQUEST).digest()
    assert len(instance.all_logs(run.run_id)) <= 100


def test_a_task_that_was_interrupted_goes_on_in_another(
    store: TaskStore, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _launch(instance)
    real, resumed = run_trainings, []

    def dying(work: Any, executor: Any, processes: int, progress: Any) -> Any:
        def report(now: Any) -> None:
            progress(now)
            if now.done > 20:
                raise OSError("the power is gone")

        return real(work, executor, processes, report)

    def noting(work: Any, executor: Any, processes: int, progress: Any) -> Any:
        return real(work, executor, processes, lambda now: resumed.append(now.resumed))

    monkeypatch.setattr(contexts, "run_trainings", dying)
    assert not _launch(instance, raise_on_error=False).success
    monkeypatch.setattr(contexts, "run_trainings", noting)
    again = _launch(instance)
    assert resumed[-1] > 20
    shas = [
        {file.name: file.sha256 for file in store.manifest(one.run_id).result_files if file.kind == "parquet"}
        for one in (whole, again)
    ]
    assert shas[0] == shas[1]


def test_parts_that_go_while_results_are_written_are_made_again(
    store: TaskStore, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def losing(*arguments: Any) -> WalkForwardFiles:
        calls.append(arguments)
        if len(calls) == 1:
            raise PartDamaged("00000000-00000009")
        return write_walk_forward(*arguments)

    monkeypatch.setattr(contexts, "write_walk_forward", losing)
    assert _launch(instance).success
    assert len(calls) == 2


def test_a_training_of_which_every_trial_fails_fails_the_task(
    store: TaskStore, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise TrialsFailed(7, 3, "it broke")

    monkeypatch.setattr(contexts, "run_trainings", fail)
    run = _launch(instance, raise_on_error=False)
    manifest = store.manifest(run.run_id)
    assert (manifest.status, manifest.kind) == ("failed", "walk_forward")
    assert manifest.error is not None
    assert (manifest.error.type, manifest.error.retryable) == ("TrialsFailed", False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"test": "500"}, "in bars or both as spans"),
        ({"train": "9y"}, "9y of training leaves none to test"),
        ({"sweep": {"space": {"params.fats": [1]}}}, "did you mean fast?"),
    ],
)
def test_a_refused_one_is_recorded_as_it_was_asked(
    store: TaskStore, instance: dg.DagsterInstance, changes: dict[str, Any], said: str
) -> None:
    config = to_walk_forward_config(REQUEST)
    config = {**config, **changes, "sweep": {**config["sweep"], **changes.get("sweep", {})}}
    run = walk_forward.execute_in_process(config, instance=instance, raise_on_error=False)
    manifest = store.manifest(run.run_id)
    assert (manifest.status, manifest.kind) == ("failed", "walk_forward")
    assert manifest.error is not None
    assert said in manifest.error.message
    assert manifest.error.retryable is False


def test_an_untouched_form_and_every_preset_can_be_launched(
    store: TaskStore, instance: dg.DagsterInstance
) -> None:
    import yaml  # noqa: PLC0415  as a launchpad does

    store_candles(store.layout.data_root, walk("AAPL", 1_200))
    run = walk_forward.execute_in_process({}, instance=instance)
    manifest = store.manifest(run.run_id)
    assert (manifest.request["train"], manifest.request["test"]) == ("2y", "6mo")
    assert (manifest.summary.trials or {})["completed"] == 90 * (manifest.summary.folds or 0) > 0
    for title in ("a training that grows", "purged cross-validation"):
        config = yaml.safe_load(walk_forward_preset(title, ["AAPL"]))
        filled = dg.validate_run_config(walk_forward, config)["ops"]["load_candles"]["config"]
        asked = from_walk_forward_config(filled)
        assert asked.sweep.backtest.symbols == ("AAPL",)


def test_a_run_config_asks_for_the_request_that_it_was_made_of() -> None:
    bars = WalkForwardRequest(sweep=SWEEP, train=300, test=50, anchored=True)
    for request in (REQUEST, CROSSED, bars):
        filled = dg.validate_run_config(walk_forward, to_walk_forward_config(request))
        config: Any = filled["ops"]["load_candles"]["config"]
        assert from_walk_forward_config(config) == request


def test_the_same_asked_again_is_answered_until_candles_change(
    store: TaskStore, instance: dg.DagsterInstance
) -> None:
    run = _launch(instance)
    same = SameResult(store, CandleStore(store.layout.data_root))
    resolved = resolve_walk_forward(REQUEST)
    assert same.task_id(resolved, [run.run_id], None) == run.run_id
    assert same.task_id(resolve_walk_forward(CROSSED), [run.run_id], None) is None
    changed = walk("A", 700, seed=4)
    changed.close[500] *= 1.0001
    store_candles(store.layout.data_root, changed)
    assert same.task_id(resolved, [run.run_id], None) is None


def test_the_ledger_counts_its_trials_and_deflates_walk_forwards_by_each_other(
    store: TaskStore, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    first, second = _launch(instance), _launch(instance, CROSSED)
    columns = ["task_id", "kind", "trials", "sharpe"]
    table = Ledger(store.layout).table("sma_cross", columns, lambda part: part)
    rows = {row["task_id"]: row for row in table.to_pylist()}
    for run in (first, second):
        manifest, row = store.manifest(run.run_id), rows[run.run_id]
        counts = manifest.summary.trials or {}
        assert (row["kind"], row["trials"]) == ("walk_forward", counts["completed"] + counts["failed"])
        equity = stored_walk(store, run.run_id).equity.equity.to_numpy()
        returns = np.diff(equity, prepend=10_000) / np.concatenate([[10_000], equity[:-1]])
        assert row["sharpe"] == pytest.approx(returns.mean() / returns.std(ddof=1), rel=1e-9)
    known = [store.manifest(run.run_id).robustness for run in (first, second)]
    assert [one.trials for one in known if one] == [1, 2]
    page = tmp_path / "compared.html"
    named = ["compare", first.run_id, second.run_id, "--out", str(page), "--no-open"]
    compared = CliRunner().invoke(app, named)
    assert compared.exit_code == 0, compared.output
    assert page.stat().st_size > 10_000


def test_the_command_line_prints_verifies_and_runs_again(
    store: TaskStore, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run = _launch(instance)
    shown = CliRunner().invoke(app, ["result", run.run_id])
    assert shown.exit_code == 0, shown.output
    assert "out of sample" in shown.output
    assert "verdict: Out of sample" in shown.output
    verified = CliRunner().invoke(app, ["verify", run.run_id, "--rerun", "--json"])
    [told] = json.loads(verified.stdout)
    assert told["ok"], told
    assert told["rerun"]["verdict"] == "identical"
    table = CliRunner().invoke(app, ["result", run.run_id, "--table", "folds", "--csv", "-"])
    assert table.exit_code == 0, table.output
    assert table.stdout.splitlines()[0].startswith("fold,path,trainings,train_start")
    page = tmp_path / "page.html"
    drawn = CliRunner().invoke(app, ["report", run.run_id, "--out", str(page), "--no-open"])
    assert drawn.exit_code == 0, drawn.output
    assert "Folds on a line of time" in page.read_text()
    refused = CliRunner().invoke(app, ["best", run.run_id])
    assert refused.exit_code != 0
    assert "walk-forward and no sweep" in str(refused.exception)


def test_a_changed_number_is_found_and_changed_candles_are_told(
    store: TaskStore, instance: dg.DagsterInstance
) -> None:
    run = _launch(instance)
    path = store.layout.task(run.run_id) / "folds.parquet"
    folds = pd.read_parquet(path)
    folds["equity_before"] = folds["equity_before"].where(folds["fold"] != 2, 1.0)
    folds.to_parquet(path)
    told = CliRunner().invoke(app, ["verify", run.run_id]).output
    assert "folds.parquet" in told
    assert "BAD" in told


def test_what_is_read_back_shows_the_page_that_was_published_or_draws_one(
    store: TaskStore, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run = _launch(instance)
    found = StoredResults(store.layout.data_root).result(run.run_id)
    published = store.layout.task(run.run_id) / "report.html"
    assert found.plot(tmp_path / "page.html", show=False).read_text() == published.read_text()
    published.unlink()
    assert "Folds on a line of time" in found.plot(tmp_path / "drawn.html", show=False).read_text()
