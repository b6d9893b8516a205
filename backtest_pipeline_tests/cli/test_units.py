"""Tables of metrics say what the numbers are counted in."""

from __future__ import annotations

import pytest

from backtest_pipeline.cli.output import print_metrics
from backtest_pipeline.model.metric_catalog import METRICS, unit_of
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("max_drawdown_days", "days"),
        ("avg_bars_held", "bars"),
        ("final_equity", "quote currency"),
        ("sharpe", ""),
        ("trades", ""),
        ("total_return", ""),  # the cell has the sign
    ],
)
def test_the_catalogue_names_units(name: str, unit: str) -> None:
    assert unit_of(name) == unit


def test_the_table_of_a_result_ends_with_the_unit_of_each_metric(capsys: pytest.CaptureFixture[str]) -> None:
    print_metrics(backtest({name: candles_of(walk(60, at), name) for at, name in enumerate(["AAPL", "IBM"])}))
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines() if "\t" in line]
    assert rows[0] == ["metric", "account", "AAPL", "IBM", "unit"]
    assert {row[0]: row[-1] for row in rows[1:]} == {name: unit_of(name) for name in METRICS}


def test_many_symbols_stand_below_one_another_the_largest_gain_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    candles = {f"S{at:02d}": candles_of(walk(60, at), f"S{at:02d}") for at in range(30)}
    result = backtest(candles)
    print_metrics(result)
    out = capsys.readouterr().out
    rows = [line.split("\t") for line in out.splitlines() if "\t" in line]
    assert rows[0] == ["metric", "account", "unit"]
    heading = rows.index(["symbol", "total_return", "trades", "win_rate", "fees_paid", "final_equity"])
    shown = [row[0] for row in rows[heading + 1 :]]
    returns = {symbol: of["total_return"] or 0.0 for symbol, of in result.by_symbol.items()}
    most = sorted(returns, key=lambda symbol: -abs(returns[symbol]))[:20]
    assert sorted(shown) == sorted(most)
    assert shown == sorted(shown, key=lambda symbol: -returns[symbol])
    assert "10 further symbols; --json has all" in out
