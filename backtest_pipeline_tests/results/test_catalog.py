"""The table of all results, made of their manifests."""

from __future__ import annotations

import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline.model.manifest import Timestamps
from backtest_pipeline.results.catalog import COLUMNS, Wanted, read_catalog, results_frame
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import OTHER, TASK, publish, rewrite, wandering

DAY = datetime(2026, 1, 2, tzinfo=UTC)


def _frame(data_root: Path, **wanted: Any) -> pd.DataFrame:
    return results_frame(read_catalog(Layout(data_root), Wanted(**wanted)))


def _two_tasks(data_root: Path) -> None:
    publish(data_root, wandering(), request={"labels": {"desk": "fx"}, "start": "2020-01-01"})
    publish(
        data_root,
        wandering("AAA"),
        wandering("BBB", seed=2),
        task_id=OTHER,
        request={"strategy": "momentum", "params": {"window": 20}, "labels": {"book": "b"}},
        timestamps=Timestamps(
            submitted_at=DAY.replace(day=3), started_at=None, finished_at=DAY.replace(day=4), expires_at=None
        ),
    )


def test_there_is_a_row_a_task_with_what_was_asked_and_what_came_out(tmp_path: Path) -> None:
    _two_tasks(tmp_path)
    frame = _frame(tmp_path)
    assert list(frame.index) == [TASK, OTHER]
    assert frame.index.name == "task_id"
    assert tuple(frame.columns[: len(COLUMNS)]) == COLUMNS
    one, two = frame.loc[TASK], frame.loc[OTHER]
    assert (one["status"], one["strategy"], one["symbols"], one["timeframe"]) == (
        "completed", "sma_cross", "ACME", "1d",
    )  # fmt: skip
    assert (one["start"], one["end"]) == ("2020-01-01", None)
    assert two["symbols"] == "AAA,BBB"
    assert two["submitted_at"] == pd.Timestamp("2026-01-03", tz="UTC")
    assert two["finished_at"] == pd.Timestamp("2026-01-04", tz="UTC")
    assert (one["label.desk"], two["label.book"]) == ("fx", "b")
    assert pd.isna(one["label.book"])
    assert (one["param.fast"], one["param.slow"], two["param.window"]) == (3, 8, 20)


def test_every_metric_is_a_column_of_floats_with_the_manifests_values(tmp_path: Path) -> None:
    _two_tasks(tmp_path)
    frame = _frame(tmp_path)
    for task_id in (TASK, OTHER):
        told = json.loads(Layout(tmp_path).manifest(task_id).read_text())["metrics"]
        assert all(frame[name].dtype == np.float64 for name in told)
        found = {name: frame.loc[task_id, name] for name in told}
        assert {name: None if pd.isna(value) else value for name, value in found.items()} == told


@pytest.mark.parametrize(
    ("wanted", "tasks"),
    [
        ({}, [TASK, OTHER]),
        ({"state": "completed"}, [TASK, OTHER]),
        ({"state": "failed"}, []),
        ({"strategy": "momentum"}, [OTHER]),
        ({"symbol": "BBB"}, [OTHER]),
        ({"symbol": "BB"}, []),
        ({"labels": {"desk": "fx"}}, [TASK]),
        ({"labels": {"desk": "fx", "book": "b"}}, []),
        ({"since": DAY.replace(day=3)}, [OTHER]),
        ({"until": DAY.replace(hour=12)}, [TASK]),
        ({"since": DAY.replace(day=5)}, []),
    ],
)
def test_tasks_are_found_by_what_they_are(tmp_path: Path, wanted: dict[str, Any], tasks: list[str]) -> None:
    _two_tasks(tmp_path)
    frame = _frame(tmp_path, **wanted)
    assert list(frame.index) == tasks
    assert set(COLUMNS) <= set(frame.columns)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"\xff",
        b'{"schema_version": 2}',
        b'{"schema_version": 1, "task_id": "another"}',
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_told_and_keeps_nobody_from_the_rest(tmp_path: Path, content: bytes) -> None:
    _two_tasks(tmp_path)
    Layout(tmp_path).manifest(OTHER).write_bytes(content)
    frame = _frame(tmp_path)
    assert list(frame.index) == [TASK]
    assert list(frame.attrs["unreadable"]) == [OTHER]


@pytest.mark.parametrize(
    "change",
    [
        lambda of: of.pop("metrics"),
        lambda of: of.update(params=[]),
        lambda of: of["metrics"].update(sharpe="high"),
        lambda of: of.update(symbols=[1]),
        lambda of: of["timestamps"].update(finished_at="soon"),
        lambda of: of.pop("pinned"),
    ],
)
def test_a_manifest_that_lacks_a_column_is_told(tmp_path: Path, change: Any) -> None:
    _two_tasks(tmp_path)
    rewrite(tmp_path, change)
    frame = _frame(tmp_path)
    assert list(frame.index) == [OTHER]
    assert list(frame.attrs["unreadable"]) == [TASK]


def test_a_refused_request_with_odd_labels_is_a_row_all_the_same(tmp_path: Path) -> None:
    _two_tasks(tmp_path)
    rewrite(tmp_path, lambda of: of["request"].update(labels="none at all"))
    assert list(_frame(tmp_path).index) == [TASK, OTHER]


def test_folders_without_a_manifest_and_the_pipelines_own_are_passed_over(tmp_path: Path) -> None:
    assert _frame(tmp_path).empty
    _two_tasks(tmp_path)
    layout = Layout(tmp_path)
    layout.task(str(uuid.uuid4())).mkdir()
    (layout.tasks / "notes.txt").write_text("mine")
    staged = layout.staging(TASK)
    staged.mkdir(parents=True)
    os.link(layout.manifest(TASK), staged / "manifest.json")
    frame = _frame(tmp_path)
    assert list(frame.index) == [TASK, OTHER]
    assert frame.attrs["unreadable"] == {}


def test_no_tasks_are_an_empty_table_with_the_usual_columns(tmp_path: Path) -> None:
    frame = _frame(tmp_path)
    assert tuple(frame.columns) == COLUMNS
    assert frame["submitted_at"].dtype == pd.DatetimeTZDtype("us", "UTC")


def test_only_the_named_tasks_are_read(tmp_path: Path) -> None:
    _two_tasks(tmp_path)
    Layout(tmp_path).manifest(TASK).write_bytes(b"damaged, and nobody looks")
    catalog = read_catalog(Layout(tmp_path), task_ids=[OTHER, str(uuid.uuid4())])
    assert list(catalog.manifests) == [OTHER]
    assert catalog.unreadable == {}
