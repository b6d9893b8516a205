"""What a sweep's report says of all trials, against pandas that holds them all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from backtest_pipeline import FloatRange, IntRange, SweepRequest
from backtest_pipeline.model.metric_catalog import facts_of
from backtest_pipeline.model.space_values import as_json
from backtest_pipeline.reports.sweep_axes import SweepAxis, fitting_bins, value_text
from backtest_pipeline.reports.sweep_grids import TrialGrid
from backtest_pipeline.reports.sweep_neighbourhood import Neighbourhood
from backtest_pipeline.reports.sweep_summary import MAIN_METRICS, SweepSummary, summarised
from backtest_pipeline.research.kernel_arrays import FIGURES
from backtest_pipeline_tests.reports.made_sweep import noise, source_of, sweep_of, table_of

SPACES: dict[str, dict[str, Any]] = {
    "grid": {
        "params.fast": IntRange(2, 20, step=3),
        "params.slow": [30, 10, 20],
        "stop_loss_frac": [None, 0.02, 0.05],
        "direction": ["long", "both"],
    },
    "many values": {"params.fast": IntRange(2, 120), "fee_bps": FloatRange(0, 3, step=1.5)},
    "drawn": {
        "params.fast": IntRange(2, 500),
        "fee_bps": FloatRange(0, 20),
        "stop_loss_frac": FloatRange(0.001, 0.1, log=True),
        "symbols": [["A"], ["A", "B"]],
        "params.slow": [10, 20.5, "x", None, True],
    },
}


def _request(which: str, **fields: Any) -> SweepRequest:
    drawn: dict[str, Any] = {"search": "random", "trials": 400} if which == "drawn" else {}
    return sweep_of(SPACES[which], where=["trades >= -0.5"], **drawn, **fields)


def _errors(trials: int) -> dict[int, tuple[str, str]]:
    return {row: ("invalid" if row % 2 else "failed", f"because of {row % 3}") for row in range(0, trials, 7)}


@pytest.fixture(params=SPACES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[SweepRequest, pd.DataFrame, SweepSummary]:
    """A sweep, its rows in pandas, and what the report makes of them."""
    asked = _request(request.param)
    plain = table_of(asked)
    table = table_of(asked, errors=_errors(len(plain)))
    summary = summarised(source_of(tmp_path, asked, table), asked)
    return asked, table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get), summary


def _bin_of(axis: SweepAxis, bins: int, cell: Any) -> int:
    """The slow way: look through all labels' values one by one."""
    values = axis.values
    if axis.count is None:
        low, high = values.low, values.high  # type: ignore[union-attr]  # a range
        share = math.log(cell / low) / math.log(high / low) if values.log else (cell - low) / (high - low)  # type: ignore[union-attr]  # as above
        return min(int(share * bins), bins - 1)
    every = list(values) if isinstance(values, tuple) else [values.at(place) for place in range(axis.count)]
    if isinstance(values, tuple) and all(type(one) in {int, float} for one in every):
        every = sorted(every)
    kinds = {type(one) for one in every if one is not None}
    written = [as_json(one) for one in every]
    if not (kinds <= {bool} or kinds <= {int, float} or kinds <= {str}):
        written = [json.dumps(one, sort_keys=True) for one in written]
    cell = None if pd.isna(cell) else cell
    width = -(-axis.count // bins)
    return written.index(cell) // width


def _cells(grid: TrialGrid, summary: SweepSummary, rows: pd.DataFrame) -> pd.Series:
    at = pd.Series(0, index=rows.index)
    for name, size in zip(grid.names, grid.sizes, strict=True):
        axis = summary.axes[name]
        at = at * size + rows[axis.key].map(
            lambda cell, axis=axis, size=size: _bin_of(axis, size, cell), na_action=None
        )
    return at.astype("int64")


def test_every_grid_counts_averages_and_finds_the_best_as_pandas_does(
    made: tuple[SweepRequest, pd.DataFrame, SweepSummary],
) -> None:
    _, rows, summary = made
    assert len(summary.pairs) == math.comb(len(summary.axes), 2)
    for grid in [*summary.pairs, summary.cube]:
        cell = _cells(grid, summary, rows)
        count = cell.value_counts()
        done = rows[rows["state"] == "completed"]
        order = rows.assign(
            place=rows["rank"].fillna(10**6).astype(float) + (rows["state"] != "completed") * 10**7
        ).sort_values(["place", "trial"])
        best = order.groupby(cell.loc[order.index])["trial"].first()
        for at in range(len(grid.count)):
            assert grid.count[at] == count.get(at, 0)
            assert grid.best[at] == best.get(at, -1)
        assert grid.completed.sum() == len(done)
        for name in summary.metrics:
            wanted = done[name].astype(float).groupby(cell.loc[done.index]).mean()
            means = pd.Series(grid.mean(name)).dropna()
            pd.testing.assert_series_equal(means, wanted.dropna(), check_names=False, check_index_type=False)


def test_the_objective_along_a_name_is_as_pandas_has_it(
    made: tuple[SweepRequest, pd.DataFrame, SweepSummary],
) -> None:
    asked, rows, summary = made
    scored = rows[(rows["state"] == "completed") & rows["objective"].notna()]
    assert summary.survey.scored == len(scored)
    assert summary.survey.median == pytest.approx(scored["objective"].median())
    for name, (axis, own) in enumerate(zip(summary.axes, summary.by_name, strict=True)):
        bins = len(own.best)
        bin_of = scored[axis.key].map(
            lambda cell, axis=axis, bins=bins: _bin_of(axis, bins, cell), na_action=None
        )
        ranked = scored[scored["rank"].notna()]
        assert own.spread.sum() == len(scored)
        for at in range(bins):
            own_rows = scored[bin_of == at]
            assert own.spread[at].sum() == len(own_rows)
            assert own.mean[at] == pytest.approx(own_rows["objective"].mean(), nan_ok=True)
            best = ranked[bin_of.loc[ranked.index] == at]["objective"].max()
            assert own.best[at] == pytest.approx(best, nan_ok=True)
        whole = ((scored["objective"] - scored["objective"].mean()) ** 2).sum()
        few = scored[axis.key].map(lambda cell, axis=axis: _bin_of(axis, axis.bins(20), cell), na_action=None)
        groups = scored["objective"].groupby(few)
        between = (groups.size() * (groups.mean() - scored["objective"].mean()) ** 2).sum()
        assert summary.survey.effects[name] == pytest.approx(between / whole)
    inside = np.histogram(scored["objective"], summary.survey.edges)[0]
    assert summary.survey.counts.tolist() == inside.tolist()
    assert summary.crossed == sorted(range(len(summary.axes)), key=lambda at: -summary.survey.effects[at])
    assert asked.objective == summary.metrics[0]


def test_listed_trials_have_the_values_and_metrics_of_their_rows(
    made: tuple[SweepRequest, pd.DataFrame, SweepSummary],
) -> None:
    _, rows, summary = made
    listed = summary.listed
    assert {1, 2, 3} <= set(listed.rank.tolist())
    for at, trial in enumerate(listed.trial.tolist()):
        row = rows.iloc[trial]
        assert listed.rank[at] == (0 if pd.isna(row["rank"]) else row["rank"])
        assert listed.errors.get(at) == (row["error"] if isinstance(row["error"], str) else None)
        for name in summary.metrics:
            assert listed.metrics[name][at] == pytest.approx(
                float(row[name] if row[name] is not pd.NA else math.nan), nan_ok=True
            )
        for axis in summary.axes:
            value = axis.value(listed.places[axis.key][at])
            cell = None if pd.isna(row[axis.key]) else row[axis.key]
            assert value == cell or json.dumps(value, sort_keys=True) == cell
            if not isinstance(axis.values, tuple):
                assert axis.numbers(listed.places[axis.key][at : at + 1]).tolist() == [value]


def _around(tmp_path: Path, winner: dict[str, Any], **fields: Any) -> tuple[Neighbourhood, pd.DataFrame]:
    """A sweep with a planted winner and the mean that pandas finds around it."""
    asked = sweep_of(
        {"params.fast": IntRange(2, 20), "params.slow": [30, 10, 20], "direction": ["long", "both"]}, **fields
    )
    rows = table_of(asked).to_pandas()
    at = rows[np.logical_and.reduce([rows[key] == value for key, value in winner.items()])].index[0]

    def planted(trials: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        figures = noise(missing=0.0)(trials)
        figures[at, FIGURES.index("sharpe")] = 9.0
        return figures

    table = table_of(asked, planted, {int(at) + 1: ("invalid", "no")})
    summary = summarised(source_of(tmp_path, asked, table), asked)
    assert summary.neighbourhood is not None
    return summary.neighbourhood, table.to_pandas()


def test_neighbours_are_one_step_away_in_ordered_names_and_equal_in_others(tmp_path: Path) -> None:
    found, rows = _around(tmp_path, {"params.fast": 7, "params.slow": 20, "direction": "long"})
    near = rows[
        rows["params.fast"].isin([6, 7, 8])
        & rows["params.slow"].isin([10, 20, 30])
        & (rows["direction"] == "long")
    ]
    known = near[(near["sharpe"] != 9.0) & (near["state"] == "completed")]["sharpe"]
    assert (found.neighbours, found.others) == (len(known), len(near) - 1 - len(known))
    assert found.mean == pytest.approx(known.mean())
    assert found.worst == pytest.approx(known.min())
    scored = rows["sharpe"].dropna()
    assert found.kept == pytest.approx((known.mean() - scored.median()) / (9.0 - scored.median()))
    assert found.shape == "spike"


def test_in_a_corner_there_are_fewer_neighbours(tmp_path: Path) -> None:
    found, _ = _around(tmp_path, {"params.fast": 2, "params.slow": 10, "direction": "both"})
    assert found.neighbours + found.others == 3  # of 2 by 2, the winner itself left out


@pytest.mark.parametrize(
    ("mean", "shape"), [(9.0, "plateau"), (8.0, "plateau"), (6.0, "slope"), (4.0, "spike"), (-1.0, "spike")]
)
def test_a_plateau_keeps_the_winner_s_lead(mean: float, shape: str) -> None:
    found = _neighbours(winner=10.0, mean=mean, median=0.0, more_is_better=True)
    assert found.kept == mean / 10
    assert found.shape == shape


def test_less_is_better_works_the_same_way() -> None:
    found = _neighbours(winner=0.1, mean=0.14, median=0.5, more_is_better=False)
    assert found.kept == pytest.approx(0.36 / 0.4)
    assert found.shape == "plateau"


@pytest.mark.parametrize(
    ("winner", "mean", "more_is_better"), [(0.5, 0.2, True), (1.0, 0.2, True), (0.5, 0.8, False)]
)
def test_a_winner_that_leads_nobody_has_no_plateau(winner: float, mean: float, more_is_better: bool) -> None:
    """A median of 1.0, or 0.4 where less is better: the better trials break a condition and do not rank."""
    median = 1.0 if more_is_better else 0.4
    found = _neighbours(winner=winner, mean=mean, median=median, more_is_better=more_is_better)
    assert found.kept is None
    assert found.shape == "behind"


def _neighbours(*, winner: float, mean: float, median: float, more_is_better: bool) -> Neighbourhood:
    return Neighbourhood(winner, 8, 0, mean, worst=mean, median=median, more_is_better=more_is_better)


def test_a_search_that_draws_looks_within_a_twentieth(tmp_path: Path) -> None:
    asked = sweep_of(
        {"fee_bps": FloatRange(0, 20), "params.fast": IntRange(1, 401)}, search="sobol", trials=512
    )
    table = table_of(asked)
    rows = table.to_pandas()
    winner = rows[rows["rank"] == 1].iloc[0]
    near = rows[
        ((rows["fee_bps"] - winner["fee_bps"]).abs() <= 20 * 0.05)
        & ((rows["params.fast"] - winner["params.fast"]).abs() <= 400 * 0.05)
        & (rows["trial"] != winner["trial"])
    ]
    found = summarised(source_of(tmp_path, asked, table), asked).neighbourhood
    assert found is not None
    assert found.neighbours + found.others == len(near) > 0
    assert found.mean == pytest.approx(near["sharpe"].mean())


EDGES: dict[str, tuple[SweepRequest, str]] = {
    "one value": (sweep_of({"params.fast": [5]}), "all"),
    "one name": (sweep_of({"params.fast": IntRange(2, 90)}), "all"),
    "fields alone": (
        sweep_of({"timeframe": ["1h", "1d"], "symbols": [["A"], ["A", "B"]], "start": [None, "2015-03-01"]}),
        "all",
    ),
    "truth values, texts and nothing": (
        sweep_of({"params.a": [True, False], "params.b": [None, ""], "params.c": [[], [1, 2], {"x": 1}]}),
        "all",
    ),
    "no objective at all": (sweep_of({"params.fast": IntRange(2, 9), "params.slow": [1, 2]}), "none"),
    "none ranks": (sweep_of({"params.fast": IntRange(2, 9)}, where=["trades > 1000"]), "all"),
    "all invalid but one": (sweep_of({"params.fast": IntRange(2, 9), "params.slow": [1, 2]}), "one"),
    "very large": (sweep_of({"params.fast": IntRange(2, 9), "params.slow": [1, 2]}), "large"),
    "all the same": (sweep_of({"params.fast": IntRange(2, 9), "params.slow": [1, 2]}), "same"),
}


def edge_table(which: str) -> tuple[SweepRequest, pa.Table]:
    """A sweep at the edge of what there is, and its rows."""
    asked, kind = EDGES[which]
    trials = asked.planned_trials
    errors = {row: ("invalid", "does not fit") for row in range(trials) if row != 3} if kind == "one" else {}

    def figures(count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        made = noise(missing=0.0)(count)
        if kind == "none":
            made[:, FIGURES.index("sharpe")] = np.nan
        if kind == "large":
            large = [at for at, name in enumerate(FIGURES) if facts_of(name).unit != "count"]
            made[:, large] *= 1e200  # as a good bar or two that are annualised
        return np.full_like(made, 0.5) if kind == "same" else made

    return asked, table_of(asked, figures, errors)


@pytest.mark.parametrize("which", EDGES)
def test_sweeps_at_the_edge_are_summarised(which: str, tmp_path: Path) -> None:
    asked, table = edge_table(which)
    summary = summarised(source_of(tmp_path, asked, table), asked)
    assert summary.survey.trials == len(table) == summary.cube.count.sum()
    assert summary.survey.ranked == len(table) - table.column("rank").null_count
    assert (summary.survey.winner is None) == (summary.survey.ranked == 0) == (summary.neighbourhood is None)
    assert np.all(np.diff(summary.survey.edges) > 0)
    assert len(summary.pairs) == math.comb(len(asked.space), 2)
    assert set(np.unique(summary.cube.best)) - {-1} <= set(summary.listed.trial.tolist())


def test_many_names_and_values_keep_grids_small(tmp_path: Path) -> None:
    space = {f"params.p{place}": IntRange(1, 1_000) for place in range(12)}
    asked = sweep_of(space, search="random", trials=300)
    summary = summarised(source_of(tmp_path, asked, table_of(asked)), asked)
    assert len(summary.crossed) == 8
    assert sum(len(grid.count) for grid in summary.pairs) <= 8_000
    assert len(summary.cube.count) <= 6_000
    assert set(MAIN_METRICS) <= set(summary.metrics)
    assert len(summary.by_name) == 12


def test_axes_with_few_values_keep_them_all() -> None:
    axes = [
        SweepAxis.of("a", IntRange(1, 100)),
        SweepAxis.of("b", (None, 1, 2)),
        SweepAxis.of("c", IntRange(1, 100)),
    ]
    sizes = fitting_bins(axes, 40, 1_000)
    assert sizes[1] == 3
    assert math.prod(sizes) <= 1_000
    assert [axis.bins(size) for axis, size in zip(axes, sizes, strict=True)] == sizes


@pytest.mark.parametrize(
    ("values", "bins", "labels"),
    [
        (IntRange(5, 9), 40, ["5", "6", "7", "8", "9"]),
        (IntRange(1, 10), 4, ["1 to 3", "4 to 6", "7 to 9", "10"]),
        ((30, 10, 20), 40, ["10", "20", "30"]),
        ((None, 0.05, 0.02), 40, ["none", "0.05", "0.02"]),
        ((True, False), 40, ["yes", "no"]),
        ((("A",), ("A", "B")), 40, ["A", "A+B"]),
        (("", "x" * 80), 40, ['""', "x" * 59 + "…"]),
        (FloatRange(0.1, 0.3, step=0.1), 40, ["0.1", "0.2", "0.3"]),
        (FloatRange(1, 100, log=True), 2, ["1 to 10", "10 to 100"]),
    ],
)
def test_bins_say_what_they_hold(values: Any, bins: int, labels: list[str]) -> None:
    axis = SweepAxis.of("x", values)
    assert axis.labels(axis.bins(bins)) == labels


def test_values_are_written_as_they_are_asked_for() -> None:
    values: list[Any] = [None, True, 0.30000000000000004, [], {"a": 1}]
    assert [value_text(one) for one in values] == [
        "none", "yes", "0.30000000000000004", "[]", '{"a": 1}',
    ]  # fmt: skip
