"""Sweeps side by side."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from backtest_pipeline import BacktestRequest, IntRange, SweepRequest
from backtest_pipeline.cli.main import app
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.metric_catalog import shown
from backtest_pipeline.reports.comparison import request_differences
from backtest_pipeline.reports.sweep_axes import SweepAxis
from backtest_pipeline.reports.sweep_comparison import respread, sweep_comparison_html
from backtest_pipeline.reports.sweep_survey import surveyed
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import get_settings
from backtest_pipeline.workflows.render_sweep_report import compared_sweep, sweep_comparison
from backtest_pipeline_tests.reports.made import OTHER_TASK, TASK, backtest, candles_of, manifest_of, walk
from backtest_pipeline_tests.reports.made_sweep import noise, source_of, stored, sweep_of, table_of
from backtest_pipeline_tests.reports.test_report import HOSTILE

ONE = sweep_of({"params.fast": IntRange(2, 12), "params.slow": [20, 40]})
OTHER = sweep_of({"params.fast": IntRange(2, 30)}, where=["trades >= -1"])


def _publish(store: TaskStore, task_id: str, request: SweepRequest, table: pa.Table) -> None:
    with store.staging(task_id) as staged:
        manifest = stored(staged, request, table)
        store.publish(manifest.model_copy(update={"task_id": task_id, "run_ids": [task_id]}), staged)


@pytest.fixture
def store(tmp_path: Path) -> TaskStore:
    made = TaskStore(tmp_path)
    _publish(made, TASK, ONE, table_of(ONE, noise(1)))
    _publish(made, OTHER_TASK, OTHER, table_of(OTHER, noise(2)))
    return made


def test_what_differs_in_the_requests_stands_first(store: TaskStore) -> None:
    page = sweep_comparison(store, [TASK, OTHER_TASK])
    heads = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert heads == [
        "What differs in the requests", "The best of each", "Distribution of the Sharpe ratio",
        "Equity of the winners, from 1.0", "Metrics of the winners",
    ]  # fmt: skip
    for wanted in ("space.params.slow", "where", f"sma_cross {TASK[:8]}", f"sma_cross {OTHER_TASK[:8]}"):
        assert wanted in page
    for task_id in (TASK, OTHER_TASK):
        assert f">{shown('sharpe', store.manifest(task_id).metrics['sharpe'])}<" in page


def test_a_winner_that_looks_ahead_is_named_so_and_the_best_in_nothing(store: TaskStore) -> None:
    table = table_of(ONE, noise(1))
    with store.staging(TASK) as staged:
        manifest = stored(staged, ONE, table).model_copy(
            update={"task_id": TASK, "run_ids": [TASK], "checks": {"look_ahead": {"passed": False}}}
        )
        store.publish(manifest, staged)
    page = sweep_comparison(store, [TASK, OTHER_TASK])
    rows = re.findall(r'<tr title="[^"]*"[^>]*><th scope="row"[^>]*>[^<]*</th>(.*?)</tr>', page)
    marked = [["best" in cell for cell in re.findall(r'<td class="([^"]*)"', row)] for row in rows]
    assert marked
    assert not any(any(cells) for cells in marked), (
        "one is doubted, and the other has nothing to be better than"
    )
    assert f"{shown('sharpe', manifest.metrics['sharpe'])} (looks ahead)" in page


def test_ranges_are_one_difference() -> None:
    found = request_differences({"one": ONE.to_dict(), "other": OTHER.to_dict()})
    assert found == {
        "space.params.fast": {
            "one": {"low": 2, "high": 12, "step": 1},
            "other": {"low": 2, "high": 30, "step": 1},
        },
        "space.params.slow": {"one": [20, 40]},
        "where": {"one": [], "other": ["trades >= -1"]},
    }


def test_shares_between_other_edges_are_still_all_of_them(tmp_path: Path) -> None:
    table = table_of(ONE, noise(missing=0.0))
    axes = [SweepAxis.of(key, values) for key, values in ONE.space.items()]
    survey = surveyed(source_of(tmp_path, ONE, table), axes)
    wide = np.linspace(survey.edges[0] - 1, survey.edges[-1] + 2, 61)
    assert respread(survey, wide).sum() == pytest.approx(1.0)
    np.testing.assert_allclose(respread(survey, survey.edges), survey.counts / survey.scored)


def test_other_objectives_are_not_laid_over_one_another(store: TaskStore) -> None:
    asked = sweep_of({"params.fast": IntRange(2, 12)}, objective="max_drawdown")
    _publish(store, OTHER_TASK, asked, table_of(asked))
    assert "They rank by different metrics" in sweep_comparison(store, [TASK, OTHER_TASK])


def test_a_sweep_without_a_winner_is_compared_all_the_same(store: TaskStore) -> None:
    asked = sweep_of({"params.fast": IntRange(2, 12)}, where=["trades > 1000"])
    for tasks, wanted in (([OTHER_TASK], "1. sma_cross"), ([TASK, OTHER_TASK], "None has a winner.")):
        for task_id in tasks:
            _publish(store, task_id, asked, table_of(asked))
        assert wanted in sweep_comparison(store, [TASK, OTHER_TASK])


def test_curves_begin_with_what_the_winner_had(tmp_path: Path) -> None:
    asked = sweep_of(
        {"initial_cash": [5_000, 10_000]}, backtest=BacktestRequest(strategy="sma_cross", symbols=["A"])
    )
    store = TaskStore(tmp_path)
    _publish(store, TASK, asked, table_of(asked, noise(missing=0.0)))
    one = compared_sweep(store, TASK)
    assert one.curve is not None
    winner = one.survey.winner
    assert winner is not None
    cash = one.axes[0].value(winner.places["initial_cash"][0])
    assert one.initial_cash == cash


def test_names_from_users_are_texts(store: TaskStore) -> None:
    both = [compared_sweep(store, TASK), compared_sweep(store, OTHER_TASK)]
    plain = sweep_comparison_html(dict(zip(("one", "two"), both, strict=True)))
    hostile = sweep_comparison_html(dict(zip((HOSTILE, "two"), both, strict=True)))
    for tag in ("<script", "<img", "<!--"):
        assert hostile.count(tag) == plain.count(tag)


def test_the_command_draws_the_report_of_a_sweep(
    store: TaskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", str(store.layout.data_root))
    get_settings.cache_clear()
    out = tmp_path / "page.html"
    drawn = CliRunner().invoke(app, ["report", TASK, "--no-open", "--out", str(out)])
    get_settings.cache_clear()
    assert drawn.exit_code == 0, drawn.output
    assert "Sweep of sma_cross" in re.sub(r"<[^>]+>", "", out.read_text())


def test_the_command_compares_sweeps_and_refuses_to_mix_kinds(
    store: TaskStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", str(store.layout.data_root))
    get_settings.cache_clear()
    out = tmp_path / "page.html"

    def run(*arguments: Any) -> Any:
        return CliRunner().invoke(app, ["compare", *arguments, "--no-open", "--out", str(out), "--force"])

    assert run(TASK, OTHER_TASK).exit_code == 0
    assert "2 sweeps compared" in out.read_text()
    candles = {"AAPL": candles_of(walk(60))}
    result = backtest(candles)
    with store.staging(OTHER_TASK) as staged:
        store.publish(
            manifest_of(result, candles, store.write_tables(staged, result), task_id=OTHER_TASK), staged
        )
    refused = run(TASK, OTHER_TASK).exception
    assert isinstance(refused, RequestInvalid)
    assert "compare sweeps with sweeps, not backtest with sweep" in str(refused)
    get_settings.cache_clear()
