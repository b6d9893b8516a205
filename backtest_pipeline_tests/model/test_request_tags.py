"""What a request says by tags, read back as it was said."""

from __future__ import annotations

from typing import Any

import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model import tags
from backtest_pipeline.model.request_tags import (
    descriptive_tags,
    label_tags,
    labels_of,
    scheduling_tags,
    symbols_of,
)
from backtest_pipeline.model.run_config import to_run_config

REQUEST = BacktestRequest(
    strategy="sma_cross",
    symbols=["AAPL", "IBM"],
    timeframe="1h",
    labels={"desk": "rates", "about/it": "a=b"},
    priority=7,
    max_retries=0,
    timeout_s=60,
)


def test_a_request_is_found_by_what_it_asks_for() -> None:
    assert descriptive_tags(to_run_config(REQUEST)) == {
        "backtest/strategy": "sma_cross",
        "backtest/symbols": "AAPL,IBM",
        "backtest/timeframe": "1h",
        "label/desk": "rates",
        "label/about/it": "a=b",
    }


def test_dagster_is_told_the_numbers_that_it_obeys() -> None:
    assert scheduling_tags(to_run_config(REQUEST), {tags.PRIORITY: "1"}) == {
        "dagster/priority": "7",
        "dagster/max_retries": "0",
        "dagster/max_runtime": "60",
    }


def test_what_is_not_said_is_as_the_request_has_it_unless_a_tag_says_so() -> None:
    assert scheduling_tags({}, {tags.PRIORITY: "9"}) == {
        "dagster/max_retries": "2",
        "dagster/max_runtime": "3600",
    }


@pytest.mark.parametrize("value", ["7", None, 1.5, 10**12, [7]])
def test_a_number_that_dagster_could_not_use_is_no_tag(value: Any) -> None:
    assert scheduling_tags({"priority": value}, {})[tags.PRIORITY] == "0"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"strategy": "sma_cross", "symbols": "AAPL", "timeframe": 1, "labels": ["desk"]},
        {"strategy": {"a": {}, "b": {}}},
    ],
)
def test_a_config_that_is_wrong_says_nothing_by_tags(config: dict[str, Any]) -> None:
    assert descriptive_tags(config) == {}


def test_labels_and_symbols_are_read_back() -> None:
    run_tags = {
        **descriptive_tags(to_run_config(REQUEST)),
        "backtest/stage": "labels are others",
        "label": "x",
    }
    assert labels_of(run_tags) == dict(REQUEST.labels)
    assert symbols_of(run_tags) == list(REQUEST.symbols)
    assert labels_of(label_tags({"n": 3})) == {"n": "3"}
    assert symbols_of({}) == []
