"""The fields that few backtests need are shown together, after the others, wherever fields are shown."""

from __future__ import annotations

import os
import re

import pytest
from typer.testing import CliRunner

from backtest_pipeline import BacktestRequest, SweepRequest
from backtest_pipeline.cli.main import app
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.request_groups import FURTHER_FIELDS, group_of, simple_first
from backtest_pipeline.model.space_values import written_values
from backtest_pipeline.model.sweep_config import from_sweep_config, to_sweep_config
from backtest_pipeline.orchestration.jobs.launch_form import launch_form
from backtest_pipeline.strategies.registry import strategies

FIELDS = list(BacktestRequest.model_fields)


def test_groups_hold_fields_that_there_are_each_once() -> None:
    grouped = [name for fields in FURTHER_FIELDS.values() for name in fields]
    assert len(set(grouped)) == len(grouped)
    assert set(grouped) < set(FIELDS)
    assert group_of("leverage") == "Leverage and its costs"
    assert group_of("fee_bps") is None


def test_every_field_that_is_left_out_of_a_plain_request_is_in_a_group_but_for_the_benchmark() -> None:
    plain = BacktestRequest(strategy="sma_cross", symbols=["A"], start="2020-01-01").to_dict()
    left_out = set(FIELDS) - plain.keys()
    assert left_out - {"benchmark"} == {name for fields in FURTHER_FIELDS.values() for name in fields}


def test_the_simple_ones_come_first_in_their_order() -> None:
    ordered = simple_first(FIELDS)
    assert sorted(ordered) == sorted(FIELDS)
    simple = [name for name in FIELDS if group_of(name) is None]
    assert ordered[: len(simple)] == simple
    assert ordered[len(simple)] == "account"


def test_the_form_shows_them_last() -> None:
    form = [name for name in launch_form(strategies()) if name not in {"strategy", "symbols"}]
    assert form == simple_first(form)


@pytest.mark.parametrize("command", ["run", "submit", "sweep", "walk-forward"])
def test_help_has_a_section_for_each_group(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"], env={**os.environ, "COLUMNS": "120"})
    sections = re.split(r"╭─ (.+?) ─+╮", done.output)[1:]
    told = dict(zip(sections[::2], sections[1::2], strict=True))
    for group, fields in FURTHER_FIELDS.items():
        for name in fields:
            option = f"--{name.replace('_', '-')}"
            assert option in told[group]
            assert f"{option} " not in told["Options"]


def test_targets_that_change_with_time_are_varied_as_lists() -> None:
    backtest = BacktestRequest(strategy="sma_cross", symbols=["A"])
    steps = [[], [[0, 0.04], [30, 0.02]]]
    request = SweepRequest(backtest=backtest, space={"take_profit_steps": steps, "max_entries": [1, 3]})
    assert request.space["take_profit_steps"] == ((), ((0, 0.04), (30, 0.02)))
    assert request.to_dict()["space"]["take_profit_steps"] == steps
    assert from_sweep_config(to_sweep_config(request)) == request
    assert written_values(steps) == "none, 0:0.04+30:0.02"


def test_a_value_that_a_field_refuses_is_refused_in_a_space() -> None:
    backtest = BacktestRequest(strategy="sma_cross", symbols=["A"])
    with pytest.raises(RequestInvalid, match="the bars of the steps should rise"):
        SweepRequest(backtest=backtest, space={"take_profit_steps": [[[30, 0.02], [0, 0.04]]]})
    with pytest.raises(RequestInvalid, match="leverage"):
        SweepRequest(backtest=backtest, space={"leverage": [0.5]})
