"""Results at hand: a series, a notebook's cell, a page in the browser."""

from __future__ import annotations

import math
import webbrowser
from dataclasses import replace
from pathlib import Path

import pytest

from backtest_pipeline import BacktestRequest, IntRange, SweepRequest, run_backtest, run_sweep
from backtest_pipeline.model.errors import ReportMissing
from backtest_pipeline.sdk.stored_results import StoredResults
from backtest_pipeline_tests.results.published import TASK, publish, wandering

CANDLES = wandering(bars=80)
REQUEST = BacktestRequest(strategy="sma_cross", params={"fast": 3, "slow": 8}, symbols=["ACME"])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the browser was asked to open."""
    addresses: list[str] = []
    monkeypatch.setattr(webbrowser, "open", addresses.append)
    return addresses


def test_stats_are_a_series_of_floats_with_nan_where_a_metric_is_undefined() -> None:
    result = run_backtest(CANDLES, REQUEST)
    stats = result.stats()
    assert str(stats.dtype) == "float64"
    assert stats.name == "sma_cross"
    for name, value in result.metrics.items():
        assert stats[name] == value or (value is None and math.isnan(stats[name]))


def test_plot_writes_the_report_opens_it_and_says_where_it_is(opened: list[str], tmp_path: Path) -> None:
    result = run_backtest(CANDLES, REQUEST)
    path = result.plot()
    assert opened == [path.as_uri()]
    assert "sma_cross on ACME" in path.read_text()
    path.unlink()
    named = result.plot(tmp_path / "mine.html", show=False)
    assert named == tmp_path / "mine.html"
    assert len(opened) == 1


@pytest.mark.usefixtures("opened")
def test_a_task_s_result_is_drawn_too(tmp_path: Path) -> None:
    publish(tmp_path, CANDLES)
    result = StoredResults(tmp_path).result(TASK)
    assert "sma_cross on ACME" in result.plot(tmp_path / "drawn.html").read_text()
    (tmp_path / "tasks" / TASK / "report.html").write_text("as published")
    assert result.plot(tmp_path / "there.html").read_text() == "as published"


def test_what_has_nothing_to_draw_it_by_says_so() -> None:
    with pytest.raises(ReportMissing, match="run_backtest"):
        replace(run_backtest(CANDLES, REQUEST), drawn=None).plot()


def test_a_notebook_shows_a_result_and_escapes_what_users_wrote() -> None:
    result = run_backtest(CANDLES, REQUEST)
    html = replace(result, diagnostics=["<script>"])._repr_html_()
    assert "sma_cross on ACME, 1d, 2020-01-01 to 2020-03-20" in html
    assert "Total return" in html
    assert "&lt;script&gt;" in html
    assert "<script>" not in html


def test_a_notebook_shows_a_sweep_s_best_trials() -> None:
    sweep = run_sweep(CANDLES, SweepRequest(backtest=REQUEST, space={"params.fast": IntRange(2, 4)}))
    html = sweep._repr_html_()
    assert "sma_cross: 3 trials, the best by sharpe" in html
    assert html.count("<tr") == 1 + 3
