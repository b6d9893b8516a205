"""Statistics that are added to a completed task's manifest once it has ended."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import dagster as dg
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from skfolio.measures import deflated_sharpe_ratio

from backtest_pipeline import BacktestRequest, IntRange, SweepRequest, run_backtest, run_sweep
from backtest_pipeline.model.robustness import Robustness
from backtest_pipeline.model.run_config import to_run_config
from backtest_pipeline.model.sweep_config import to_sweep_config
from backtest_pipeline.orchestration.jobs.backtest import backtest
from backtest_pipeline.orchestration.jobs.sweep import sweep
from backtest_pipeline.orchestration.tasks.others_wait import OthersWait
from backtest_pipeline.orchestration.tasks.report_publishing import add_robustness
from backtest_pipeline.orchestration.tasks.run_context import RunContext
from backtest_pipeline.results.ledger import Ledger
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.settings import Settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.assess_task import assessed_task
from backtest_pipeline_tests.orchestration.queued_runs import queued_run
from backtest_pipeline_tests.research.made_candles import walk
from backtest_pipeline_tests.results.published import store_candles

pytestmark = pytest.mark.slow

FIRST = BacktestRequest(strategy="sma_cross", symbols=["A"], params={"fast": 3, "slow": 9})


def _robustness(store: TaskStore, task_id: str) -> Robustness:
    found = store.manifest(task_id).robustness
    assert found is not None
    return found


def _returns(store: TaskStore, task_id: str) -> NDArray[np.float64]:
    equity = pq.read_table(store.layout.task(task_id) / "equity.parquet").column("equity").to_numpy()
    values = np.concatenate([[FIRST.initial_cash], equity])
    returns: NDArray[np.float64] = values[1:] / values[:-1] - 1
    return returns


def test_each_further_backtest_of_a_strategy_is_deflated_by_those_before(tmp_path: Path) -> None:
    store_candles(tmp_path, walk("A", 300))
    store, tasks = TaskStore(tmp_path), []
    with dg.instance_for_test() as instance:
        for fast in (3, 4, 5):
            request = FIRST.model_copy(update={"params": {"fast": fast, "slow": 9}})
            done = backtest.execute_in_process(
                to_run_config(request),
                instance=instance,
                resources={"run_context": RunContext(Settings(data_root=tmp_path))},
            )
            tasks.append(done.run_id)
    found = [_robustness(store, task_id) for task_id in tasks]
    assert [one.trials for one in found] == [1, 2, 3]
    returns = [_returns(store, task_id) for task_id in tasks]
    sharpes = [own.mean() / own.std(ddof=1) for own in returns]
    assert found[2].sharpe == pytest.approx(sharpes[2])
    assert found[2].deflated_sharpe == pytest.approx(deflated_sharpe_ratio(returns[2], sharpes), abs=1e-9)
    assert found[0].deflated_sharpe == found[0].probabilistic_sharpe
    for task_id in tasks:
        assert verify_task(store.layout, task_id).ok
        assert store.result(task_id).robustness == _robustness(store, task_id)


def test_a_sweep_says_how_far_its_winner_is_to_be_trusted(task: tuple[Layout, str]) -> None:
    layout, task_id = task
    store = TaskStore(layout.data_root)
    found = _robustness(store, task_id)
    trials = pq.read_table(layout.task(task_id) / "trials.parquet").to_pandas()
    ran = trials[trials["state"] == "completed"]
    assert found.trials == len(ran)
    assert 1 <= (found.effective_trials or 0) <= len(ran)
    assert found.sharpe_variance == pytest.approx((ran["sharpe"] / np.sqrt(ran["periods_per_year"])).var())
    assert found.deflated_sharpe is not None
    assert found.deflated_sharpe_of_all is not None
    assert found.deflated_sharpe_of_all <= found.deflated_sharpe <= (found.probabilistic_sharpe or 0)
    assert sum(found.logits.counts if found.logits else []) == 12_870
    assert found.neighbourhood is not None
    assert found.neighbourhood.winner == pytest.approx(ran.loc[ran["rank"] == 1, "objective"].item())
    assert f"after {len(ran)} trials on A, B since" in found.verdict
    assert verify_task(layout, task_id).ok


def test_what_was_left_out_is_computed_when_somebody_asks(
    task: tuple[Layout, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, task_id = task
    store = TaskStore(layout.data_root)
    before = store.manifest(task_id)
    bare = before.model_copy(update={"robustness": None})
    store._write(layout.task(task_id), bare)
    with dg.instance_for_test() as instance, closing(OthersWait(instance.root_directory)) as others_wait:
        queued_run(instance)
        add_robustness(store, bare, others_wait)
        assert store.manifest(task_id).robustness is None, "somebody waits for the processor"
    assert assessed_task(store, task_id).robustness == before.robustness
    assert store.manifest(task_id) == before, "the same statistics, and nothing else has changed"


def test_a_task_that_was_published_again_keeps_its_own_statistics(task: tuple[Layout, str]) -> None:
    layout, task_id = task
    store = TaskStore(layout.data_root)
    published = store.manifest(task_id).model_copy(update={"robustness": None})
    later = published.model_copy(update={"run_ids": [task_id, task_id[::-1]], "attempt": 2})
    store._write(layout.task(task_id), later)
    add_robustness(store, published, OthersWait(None))
    assert Ledger(layout).strategies() == ["sma_cross"]
    assert store.manifest(task_id).run_ids == later.run_ids


def test_ratios_of_unlike_bars_are_deflated_by_the_winners_bar(own_data_root: Path) -> None:
    """Annual ratios scatter alike by hours and days; of the winner's bars there are so many a year."""
    store_candles(own_data_root, walk("A", 300), walk("A", 24 * 300, timeframe="1h"))
    space = {"params.fast": IntRange(2, 8, step=2), "params.slow": [10, 30], "timeframe": ["1h", "1d"]}
    request = SweepRequest(backtest=FIRST.model_copy(update={"fee_bps": 0.0}), space=space)
    with dg.instance_for_test() as instance:
        task_id = sweep.execute_in_process(to_sweep_config(request), instance=instance).run_id
    store = TaskStore(own_data_root)
    found = _robustness(store, task_id)
    trials = pq.read_table(store.layout.task(task_id) / "trials.parquet").to_pandas()
    winner = trials[trials["rank"] == 1].iloc[0]
    assert trials["periods_per_year"].unique().tolist() == [365.0 * 24, 365.0]
    expected = trials["sharpe"].var() / winner["periods_per_year"]
    assert found.sharpe_variance == pytest.approx(expected, rel=1e-9)
    candles = {"1h": {"A": walk("A", 24 * 300, timeframe="1h")}, "1d": {"A": walk("A", 300)}}
    alone = run_sweep(candles, request).overfitting
    assert alone is not None
    assert (alone.sharpe_variance, alone.pbo, alone.reality_check) == (
        found.sharpe_variance,
        found.pbo,
        found.reality_check,
    )


def test_the_engine_alone_says_it_too() -> None:
    candles = walk("A", 300)
    result = run_backtest(candles, FIRST)
    assert result.robustness is not None
    assert result.robustness.trials == 1
    assert result.robustness.verdict.startswith(f"Sharpe {result.metrics['sharpe']:.2f} on A")
    space = {"params.fast": IntRange(2, 6), "params.slow": [10, 20]}
    swept = run_sweep(candles, SweepRequest(backtest=FIRST, space=space))
    assert swept.overfitting is not None
    assert swept.overfitting.trials == 10
    assert swept.overfitting.pbo is not None
