"""What varies, as the command line writes it."""

from __future__ import annotations

from typing import Any

import pytest

from backtest_pipeline import FloatRange, IntRange
from backtest_pipeline.cli.space_options import parsed_space, parsed_steps
from backtest_pipeline.model.errors import RequestInvalid


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("fast=5:50:5", "params.fast", IntRange(5, 50, step=5)),
        ("fast=5:50", "params.fast", IntRange(5, 50)),
        ("fee_bps=1:50:log", "fee_bps", FloatRange(1, 50, log=True)),
        ("fee_bps=0.5:2:0.5", "fee_bps", FloatRange(0.5, 2, step=0.5)),
        ("position_frac=0.1:1.0", "position_frac", FloatRange(0.1, 1.0)),
        ("stop_loss_frac=none,0.02,0.05", "stop_loss_frac", [None, 0.02, 0.05]),
        ("timeframe=1h,1d", "timeframe", ["1h", "1d"]),
        ("symbols=AAPL,AAPL+MSFT", "symbols", [["AAPL"], ["AAPL", "MSFT"]]),
        ("start=2015-01-01,2015-01-01T09:30:00", "start", ["2015-01-01", "2015-01-01T09:30:00"]),
        ("params.seed=1,2", "params.seed", [1, 2]),
        ("mode=quick,slow", "params.mode", ["quick", "slow"]),
        ("on=true,false", "params.on", [True, False]),
        ("account=split,shared", "account", ["split", "shared"]),
        ("leverage=1:3:0.5", "leverage", FloatRange(1, 3, step=0.5)),
        ("funding=true,false", "funding", [True, False]),
        ("take_profit_steps=none,0:0.04+30:0.02", "take_profit_steps", [[], [[0, 0.04], [30, 0.02]]]),
        ("benchmark=SPY,QQQ", "benchmark", ["SPY", "QQQ"]),  # which the request refuses with its reason
        ("priority=1,2", "priority", [1, 2]),
    ],
)
def test_values_are_lists_or_ranges(text: str, key: str, values: Any) -> None:
    assert parsed_space([text]) == {key: values}


@pytest.mark.parametrize("text", ["fast", "=1,2", "fast="])
def test_what_is_no_name_with_values_is_refused(text: str) -> None:
    with pytest.raises(RequestInvalid, match="write NAME=VALUES"):
        parsed_space([text])


@pytest.mark.parametrize("text", ["0:0.04+x", "0.04", "0:0.04:3", "0:a", ""])
def test_steps_that_are_no_pairs_are_refused_with_how_they_are_written(text: str) -> None:
    with pytest.raises(RequestInvalid, match=r"--take-profit-steps: write BARS:FRAC\+BARS:FRAC"):
        parsed_steps(text)


@pytest.mark.parametrize("text", ["0:0.04+30:0.02", "0:0.04, 30:0.02", "[[0, 0.04], [30, 0.02]]"])
def test_steps_are_pairs_joined_by_plus_or_comma_or_json(text: str) -> None:
    assert parsed_steps(text) == [[0, 0.04], [30, 0.02]]


def test_a_name_comes_once() -> None:
    with pytest.raises(RequestInvalid, match="fast is varied twice"):
        parsed_space(["fast=1,2", "fast=3"])


def test_a_range_that_falls_is_refused() -> None:
    with pytest.raises(RequestInvalid, match="is below low"):
        parsed_space(["fast=9:5"])
