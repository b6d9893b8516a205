"""The report of a walk-forward: its numbers and its pictures, and that nothing of it is left untranslated."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline import (
    BacktestRequest,
    IntRange,
    SweepRequest,
    WalkForwardRequest,
    WalkForwardResult,
    run_walk_forward,
)
from backtest_pipeline.model.luck_verdict import verdict_sentences
from backtest_pipeline.model.metric_catalog import shown
from backtest_pipeline.reports.bilingual import korean_texts
from backtest_pipeline.reports.charts.walk_forward_svg import distribution_svg, scatter_svg, timeline_svg
from backtest_pipeline.reports.walk_forward_folds import fold_rows
from backtest_pipeline.reports.walk_forward_report import walk_forward_report_html
from backtest_pipeline_tests.reports.made import without_translations
from backtest_pipeline_tests.research.made_candles import walk

CANDLES = {"A": walk("A", 700, seed=5)}
SWEEP = SweepRequest(
    backtest=BacktestRequest(strategy="sma_cross", symbols=["A"], labels={"desk": "<b>fx</b>"}),
    space={"params.fast": IntRange(2, 10, step=4), "stop_loss_frac": [None, 0.05]},
)


@pytest.fixture(scope="module", params=["walking", "crossing"])
def found(request: Any) -> WalkForwardResult:
    fields: Any = {"train": 200, "test": 60} if request.param == "walking" else {"cross_validation": "purged"}
    return run_walk_forward(CANDLES, WalkForwardRequest(sweep=SWEEP, **fields))


def test_the_page_says_the_verdict_and_every_fold(found: WalkForwardResult) -> None:
    page = walk_forward_report_html(found, CANDLES)
    assert found.robustness is not None
    for sentence in verdict_sentences(found.robustness, ["A"], found.out_of_sample.checks):
        assert str(sentence) in unescape(page)
    rows = list(fold_rows(found.folds, found.request))
    cells = re.findall(r"<tr><td>(\d+)</td><td>(\S+) to (\S+)</td><td>(\d+|-)</td>", page)
    assert [(int(fold), first) for fold, first, *_ in cells] == [
        (row.fold, f"{row.test_start:%Y-%m-%d}") for row in rows
    ]
    assert shown("sharpe", found.metrics["sharpe"]) in page
    assert "<b>fx</b>" not in page, "texts from outside are escaped"
    assert walk_forward_report_html(found, CANDLES) == page


def test_the_benchmark_is_named_and_drawn() -> None:
    candles = {**CANDLES, "SPY": walk("SPY", 700, seed=6)}
    backtest = SWEEP.backtest.model_copy(update={"benchmark": "SPY"})
    request = WalkForwardRequest(
        sweep=SWEEP.model_copy(update={"backtest": backtest}), train=200, test=100, anchored=True
    )
    result = run_walk_forward(candles, request)
    assert result.drawn is not None
    page = result.drawn(result)
    assert "buy and hold" not in without_translations(page).lower()
    for wanted in ("SPY, bought and held", "<span>SPY</span>"):
        assert wanted in page
    assert shown("buy_hold_return", result.metrics["buy_hold_return"]) in page


def test_a_line_a_fold_and_a_bar_for_each_training_and_test(found: WalkForwardResult) -> None:
    drawing = timeline_svg(list(fold_rows(found.folds, found.request)))
    assert drawing.count('class="train"') == found.folds.fold.nunique()
    tests = len(re.findall(r'class="(?:win|lose|flat)"', drawing))
    assert tests == len(found.folds)
    won = int((found.folds.out_of_sample_total_return > 0).sum())
    assert drawing.count('class="win"') == won


def test_a_dot_for_each_test_with_both_objectives(found: WalkForwardResult) -> None:
    both = found.folds[["in_sample_objective", "out_of_sample_objective"]].dropna()
    assert scatter_svg(list(fold_rows(found.folds, found.request)), "sharpe").count("<circle") == len(both)
    assert scatter_svg([], "sharpe") == ""


def test_paths_are_drawn_where_there_are_several(found: WalkForwardResult) -> None:
    page = walk_forward_report_html(found, CANDLES)
    if found.paths is None:
        assert "Paths out of sample" not in page.split('id="korean"')[0]
    else:
        assert page.count('class="path"') == 4, "five paths, one of which stands out"
        assert distribution_svg([-0.5, None, 0.2, 1.0]).count('class="win"') == 2


def test_every_text_of_the_page_has_a_korean_one(found: WalkForwardResult) -> None:
    body = walk_forward_report_html(found, CANDLES).split('<script type="application/json"')[0]
    known = korean_texts()
    said = [unescape(text) for text in re.findall(r"data-said>([^<]+)<", body)]
    templates = [unescape(text) for text in re.findall(r'data-said="([^"]+)"', body)]
    names = set(found.request.sweep.space)
    left = [text for text in (*said, *templates) if text not in known and text not in names]
    assert left == []


def test_a_result_draws_its_own_page_and_shows_itself_in_a_notebook(
    found: WalkForwardResult, tmp_path: Path
) -> None:
    page = found.plot(tmp_path / "page.html", show=False)
    assert "Folds on a line of time" in page.read_text()
    assert shown("sharpe", found.metrics["sharpe"]) in found._repr_html_()
