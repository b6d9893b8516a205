"""Which combination a trial has: by its number and the request alone."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import qmc

from backtest_pipeline import BacktestRequest, FloatRange, IntRange, SweepRequest
from backtest_pipeline.research.search.kinds import batch_end, search_of
from backtest_pipeline.research.search.tpe import BATCH_TRIALS
from backtest_pipeline.research.space import Points, Space

MIXED: dict[str, Any] = {
    "params.fast": IntRange(5, 50, step=15),
    "params.share": FloatRange(0.1, 0.5, step=0.2),
    "direction": ["long", "both"],
    "start": [None, "2020-01-01"],
    "symbols": [["A"], ["A", "B"]],
}
ENDLESS: dict[str, Any] = {
    "params.share": FloatRange(-2, 3),
    "params.scale": FloatRange(0.001, 1_000, log=True),
    "params.window": IntRange(1, 7),
    "fill": ["next_open", "close"],
    "fee_bps": [0, 5, 10],
}


def _sweep(space: dict[str, Any], search: str, trials: int | None = None, **changes: Any) -> SweepRequest:
    backtest = BacktestRequest(strategy="sma_cross", symbols=["A"])
    return SweepRequest(backtest=backtest, space=space, search=search, trials=trials, **changes)


def _values(request: SweepRequest, points: Points) -> list[dict[str, Any]]:
    space = Space.of(request.space)
    return [space.values(points, row) for row in range(len(points))]


def _same(left: Points, right: Points) -> bool:
    return left.first == right.first and all(
        np.array_equal(left.places[key], right.places[key]) for key in left.places
    )


def test_a_grid_goes_through_all_combinations_like_nested_loops_over_the_sorted_names() -> None:
    request = _sweep(MIXED, "grid")
    search = search_of(request)
    listed: dict[str, list[Any]] = {
        "direction": ["long", "both"],
        "params.fast": [5, 20, 35, 50],
        "params.share": [0.1, 0.3, 0.5],
        "start": list(request.space["start"]),
        "symbols": [("A",), ("A", "B")],
    }
    expected = [dict(zip(listed, one, strict=True)) for one in itertools.product(*listed.values())]
    assert search.trials == len(expected) == 2 * 4 * 3 * 2 * 2
    assert _values(request, search.points(0, search.trials)) == expected
    assert _values(request, search.points(17, 23)) == expected[17:23]


def test_the_last_of_ten_million_combinations_is_found_without_those_before() -> None:
    request = _sweep({"params.a": IntRange(1, 10_000), "params.b": IntRange(1, 1_000)}, "grid")
    [last] = _values(request, search_of(request).points(9_999_999, 10_000_000))
    assert last == {"params.a": 10_000, "params.b": 1_000}


@pytest.mark.parametrize("search", ["random", "sobol"])
def test_a_trial_is_the_same_however_trials_are_cut(search: str) -> None:
    request = _sweep(ENDLESS, search, 1_000, seed=-3)
    whole = search_of(request).points(0, 1_000)
    again = search_of(request)
    for start, stop in [(0, 1), (1, 17), (990, 1_000), (400, 700), (0, 1_000)]:
        assert _same(whole.slice(start, stop), again.points(start, stop))
    longer = search_of(_sweep(ENDLESS, search, 2_000, seed=-3))
    assert _same(whole, longer.points(0, 1_000))
    assert not _same(whole, search_of(_sweep(ENDLESS, search, 1_000, seed=3)).points(0, 1_000))


def test_random_values_are_spread_as_their_ranges_say() -> None:
    request = _sweep(ENDLESS, "random", 40_000)
    values = _values(request, search_of(request).points(0, 40_000))
    windows = np.bincount([one["params.window"] for one in values], minlength=8)
    expected = 40_000 / 7
    chi_squared = ((windows[1:] - expected) ** 2 / expected).sum()
    assert windows[0] == 0
    assert chi_squared < 22.46  # 6 degrees of freedom, 1 in 1,000
    shares = np.array([one["params.share"] for one in values])
    assert shares.min() >= -2
    assert shares.max() <= 3
    assert abs(shares.mean() - 0.5) < 4 * 5 / math.sqrt(12 * 40_000)  # four standard errors
    scales = np.array([one["params.scale"] for one in values])
    below_one = np.count_nonzero(scales < 1) / 40_000  # the middle of three decades either way
    assert abs(below_one - 0.5) < 4 * 0.5 / math.sqrt(40_000)
    independent = np.corrcoef(shares, np.log(scales))[0, 1]
    assert abs(independent) < 4 / math.sqrt(40_000)


def test_sobol_points_are_scipys_own() -> None:
    request = _sweep(ENDLESS, "sobol", 64, seed=5)
    values = _values(request, search_of(request).points(0, 64))
    uniform = qmc.Sobol(5, scramble=True, rng=np.random.default_rng([5, 0])).random(64)
    names = sorted(ENDLESS)
    for one, row in zip(values, uniform, strict=True):
        shares = dict(zip(names, row, strict=True))
        assert one["params.window"] == 1 + int(shares["params.window"] * 7)
        assert one["fee_bps"] == [0, 5, 10][int(shares["fee_bps"] * 3)]
        assert one["fill"] == ["next_open", "close"][int(shares["fill"] * 2)]
        assert one["params.share"] == pytest.approx(-2 + 5 * shares["params.share"], rel=1e-12)
        assert one["params.scale"] == pytest.approx(10 ** (-3 + 6 * shares["params.scale"]), rel=1e-12)
    halves = np.array([one["params.share"] < 0.5 for one in values])
    assert np.count_nonzero(halves) == 32  # a power of two of Sobol's points fills halves evenly


@pytest.mark.parametrize("space", [MIXED, ENDLESS])
def test_points_are_read_back_from_the_columns_that_they_make(space: dict[str, Any]) -> None:
    request = _sweep(
        space | {"params.odd": [1, "one", None, 2.5, [1, 2]], "params.flag": [True, None, False]},
        "random",
        500,
    )
    places = Space.of(request.space)
    points = search_of(request).points(100, 300)
    table = pa.table({"trial": np.arange(100, 300), **places.columns(points)})
    assert _same(places.points_of(table), points)
    assert table.column("params.flag").type == pa.bool_()
    assert table.column("params.odd").type == pa.string()
    assert set(table.column("params.odd").to_pylist()) == {"1", '"one"', "null", "2.5", "[1, 2]"}


@pytest.mark.parametrize("values", [[1, 1.0, 2], [0.0, -0.0], [1, True, 1.0]])
def test_values_that_are_equal_and_not_the_same_are_told_apart_in_columns(values: list[Any]) -> None:
    """A strategy may do one thing for 1 and another for 1.0, and a row has to say which of them it had."""
    request = _sweep({"params.odd": values}, "grid")
    space, points = Space.of(request.space), search_of(request).points(0, len(values))
    table = pa.table({"trial": np.arange(len(values)), **space.columns(points)})
    found = [repr(space.values(space.points_of(table), row)["params.odd"]) for row in range(len(values))]
    assert found == [repr(value) for value in values]


def _answers(request: SweepRequest, points: Points) -> pa.Table:
    """A table of trials whose Sharpe ratio is highest at window 3 and share 1; every seventh one is none."""
    space = Space.of(request.space)
    values = _values(request, points)
    sharpe = [-abs(one["params.window"] - 3) - abs(one["params.share"] - 1) for one in values]
    numbers = np.arange(points.first, points.first + len(points))
    return pa.table(
        {
            "trial": numbers,
            "objective": pa.array(sharpe, pa.float64(), mask=numbers % 7 == 0),
            "trades": np.full(len(points), 10),
            **space.columns(points),
        }
    )


def _searched(request: SweepRequest, cuts: int) -> list[pa.Table]:
    search = search_of(request)
    tables: list[pa.Table] = []
    start = 0
    while start < search.trials:
        stop = batch_end(search, start)
        earlier = list(tables)
        for first in range(start, stop, cuts):
            points = search.points(first, min(first + cuts, stop), earlier)
            tables.append(_answers(request, points))
        start = stop
    return tables


@pytest.mark.slow
def test_tpe_chooses_the_same_however_trials_are_cut_and_after_it_was_interrupted() -> None:
    request = _sweep(ENDLESS, "tpe", 3 * BATCH_TRIALS + 20, where=["trades >= 3"])
    whole = pa.concat_tables(_searched(request, BATCH_TRIALS))
    assert pa.concat_tables(_searched(request, 7)).equals(whole)
    assert len(whole) == 170
    start = 2 * BATCH_TRIALS
    resumed = search_of(request).points(
        start, start + BATCH_TRIALS, [whole.slice(0, 30), whole.slice(30, 70)]
    )
    assert _answers(request, resumed).equals(whole.slice(start, BATCH_TRIALS))


@pytest.mark.slow
def test_tpe_comes_nearer_to_the_best() -> None:
    scores = np.array(
        pa.concat_tables(_searched(_sweep(ENDLESS, "tpe", 300), BATCH_TRIALS))["objective"].to_pylist(),
        dtype=np.float64,
    )
    assert np.nanmean(scores[-BATCH_TRIALS:]) > np.nanmean(scores[:BATCH_TRIALS]) + 1


def test_tpe_says_so_when_results_are_missing() -> None:
    request = _sweep(ENDLESS, "tpe", 200)
    search = search_of(request)
    first = _answers(request, search.points(0, 50))
    with pytest.raises(ValueError, match="trial 100 is chosen by the results of all before it"):
        search.points(100, 150, [first])
