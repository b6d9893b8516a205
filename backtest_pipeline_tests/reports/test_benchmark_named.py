"""A request's benchmark by its name, wherever people look."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest_pipeline import BacktestResult, Candles
from backtest_pipeline.model.metric_catalog import common_benchmark, facts_of
from backtest_pipeline.orchestration.tasks.run_page import metrics_table
from backtest_pipeline.reports.charts.equity_chart import equity_figure
from backtest_pipeline.reports.comparison import comparison_html
from backtest_pipeline.reports.report import report_html
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import verify_task
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.render_report import benchmark_of, rendered_report
from backtest_pipeline.workflows.run_backtest import run_backtest
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk, without_translations
from backtest_pipeline_tests.results.published import TASK, publish, store_candles, wandering


def _candles() -> dict[str, Candles]:
    return {"AAPL": candles_of(walk(300)), "SPY": candles_of(walk(300, 2), "SPY")}


def _against_spy() -> BacktestResult:
    candles = _candles()
    request = backtest({"AAPL": candles["AAPL"]}).request.model_copy(update={"benchmark": "SPY"})
    return run_backtest(candles, request)


def test_the_report_names_the_benchmark_and_never_buy_and_hold() -> None:
    page = report_html(_against_spy(), _candles())
    assert "buy and hold" not in without_translations(page).lower()
    for wanted in ("SPY, bought and held", "<span>SPY</span>", "Beta to SPY"):
        assert wanted in page
    assert 'data-symbol="SPY"' not in page


def test_the_report_of_a_notebook_has_the_benchmarks_candles() -> None:
    result = _against_spy()
    assert result.drawn is not None
    assert result.drawn(result) == report_html(result, _candles(), robustness=result.robustness)


def test_the_picture_of_the_equity_names_the_benchmark() -> None:
    result = _against_spy()
    drawn = equity_figure(result, result.equity["equity"].to_numpy())
    [legend] = drawn.legends
    assert "SPY" in [text.get_text() for text in legend.get_texts()]


def test_a_comparison_names_the_benchmark_that_all_have_and_else_none_of_them() -> None:
    ours, plain = _against_spy(), backtest({"AAPL": _candles()["AAPL"]})
    assert "SPY, bought and held" in comparison_html({"one": ours, "two": ours})
    mixed = comparison_html({"one": ours, "two": plain})
    assert "The benchmark, bought and held" in mixed
    assert '<th scope="row">benchmark</th><td>SPY</td><td>-</td>' in mixed
    assert common_benchmark([None, None]) is None


def test_a_runs_page_and_a_notebook_name_it_too() -> None:
    result = _against_spy()
    assert "| SPY, bought and held |" in metrics_table(result.metrics, "SPY")
    assert "SPY, bought and held" in result._repr_html_()
    assert facts_of("beta", "SPY").meaning == "How far the account moves with SPY: 1 as far, 0 not at all."
    assert facts_of("buy_hold_return").title == "Buy and hold"


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """A task of ACME against BETA, whose bars begin a month before those of ACME."""
    acme, beta = wandering().slice(30, 200), wandering("BETA", seed=2)
    store_candles(tmp_path, acme, beta)
    publish(tmp_path, acme, beta, request={"symbols": ["ACME"], "benchmark": "BETA"})
    return tmp_path


def test_a_stored_result_adds_up_though_the_benchmark_has_other_bars(data_root: Path) -> None:
    assert verify_task(Layout(data_root), TASK).problems == []


def test_a_stored_result_is_drawn_with_its_benchmark_unless_those_candles_have_changed(
    data_root: Path,
) -> None:
    page, left_out = rendered_report(data_root, "UTC", TASK)
    assert left_out == []
    assert '<span>BETA</span><i class="line loss">' in page.decode()
    store_candles(data_root, wandering("BETA", seed=3))
    page, left_out = rendered_report(data_root, "UTC", TASK)
    assert [note.partition(" ")[0] for note in left_out] == ["BETA"]
    assert '<span>BETA</span><i class="line loss">' not in page.decode(), (
        "its line is not drawn beside the equity"
    )


def test_the_curve_of_a_stored_benchmark_ends_where_the_metric_says(data_root: Path) -> None:
    result = TaskStore(data_root).result(TASK)
    curve, gained = benchmark_of(data_root, "UTC", result), result.metrics["buy_hold_return"]
    assert curve is not None
    assert gained is not None
    assert curve[-1] == pytest.approx(result.request.initial_cash * (1 + gained))
