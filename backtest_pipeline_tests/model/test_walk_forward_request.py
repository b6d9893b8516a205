"""What a walk-forward may ask for, and how it is read back."""

from __future__ import annotations

from typing import Any

import pytest

from backtest_pipeline import BacktestRequest, IntRange, SweepRequest, WalkForwardRequest
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.request_tags import descriptive_tags, scheduling_tags
from backtest_pipeline.model.task_kind import backtest_of, kind_of, strategies_of
from backtest_pipeline.model.task_request import backtest_in, config_of, request_of, stored_request

SWEEP = SweepRequest(
    backtest=BacktestRequest(strategy="sma_cross", symbols=["A"], priority=4, labels={"desk": "fx"}),
    space={"params.fast": IntRange(2, 6)},
)


def _problems(**fields: Any) -> dict[str, str]:
    with pytest.raises(RequestInvalid) as caught:
        WalkForwardRequest(**{"sweep": SWEEP, **fields})
    return dict(caught.value.problems)


def test_defaults_are_written_out_for_the_way_that_is_asked_for_and_only_for_it() -> None:
    walking, crossing = (
        WalkForwardRequest(sweep=SWEEP),
        WalkForwardRequest(sweep=SWEEP, cross_validation="purged"),
    )
    assert (walking.train, walking.test, walking.folds, walking.test_folds) == ("2y", "6mo", None, None)
    assert (crossing.train, crossing.test, crossing.folds, crossing.test_folds) == (None, None, 6, 2)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"train": 500, "test": "125"},
        {"anchored": True, "purge_bars": 3},
        {"cross_validation": "purged", "folds": 8},
    ],
)
def test_json_run_config_and_store_give_the_same_request_back(fields: dict[str, Any]) -> None:
    request = WalkForwardRequest(sweep=SWEEP, **fields)
    assert WalkForwardRequest(**request.to_dict()) == request
    assert request_of(config_of(request)) == request
    assert stored_request(request.to_dict()) == request
    assert stored_request(request.to_dict()).digest() == request.digest()
    for asked in (request.to_dict(), config_of(request)):
        assert kind_of(asked) == "walk_forward"
        assert backtest_of(asked)["symbols"] in (["A"], ("A",))
    assert strategies_of(request.to_dict()) == ["sma_cross"]
    assert backtest_in(request) == SWEEP.backtest


def test_windows_of_another_length_are_another_request() -> None:
    digests = {
        WalkForwardRequest(sweep=SWEEP, **one).digest() for one in ({}, {"train": "1y"}, {"anchored": True})
    }
    assert len(digests) == 3
    assert (
        WalkForwardRequest(sweep=SWEEP, train="500", test=90).digest()
        == WalkForwardRequest(sweep=SWEEP, train=500, test="90").digest()
    )


def test_tags_are_those_of_the_backtest_in_it() -> None:
    config = config_of(WalkForwardRequest(sweep=SWEEP))
    assert descriptive_tags(config)["backtest/strategy"] == "sma_cross"
    assert descriptive_tags(config)["label/desk"] == "fx"
    assert scheduling_tags(config, {})["dagster/priority"] == "4"


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({"train": "2 fortnights"}, "train", "write a number of bars"),
        ({"train": 500, "test": "6mo"}, "test", "both in bars or both as spans"),
        ({"test": 0}, "test", "at least one bar"),
        ({"purge_bars": -1}, "purge_bars", "greater than or equal to 0"),
        ({"embargo_bars": 3}, "embargo_bars", "every training ends before its test"),
        ({"folds": 5}, "folds", "is of cross-validation"),
        ({"cross_validation": "purged", "train": "1y"}, "train", "is of walking forward"),
        ({"cross_validation": "purged", "anchored": True}, "anchored", "is of walking forward"),
        ({"cross_validation": "purged", "folds": 4, "test_folds": 4}, "test_folds", "fewer than all 4"),
        ({"cross_validation": "purged", "folds": 30, "test_folds": 15}, "folds", "at most 1,000"),
        ({"cross_validation": "purgd"}, "cross_validation", "purged"),
        ({"horizon": 3}, "horizon", "no such field"),
        (
            {"sweep": {"backtest": {"strategy": "x", "symbols": ["A"]}, "space": {}}},
            "sweep.space",
            "at least one",
        ),
    ],
)
def test_what_cannot_be_is_named_with_its_field(fields: dict[str, Any], field: str, said: str) -> None:
    problems = _problems(**fields)
    assert said in problems[field], problems


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("symbols", [["A"], ["B"]]),
        ("timeframe", ["1h", "1d"]),
        ("start", [None, "2020-01-01"]),
        ("initial_cash", [1, 2]),
        ("calendar", ["24/7", "XNYS"]),
    ],
)
def test_what_one_account_cannot_change_on_its_way_may_not_vary(key: str, values: Any) -> None:
    sweep = SweepRequest(backtest=SWEEP.backtest, space={key: values})
    assert "has to be the same in all folds" in _problems(sweep=sweep)[f"sweep.space.{key}"]


def test_tpe_and_several_stretches_do_not_go_together() -> None:
    sweep = SweepRequest(backtest=SWEEP.backtest, space=dict(SWEEP.space), search="tpe", trials=20)
    assert "take grid, random or sobol" in _problems(sweep=sweep, cross_validation="purged")["sweep.search"]
    assert WalkForwardRequest(sweep=sweep).sweep.search == "tpe"
