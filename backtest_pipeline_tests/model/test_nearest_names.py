"""A misspelt name suggests the one that was meant, and no other."""

from __future__ import annotations

import pytest

from backtest_pipeline.model.nearest_names import did_you_mean

KNOWN = ["AAPL", "IBM", "sma_cross"]


@pytest.mark.parametrize(
    ("name", "meant"), [("aapl", "AAPL"), ("APPL", "AAPL"), ("sma-cross", "sma_cross"), ("IBM.N", "IBM")]
)
def test_the_likest_name_is_suggested_as_it_is_written(name: str, meant: str) -> None:
    assert did_you_mean(name, KNOWN) == f" (did you mean {meant}?)"


@pytest.mark.parametrize("name", ["TSLA", "", "buy_and_hold"])
def test_nothing_is_suggested_where_nothing_is_like_it(name: str) -> None:
    assert did_you_mean(name, KNOWN) == ""


def test_among_no_names_there_is_nothing_to_mean() -> None:
    assert did_you_mean("AAPL", []) == ""
