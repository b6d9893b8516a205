"""The page of a sweep: what stands first, what is in its data, and that texts stay texts."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pytest
import yaml

from backtest_pipeline import BacktestRequest, IntRange, SweepRequest
from backtest_pipeline.model.launchpad import launchpad_path
from backtest_pipeline.model.metric_catalog import shown
from backtest_pipeline.model.run_config import from_run_config, to_run_config
from backtest_pipeline.reports.charts.sweep_heatmap import best_of_cells, sweep_png
from backtest_pipeline.reports.sweep_report import sweep_report_html
from backtest_pipeline.reports.sweep_summary import summarised
from backtest_pipeline.research.trial_requests import request_of_row
from backtest_pipeline.workflows.render_sweep_report import sweep_findings, sweep_report
from backtest_pipeline_tests.reports.made import TASK
from backtest_pipeline_tests.reports.made_sweep import noise, source_of, stored, sweep_of, table_of
from backtest_pipeline_tests.reports.test_report import HOSTILE
from backtest_pipeline_tests.reports.test_sweep_summary import EDGES, edge_table

REQUEST = sweep_of(
    {"params.fast": IntRange(2, 6), "params.slow": [10, 20, 40], "stop_loss_frac": [None, 0.05]},
    where=["trades >= -9"],
    backtest=BacktestRequest(strategy="sma_cross", symbols=["A"], fee_bps=3, stop_loss_frac=0.2),
)


def _page(folder: Path, request: SweepRequest, table: pa.Table, **changes: Any) -> str:
    return sweep_report(folder, stored(folder, request, table).model_copy(update=changes)).decode()


def _data(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="sweep">(.*?)</script>', page)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def _outcome(page: str) -> str:
    found = re.search(r'id="outcome">(.*?)</p>', page)
    assert found
    return re.sub("<[^>]+>", "", found[1])


def test_the_outcome_is_said_in_a_sentence(tmp_path: Path) -> None:
    table = table_of(REQUEST, noise(missing=0.0), {4: ("invalid", "no"), 5: ("failed", "raised")})
    row = table.filter(pa.compute.equal(table.column("rank"), 1)).to_pylist()[0]
    stop = "none" if row["stop_loss_frac"] is None else "0.05"
    best = shown("sharpe", row["sharpe"])
    assert _outcome(_page(tmp_path, REQUEST, table)) == (
        "30 trials by grid: 28 completed, 1 invalid, 1 failed. 28 rank by Sharpe ratio among those with "
        f"trades &gt;= -9, more being better. The best is trial {row['trial']} with {best}: "
        f"params.fast {row['params.fast']}, params.slow {row['params.slow']}, stop_loss_frac {stop}."
    )


def test_a_winner_that_looks_ahead_is_named_before_anything_else(tmp_path: Path) -> None:
    page = _page(tmp_path, REQUEST, table_of(REQUEST), checks={"look_ahead": {"passed": False}})
    body = page.split("<body>")[1].lstrip()
    assert body.startswith('<section class="remarks alarm"><h2 data-said>The winner looks ahead')
    assert "looks ahead" not in _page(tmp_path, REQUEST, table_of(REQUEST)).split("<script")[0]


def test_each_of_the_best_can_be_launched_as_the_backtest_that_it_is(tmp_path: Path) -> None:
    table = table_of(REQUEST)
    page = _page(tmp_path, REQUEST, table)
    rows = re.findall(r'<tr data-trial="(\d+)">(.*?)</tr>', page)
    ranks = table.column("rank").to_pylist()
    assert [ranks[int(trial)] for trial, _ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == len(ranks) - ranks.count(None)
    for trial, row in rows:
        address = re.search(r'href="\.\./\.\.(/locations/.*?)\?config=(.*?)"', row)
        assert address
        assert address[1] == launchpad_path("backtest")
        config = yaml.safe_load(unquote(address[2]))
        assert from_run_config(config) == request_of_row(REQUEST, table.slice(int(trial), 1))
        assert f"backtest run --from {TASK} --trial {trial}<" in row


def test_the_script_is_given_what_was_gathered(tmp_path: Path) -> None:
    table = table_of(REQUEST)
    data = _data(_page(tmp_path, REQUEST, table))
    summary = summarised(source_of(tmp_path, REQUEST, table), REQUEST)
    assert [name["key"] for name in data["names"]] == [summary.axes[at].key for at in summary.crossed]
    assert data["trials"] == 30
    for grid, own in zip(data["pairs"], summary.pairs, strict=True):
        assert np.frombuffer(base64.b64decode(grid["count"]), "<u4").tolist() == own.count.tolist()
        mean = np.frombuffer(base64.b64decode(grid["means"][0]), "<f4")
        np.testing.assert_allclose(mean, own.mean("sharpe"), rtol=1e-6)
        best = np.frombuffer(base64.b64decode(grid["best"]), "<i4")
        assert summary.listed.trial[best].tolist() == own.best.tolist()
    equity = np.frombuffer(
        base64.b64decode(data["listed"]["metrics"][summary.metrics.index("final_equity")]), "<f8"
    )
    np.testing.assert_array_equal(equity, summary.listed.metrics["final_equity"])


@pytest.mark.parametrize("which", EDGES)
def test_sweeps_at_the_edge_have_a_page_and_a_picture(which: str, tmp_path: Path) -> None:
    asked, table = edge_table(which)
    page = _page(tmp_path, asked, table)
    ranked = len(table) - table.column("rank").null_count
    assert ("so there is no winner" in _outcome(page)) == (ranked == 0)
    assert ("No trial ranks." in page) == (ranked == 0)
    assert ('id="equity"' in page) == (ranked > 0)
    summary = summarised(source_of(tmp_path, asked, table), asked)
    assert sweep_png(summary, "sma_cross", "sharpe").startswith(b"\x89PNG")


def test_the_picture_shows_the_best_of_each_cell(tmp_path: Path) -> None:
    table = table_of(REQUEST)
    summary = summarised(source_of(tmp_path, REQUEST, table), REQUEST)
    grid = summary.pairs[0]
    across, down = (summary.axes[name] for name in grid.names)
    rows = table.to_pandas()
    values = best_of_cells(summary, grid, "sharpe")
    labels = [axis.labels(size) for axis, size in zip((across, down), grid.sizes, strict=True)]
    for x, one in enumerate(labels[0]):
        for y, other in enumerate(labels[1]):
            own = rows[_is(rows[across.key], one) & _is(rows[down.key], other) & rows["rank"].notna()]
            assert values[x, y] == pytest.approx(own["sharpe"].max(), nan_ok=True)


def _is(column: Any, label: str) -> Any:
    return column.isna() if label == "none" else column == float(label)


def test_the_same_sweep_makes_the_same_page_and_picture(tmp_path: Path) -> None:
    table = table_of(REQUEST)
    assert _page(tmp_path, REQUEST, table) == _page(tmp_path, REQUEST, table)
    summary = summarised(source_of(tmp_path, REQUEST, table), REQUEST)
    assert sweep_png(summary, "sma_cross", "sharpe") == sweep_png(summary, "sma_cross", "sharpe")


def hostile_page(folder: Path) -> str:
    """A report in which every text that users write is one that wants to be more."""
    asked = sweep_of({f"params.{HOSTILE}": [HOSTILE, None], "params.x": [[HOSTILE], {HOSTILE: HOSTILE}, 1.5]})
    table = table_of(asked, noise(missing=0.0), {0: ("failed", HOSTILE), 1: ("invalid", HOSTILE)})
    changes = {"diagnostics": [HOSTILE], "task_id": HOSTILE, "checks": {"look_ahead": {HOSTILE: HOSTILE}}}
    found = sweep_findings(folder, stored(folder, asked, table).model_copy(update=changes))
    backtest = asked.backtest.model_copy(update={"strategy": HOSTILE, "labels": {HOSTILE: HOSTILE}})
    request = asked.model_copy(update={"backtest": backtest})
    return sweep_report_html(replace(found, request=request, config=to_run_config(backtest)))


def test_texts_from_users_are_texts(tmp_path: Path) -> None:
    plain = _page(tmp_path / "plain", REQUEST, table_of(REQUEST))
    hostile = hostile_page(tmp_path / "hostile")
    for tag in ("<script", "<img", "<!--"):
        assert hostile.count(tag) == plain.count(tag)
    assert hostile.count("&lt;/script&gt;") > 10


def test_metrics_of_the_tiles_are_the_winner_s(tmp_path: Path) -> None:
    manifest = stored(tmp_path, REQUEST, table_of(REQUEST, noise(missing=0.0)))
    page = sweep_report(tmp_path, manifest).decode()
    for name in ("sharpe", "max_drawdown", "final_equity"):
        assert f'data-metric="{name}">{shown(name, manifest.metrics[name])}<' in page


def test_curves_are_those_of_the_best(tmp_path: Path) -> None:
    manifest = stored(tmp_path, REQUEST, table_of(REQUEST), equities=3)
    found = sweep_findings(tmp_path, manifest)
    assert next(iter(found.curves)) == manifest.summary.best_trial
    assert [len(curve.equity) for curve in found.curves.values()] == [60, 60, 60]
