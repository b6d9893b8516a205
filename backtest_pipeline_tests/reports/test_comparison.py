"""Results side by side."""

from __future__ import annotations

import base64
import gzip
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backtest_pipeline import BacktestResult
from backtest_pipeline.reports.compared_metrics import best
from backtest_pipeline.reports.comparison import comparison_html, request_differences
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk
from backtest_pipeline_tests.reports.test_report import HOSTILE


@pytest.fixture(scope="module")
def results() -> dict[str, BacktestResult]:
    candles = {"AAPL": candles_of(walk(200))}
    return {
        "quick": backtest(candles),
        "slow": backtest(candles, params={"fast": 10, "slow": 30}, fee_bps=0),
        "held": backtest(candles, strategy="buy_and_hold"),
    }


@pytest.mark.parametrize(
    ("name", "values", "winners"),
    [
        ("sharpe", {"a": 1.0, "b": 2.0}, {"b"}),
        ("max_drawdown", {"a": 0.1, "b": 0.2}, {"a"}),
        ("worst_trade_return", {"a": -0.1, "b": -0.2}, {"a"}),
        ("sharpe", {"a": 2.0, "b": 2.0, "c": 1.0}, {"a", "b"}),
        ("sharpe", {"a": 2.0, "b": 2.0}, set()),
        ("sharpe", {"a": None, "b": -1.0, "c": -2.0}, {"b"}),
        ("sharpe", {"a": None, "b": 1.0}, set()),
        ("beta", {"a": 1.0, "b": 2.0}, set()),
    ],
)
def test_the_best_value_is_by_the_metric_s_own_direction(
    name: str, values: dict[str, float | None], winners: set[str]
) -> None:
    assert best(name, values) == winners


def test_a_doubted_value_is_not_the_best() -> None:
    values = {"a": 3.0, "b": 2.0, "c": 1.0}
    assert best("sharpe", values, {"a"}) == {"b"}
    assert best("sharpe", values, {"a", "b"}) == set(), "nothing to be better than"


def _requests(results: dict[str, BacktestResult]) -> dict[str, dict[str, Any]]:
    return {name: one.request.to_dict() for name, one in results.items()}


def test_only_what_differs_in_the_requests_is_told(results: dict[str, BacktestResult]) -> None:
    assert request_differences(_requests(results)) == {
        "strategy": {"quick": "sma_cross", "slow": "sma_cross", "held": "buy_and_hold"},
        "params.fast": {"quick": 3, "slow": 10},
        "params.slow": {"quick": 8, "slow": 30},
        "fee_bps": {"quick": 10.0, "slow": 0.0, "held": 10.0},
    }
    same = _requests(results)["quick"]
    assert request_differences({"one": same, "other": same}) == {}


def test_curves_start_from_one(results: dict[str, BacktestResult]) -> None:
    page = comparison_html({"held": results["held"]})
    equity = results["held"].equity["equity"].to_numpy(dtype=np.float64)
    packed = re.findall(r'"type":"bytes","data":"([^"]+)"', page)
    bare = [gzip.decompress(base64.b64decode(text)) for text in packed]
    columns = [np.frombuffer(column, "<f8") for column in bare if len(column) == 8 * len(equity)]
    assert any(np.allclose(column, equity / 10_000) for column in columns)


def test_what_differs_stands_first(results: dict[str, BacktestResult]) -> None:
    page = comparison_html({"one": results["quick"], "two": results["slow"]})
    assert (
        0 < page.index("What differs in the requests") < page.index('id="equity"') < page.index(">Metrics<")
    )
    titles = re.findall(r'<tr title="[^"]*" data-said-title><th scope="row" data-said>([^<]*)</th>', page)
    assert titles.index("Total return") < titles.index("Buy and hold")  # the same in both


def test_names_from_users_are_texts(results: dict[str, BacktestResult]) -> None:
    plain = comparison_html({"one": results["quick"], "two": results["slow"]})
    named = comparison_html({HOSTILE: results["quick"], "two": results["slow"]})
    for tag in ("<script", "<img"):
        assert named.count(tag) == plain.count(tag)


def _marked(results: dict[str, BacktestResult]) -> list[bool]:
    """Which results have the best of what was paid."""
    row = re.search(r'<th scope="row" data-said>Fees paid</th>(.*?)</tr>', comparison_html(results))
    assert row
    return ["best" in cell for cell in re.findall(r'<td class="([^"]*)"', row[1])]


def test_the_best_of_each_metric_is_marked(results: dict[str, BacktestResult]) -> None:
    assert _marked(results) == [False, True, False]  # the slow one was asked for without fees


def test_a_result_that_looks_ahead_is_the_best_in_nothing(results: dict[str, BacktestResult]) -> None:
    looking = replace(results["slow"], checks={"look_ahead": {"passed": False}})
    quick, held = (results[name].metrics["fees_paid"] or 0.0 for name in ("quick", "held"))
    assert quick > held
    assert _marked({**results, "slow": looking}) == [False, False, True]
