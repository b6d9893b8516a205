"""What the index keeps of a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline.results.index_rows import listed
from backtest_pipeline.results.manifest_index import ManifestIndex, Row
from backtest_pipeline.results.task_filter import Order, TaskFilter
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import OTHER, TASK, publish, rewrite, wandering


def _rows(data_root: Path, wanted: TaskFilter | None = None, order: Order | None = None) -> list[Row]:
    return ManifestIndex(Layout(data_root)).find(wanted or TaskFilter(), order or Order()).rows


def test_the_span_is_what_was_asked_for_as_far_as_there_were_candles(tmp_path: Path) -> None:
    wandering_200_days = wandering(start="2020-01-01", bars=200)  # the last one opens on 2020-07-18
    publish(tmp_path, wandering_200_days, request={"start": "2020-03-01", "end": "2031-01-01"})
    [row] = _rows(tmp_path, TaskFilter(first_day="2020-03-01", last_day="2020-07-18"))
    assert (row["first_day"], row["last_day"]) == ("2020-03-01", "2020-07-18")
    assert _rows(tmp_path, TaskFilter(first_day="2020-03-02")) == []
    assert _rows(tmp_path, TaskFilter(last_day="2020-07-17")) == []


def test_a_sweep_says_how_many_trials_it_had_and_how_good_its_best_is(tmp_path: Path) -> None:
    publish(tmp_path, wandering())
    publish(tmp_path, wandering(), task_id=OTHER)

    def searched(manifest: dict[str, Any]) -> None:
        manifest |= {"kind": "sweep", "metrics": {"sharpe": 9.0}}
        manifest["request"] = {"backtest": manifest["request"], "objective": "sharpe"}
        manifest["summary"]["trials"] = {"completed": 70, "invalid": 20, "failed": 10, "ranked": 65}

    rewrite(tmp_path, searched)
    for by in ("trials", "best_objective"):  # which a backtest has not
        for descending in (False, True):
            sweep, backtest = _rows(tmp_path, order=Order(by, descending=descending))
            assert (sweep["task_id"], backtest["task_id"]) == (TASK, OTHER)
    assert (sweep["trials"], sweep["ranked"]) == (100, 65)  # 70 + 20 + 10 were tried
    assert (sweep["objective"], sweep["best_objective"]) == ("sharpe", 9.0)
    assert [row["task_id"] for row in _rows(tmp_path, TaskFilter(kind="sweep"))] == [TASK]


def test_a_sweep_is_found_by_the_names_that_it_varies(tmp_path: Path) -> None:
    publish(tmp_path, wandering())
    publish(tmp_path, wandering(), task_id=OTHER)

    def searched(manifest: dict[str, Any]) -> None:
        space = {"params.fast": {"low": 5, "high": 50, "step": 5}, "stop_loss_frac": [None, 0.05]}
        manifest |= {"kind": "sweep", "params": {"slow": 8}}
        manifest["request"] = {"backtest": manifest["request"], "objective": "sharpe", "space": space}

    rewrite(tmp_path, searched)
    [row] = _rows(tmp_path, TaskFilter(varied=("fast",)))
    assert row["task_id"] == TASK
    assert listed(row["space"]) == ["fast: 5 to 50 by 5", "stop_loss_frac: none, 0.05"]
    for found in (("params.fast",), ("stop_loss_frac", "fast")):
        assert [row["task_id"] for row in _rows(tmp_path, TaskFilter(varied=found))] == [TASK]
    for missed in (("slow",), ("fas",), ("fast", "slow")):
        assert _rows(tmp_path, TaskFilter(varied=missed)) == []


@pytest.mark.parametrize(
    "spoiled",
    [
        {"kind": "<b>"},
        {"status": "<b>"},
        {"duration_ms": "long"},
        {"metrics": {"sharpe": 10**400}},
        {"summary": {"trials": {"completed": "many"}}},
        {"candles": [{"symbol": "ACME"}]},
    ],
)
def test_a_manifest_that_makes_no_sense_is_passed_over_and_stops_no_other(
    tmp_path: Path, spoiled: dict[str, Any]
) -> None:
    publish(tmp_path, wandering())
    publish(tmp_path, wandering(), task_id=OTHER)
    rewrite(tmp_path, lambda manifest: manifest.update(spoiled))
    assert [row["task_id"] for row in _rows(tmp_path)] == [OTHER]


@pytest.mark.parametrize("odd", [{"timeframe": {"of": 1}}, {"user": ["x"]}, {"duration_ms": 2**80}])
def test_an_odd_value_is_kept_as_the_text_or_number_that_the_table_has(
    tmp_path: Path, odd: dict[str, Any]
) -> None:
    publish(tmp_path, wandering())
    rewrite(tmp_path, lambda manifest: manifest.update(odd))
    assert [row["task_id"] for row in _rows(tmp_path)] == [TASK]
