"""The gate of a search: spaces, ranges, objective and conditions."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Any

import numpy as np
import pytest

from backtest_pipeline import BacktestRequest, FloatRange, IntRange, SweepRequest
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.metric_condition import MetricCondition
from backtest_pipeline.model.space_values import written_values

BACKTEST = BacktestRequest(strategy="sma_cross", symbols=["AAPL"])


def _sweep(**changes: Any) -> SweepRequest:
    return SweepRequest(**{"backtest": BACKTEST, "space": {"params.fast": [5, 10]}, **changes})


def test_the_example_of_the_contract_is_a_sweep() -> None:
    request = SweepRequest(
        backtest=BacktestRequest(strategy="sma_cross", symbols=["AAPL", "MSFT"], timeframe="1d"),
        space={
            "params.fast": IntRange(5, 50, step=5),
            "params.slow": IntRange(20, 200, step=10),
            "stop_loss_frac": [None, 0.02, 0.05],
            "timeframe": ["1h", "1d"],
        },
        search="grid",
        trials=None,
        objective="sharpe",
        where=["trades >= 30", "max_drawdown <= 0.4"],
        keep_best=20,
        seed=0,
    )
    assert request.combinations == request.planned_trials == 10 * 19 * 3 * 2
    assert request.varied_params == ["fast", "slow"]
    assert request.varied_fields == ["stop_loss_frac", "timeframe"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"space": {}}, "space: name at least one thing to vary"),
        ({"space": [1]}, "space: name at least one thing to vary"),
        ({"space": {"stop_loss": [0.1]}}, "space.stop_loss: .*did you mean stop_loss_frac"),
        ({"space": {"fast": [1]}}, r"space\.fast: .*is written params\.fast"),
        ({"space": {"params": [{}]}}, "space.params: vary parameters one by one, as params.fast"),
        ({"space": {"priority": [1, 2]}}, "space.priority: priority changes no outcome"),
        ({"space": {"benchmark": ["SPY"]}}, "space.benchmark: a benchmark changes no trade"),
        ({"space": {"params.": [1]}}, r"space\.params\.: a request has no field"),
        ({"space": {"fee_bps": [1, -2]}}, "space.fee_bps: .*greater than or equal to 0, not -2"),
        ({"space": {"fee_bps": [1, 1.0]}}, "space.fee_bps: 1.0 listed more than once"),
        ({"space": {"fee_bps": []}}, "space.fee_bps: list 1 to 10,000 values, not 0"),
        ({"space": {"fee_bps": "1"}}, "space.fee_bps: write a list of values"),
        ({"space": {"fee_bps": 3}}, "space.fee_bps: write a list of values"),
        ({"space": {"timeframe": ["1d", "2d"]}}, "space.timeframe: .*not '2d'"),
        ({"space": {"symbols": [["aapl"]]}}, "space.symbols: 'aapl' is not a symbol"),
        ({"space": {"start": ["soon"]}}, "space.start: 'soon' is no ISO date"),
        ({"space": {"max_hold_bars": FloatRange(1, 2, step=0.5)}}, "space.max_hold_bars: .*not 1.5"),
        ({"space": {"stop_loss_frac": FloatRange(0, 0.1)}}, "space.stop_loss_frac: .*greater than 0, not 0"),
        (
            {"space": {"slippage_bps": IntRange(0, 20_000)}},
            "space.slippage_bps: .*less than 10000, not 20000",
        ),
        ({"space": {"params.a": [float("nan")]}}, "space.params.a: write finite numbers"),
        ({"space": {"params.a": [object()]}}, "space.params.a: write a plain value, not a object"),
        ({"space": {"params.a": {"low": 1, "hihg": 2}}}, r"space\.params\.a\.hihg: .*space\.params\.a\.high"),
        ({"space": {"params.a": {"low": 2, "high": 1}}}, r"space.params.a: high \(1\) is below low \(2\)"),
        ({"space": {"params.a": FloatRange(0, 1)}}, "space.params.a: grid needs a step here"),
        ({"space": {f"params.p{i}": [1] for i in range(51)}}, "space: vary at most 50 names, not 51"),
        ({"trials": 3}, "trials: grid runs all combinations"),
        ({"search": "random"}, "trials: say how many; random has no number of its own"),
        ({"search": "sobol", "trials": 10_000_001}, "trials: sobol runs at most 10,000,000, not 10,000,001"),
        ({"search": "tpe", "trials": 10_001}, "trials: tpe runs at most 10,000, not 10,001"),
        ({"search": "tpe", "trials": 0}, "trials: .*greater than or equal to 1, not 0"),
        ({"search": "annealing"}, "search: .*'grid', 'random', 'sobol' or 'tpe'"),
        ({"objective": "sharp"}, "objective: there is no metric 'sharp' .did you mean sharpe"),
        ({"objective": "beta"}, "objective: neither more nor less beta is better"),
        ({"where": ["trade >= 3"]}, "where: there is no metric 'trade' .did you mean trades"),
        ({"where": ["trades 3"]}, "where: 'trades 3' is no condition"),
        ({"where": ["win_rate >= 50%"]}, "where: '50%' is no number; .*40 % as 0.4"),
        ({"where": "trades >= 3"}, "where: write a list of conditions"),
        ({"keep_best": 0}, "keep_best: .*greater than or equal to 1, not 0"),
        ({"sed": 1}, r"sed: there is no such field \(did you mean seed\?\)"),
        ({"backtest": {"strategy": "x"}}, "backtest.symbols: Field required"),
        ({"backtest": 3}, "backtest: "),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused_with_its_reason(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestInvalid, match=says):
        _sweep(**changes)


def test_one_combination_over_ten_million_is_refused_with_the_count() -> None:
    space = {"params.a": IntRange(1, 10_000_000)}
    assert _sweep(space=space).planned_trials == 10_000_000
    with pytest.raises(RequestInvalid, match=r"10,000,001 combinations, and grid runs at most 10,000,000"):
        _sweep(space={"params.a": IntRange(0, 10_000_000)})


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(RequestInvalid) as refused:
        SweepRequest(
            backtest={"strategy": "x", "symbols": []}, space={"fees": [1]}, objective="x", where=["y"]
        )
    assert [field for field, _ in refused.value.problems] == [
        "space.fees",
        "backtest.symbols",
        "objective",
        "where",
    ]


def test_values_are_kept_as_their_fields_have_them() -> None:
    request = _sweep(
        space={
            "fee_bps": [1, "2"],
            "start": ["2020-01-01"],
            "symbols": [["A", "B"]],
            "params.window": np.array([3, 4]),
            "initial_cash": range(100, 300, 100),
        }
    )
    assert request.space["fee_bps"] == (1.0, 2.0)
    assert request.space["start"] == (date(2020, 1, 1),)
    assert request.space["symbols"] == (("A", "B"),)
    assert request.space["params.window"] == (3, 4)
    assert request.space["initial_cash"] == (100.0, 200.0)


def test_a_sweep_survives_the_way_through_json() -> None:
    request = _sweep(
        space={
            "params.fast": IntRange(5, 50, 5),
            "params.share": FloatRange(1, 5),
            "params.scale": FloatRange(0.001, 1, log=True),
            "params.step": FloatRange(0.1, 0.5, step=0.1),
            "start": [None, "2020-01-01", "2020-01-01T09:30"],
            "params.flag": [True, False],
        },
        search="sobol",
        trials=64,
        where=["trades>=30"],
    )
    again = SweepRequest(**json.loads(request.canonical_json()))
    assert again == request
    assert again.digest() == request.digest()
    assert SweepRequest.model_validate_json(request.model_dump_json()) == request
    whole = json.loads(
        request.canonical_json().replace("1.0", "1").replace("5.0", "5")
    )  # as JavaScript writes
    assert SweepRequest(**whole) == request


def test_the_digest_is_that_of_sorted_json_whatever_the_order_of_the_space() -> None:
    one = _sweep(space={"params.fast": [1], "fee_bps": [2]})
    other = _sweep(space={"fee_bps": [2], "params.fast": [1]}, where=[])
    assert one.digest() == other.digest() == hashlib.sha256(one.canonical_json().encode()).hexdigest()
    assert one.digest() != _sweep(space={"fee_bps": [2], "params.fast": [1]}, seed=1).digest()
    assert list(one.space) == list(other.space) == ["fee_bps", "params.fast"]


def test_a_sweep_cannot_be_changed() -> None:
    with pytest.raises(Exception, match="frozen"):
        _sweep().seed = 3  # type: ignore[misc]  # which is the point


def test_a_range_has_both_ends() -> None:
    span = IntRange(5, 50, step=5)
    assert [span.at(place) for place in range(span.count)] == [5, 10, 15, 20, 25, 30, 35, 40, 45, 50]
    assert IntRange(7, 7).count == 1
    assert IntRange(0, 10, step=4).count == 3  # 0, 4, 8


def test_a_range_of_floats_steps_in_decimals() -> None:
    span = FloatRange(0.1, 0.5, step=0.1)
    assert span.count == 5
    assert [span.at(place) for place in range(5)] == [0.1, 0.2, 0.3, 0.4, 0.5]  # 0.1 + 2 * 0.1 is no 0.3
    assert FloatRange(0, 1).count is None


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: IntRange(5, 4), r"high \(4\) is below low \(5\)"),
        (lambda: IntRange(5, 40, step=0), "step: .*greater than or equal to 1, not 0"),
        (lambda: IntRange(5, 4.5), "high: "),  # type: ignore[arg-type]  # which is the point
        (lambda: IntRange(0, 2**62), "a range has at most 1,000,000,000; take a larger step"),
        (lambda: IntRange(0, True), "high: write a number"),
        (lambda: FloatRange(0, float("inf")), "high: .*finite"),
        (lambda: FloatRange(0, 1, step=-1), "step: .*greater than 0, not -1"),
        (lambda: FloatRange(0, 1, log=True), "low should be more than 0 with log"),
        (lambda: FloatRange(1, 2, step=1, log=True), "leave out either step or log"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused(make: Any, says: str) -> None:
    with pytest.raises(RequestInvalid, match=says):
        make()


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("trades >= 30", 30.0, True),
        ("trades>30", 30.0, False),
        (" max_drawdown  <=  0.4 ", 0.4, True),
        ("max_drawdown < 0.4", 0.4, False),
        ("trades == 3", 3.0, True),
        ("trades != 3", 3.0, False),
        ("trades != 3", float("nan"), False),
        ("sharpe >= -1e3", float("nan"), False),
    ],
)
def test_a_condition_compares_a_metric_with_a_number(text: str, value: float, holds: bool) -> None:
    condition = MetricCondition.parse(text)
    assert bool(condition.holds(value)) is holds
    assert condition.holds(np.array([value, np.nan])).tolist() == [holds, False]
    assert MetricCondition.parse(str(condition)) == condition


def test_conditions_are_written_out_once() -> None:
    assert _sweep(where=["trades>=30", "trades >= 30.0", "sharpe>1.5"]).where == (
        "trades >= 30",
        "sharpe > 1.5",
    )


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([None, 0.02, 0.05], "none, 0.02, 0.05"),
        ([["AAPL"], ["AAPL", "MSFT"]], "AAPL, AAPL+MSFT"),
        (list(range(7)), "0 to 6, 7 values"),
        (IntRange(5, 50).to_dict(), "5 to 50"),
        (IntRange(5, 50, step=5).to_dict(), "5 to 50 by 5"),
        (FloatRange(0.1, 0.5, step=0.1).to_dict(), "0.1 to 0.5 by 0.1"),
        (FloatRange(1, 50, log=True).to_dict(), "1.0 to 50.0 (log)"),
        (["x" * 1_000], "x" * 60),
    ],
)
def test_values_are_written_for_people(values: Any, text: str) -> None:
    assert written_values(values) == text
