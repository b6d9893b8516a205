"""What metrics are called and how they are written."""

from __future__ import annotations

import pytest

from backtest_pipeline.model.metric_catalog import METRICS, shown, shown_with_unit
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk


def test_the_catalog_tells_of_every_metric_that_the_engine_yields_and_of_no_other() -> None:
    result = backtest({"AAPL": candles_of(walk(60))})
    assert list(result.metrics.keys() - METRICS.keys()) == []
    assert list(METRICS.keys() - result.metrics.keys()) == []


def test_every_metric_has_a_title_of_its_own_and_a_sentence() -> None:
    assert len({facts.title for facts in METRICS.values()}) == len(METRICS)
    for facts in METRICS.values():
        assert facts.meaning.endswith(".")
        assert facts.meaning[0].isupper()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("total_return", 0.12345, "12.35%"),
        ("total_return", -12.5, "-1,250.00%"),
        ("total_return", -0.00001, "0.00%"),
        ("max_drawdown", 0.0, "0.00%"),
        ("sharpe", 1.005001, "1.01"),
        ("sharpe", 2.0, "2.00"),
        ("sharpe", -0.001, "0.00"),
        ("final_equity", 1234567.891, "1,234,567.89"),
        ("final_equity", 10_000.0, "10,000.00"),
        ("trades", 1234, "1,234"),
        ("max_drawdown_days", 31.0, "31"),
        ("max_drawdown_days", 1.25, "1.25"),
        ("periods_per_year", 252.0, "252"),
        ("cagr", 3.2e40, "3.20e+42%"),
        ("final_equity", 1e15, "1.00e+15"),
        ("profit_factor", None, "-"),
        ("a_metric_of_tomorrow", 0.5, "0.50"),
    ],
)
def test_a_metric_is_written_for_people(name: str, value: float | None, text: str) -> None:
    assert shown(name, value) == text


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("max_drawdown_days", 31.0, "31 days"),
        ("max_drawdown_days", 1.0, "1 day"),
        ("avg_bars_held", 51.27, "51.27 bars"),
        ("max_drawdown_days", None, "-"),
        ("total_return", 0.5, "50.00%"),
        ("trades", 3, "3"),
    ],
)
def test_days_and_bars_have_their_unit_beside_them(name: str, value: float | None, text: str) -> None:
    assert shown_with_unit(name, value) == text


def test_what_costs_or_hurts_is_better_when_it_is_less() -> None:
    less = {name for name, facts in METRICS.items() if facts.better == "less"}
    assert less == {
        "annual_volatility",
        "avg_drawdown",
        "fees_paid",
        "max_drawdown",
        "max_drawdown_days",
        "signal_max_drawdown",
        "value_at_risk_95",
    }
