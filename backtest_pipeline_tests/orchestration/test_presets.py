"""Ready-made configurations are requests that can be launched, and the catalog has every strategy."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
import yaml

from backtest_pipeline import StrategyParams
from backtest_pipeline.model.run_config import from_run_config
from backtest_pipeline.model.strategy import Strategy
from backtest_pipeline.orchestration.jobs.presets import (
    FURTHER_PRESETS,
    PRESET_SYMBOLS,
    further_preset,
    preset,
    presets_text,
    result_assets,
)
from backtest_pipeline.orchestration.jobs.task_jobs import TASK_JOBS
from backtest_pipeline.strategies.registry import resolve, strategies


@pytest.mark.parametrize("name", strategies())
def test_a_preset_is_the_request_of_all_defaults(name: str) -> None:
    config = yaml.safe_load(preset(strategies()[name]))
    request = from_run_config(TASK_JOBS["backtest"].filled_in(config))
    assert list(config)[:3] == ["strategy", "symbols", "timeframe"], "what one changes first comes first"
    assert (request.strategy, request.symbols) == (name, PRESET_SYMBOLS)
    assert resolve(request).request == request, "every parameter is written out"


def test_each_link_opens_the_launchpad_with_its_strategy() -> None:
    links = re.findall(r"^- \[(\w+)\]\((\S+)\): (.+)$", presets_text(strategies()), re.MULTILINE)
    assert [name for name, *_ in links] == sorted(strategies())
    for name, link, summary in links:
        place, _, config = link.partition("?config=")
        assert place == "/locations/backtest_pipeline/jobs/backtest/playground/setup"
        assert list(yaml.safe_load(unquote(config))["strategy"]) == [name]
        assert summary == strategies()[name].summary()


def test_a_strategy_that_wants_a_value_has_no_link() -> None:
    class Wants(StrategyParams):
        level: float

    asking: type[Strategy] = type(
        "Asking", (strategies()["buy_and_hold"],), {"name": "asking", "Params": Wants}
    )
    assert "asking" not in presets_text({"asking": asking, **strategies()})


def test_each_strategys_results_are_an_asset() -> None:
    assert [asset.key.path for asset in result_assets(strategies())] == [
        [kind, name] for kind in ("backtests", "sweeps", "walk_forwards") for name in sorted(strategies())
    ]


@pytest.mark.parametrize("title", FURTHER_PRESETS)
def test_a_preset_with_further_fields_is_a_request_that_has_them(title: str) -> None:
    _, fields = FURTHER_PRESETS[title]
    config = yaml.safe_load(further_preset(title))
    request = from_run_config(TASK_JOBS["backtest"].filled_in(config))
    assert list(config)[:3] == ["strategy", "symbols", "timeframe"], "what one changes first comes first"
    assert {name: getattr(request, name) for name in fields} == {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    assert f"- [{title}](/locations/" in presets_text(strategies())
