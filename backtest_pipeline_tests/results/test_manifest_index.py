"""The index of manifests, against reading all of them each time."""

from __future__ import annotations

import itertools
import json
import os
import random
import sqlite3
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline.model.metric_condition import COMPARISONS, MetricCondition
from backtest_pipeline.results import manifest_index
from backtest_pipeline.results.catalog import read_catalog
from backtest_pipeline.results.index_rows import Look, row_of
from backtest_pipeline.results.manifest_index import ManifestIndex
from backtest_pipeline.results.task_filter import Order, TaskFilter
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline_tests.results.published import TASK, publish, wandering

SYMBOLS = ("AAPL", "AAPLX", "BTC-USD", "IBM")


def _manifest(chance: random.Random, task_id: str) -> dict[str, Any]:
    params: dict[str, Any] = {
        "fast": chance.choice([1, 10, 100]),
        "kind": chance.choice(["a", "a b", "한글"]),
    }
    labels = {"team": chance.choice(["x", "xy", "'; DROP TABLE tasks; --"])} if chance.random() < 0.7 else {}
    strategy = chance.choice(["sma_cross", "momentum", "<b>"])
    day = chance.randrange(1, 29)
    return {
        "schema_version": 1,
        "kind": chance.choice(["backtest", "sweep"]),
        "user": chance.choice([None, "ann", "b'; --"]),
        "task_id": task_id,
        "status": chance.choice(["completed", "failed", "cancelled"]),
        "strategy_id": strategy,
        "params": params,
        "symbols": chance.sample(SYMBOLS, chance.randrange(1, 3)),
        "timeframe": "1d",
        "start": chance.choice([None, "2005-01-03", "2010-06-01T09:00:00Z"]),
        "end": chance.choice([None, "2012-12-31"]),
        "request": {"strategy": strategy, "labels": labels},
        "candles": [],
        "summary": {},
        "timestamps": {
            "submitted_at": f"2026-01-{day:02d}T{chance.randrange(24):02d}:00:00.000Z",
            "finished_at": "2026-02-01T00:00:00.000Z",
        },
        "duration_ms": chance.randrange(10_000),
        "attempt": 1,
        "metrics": {"sharpe": chance.choice([None, -1.0, 0.5, 2.0]), "trades": float(chance.randrange(50))},
        "checks": {},
        "pinned": chance.random() < 0.2,
        "error": None,
    }


def _write(data_root: Path, manifest: dict[str, Any]) -> None:
    path = Layout(data_root).manifest(manifest["task_id"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest))


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    chance = random.Random(7)  # noqa: S311  made up, and the same each time
    for _ in range(300):
        task_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        _write(tmp_path, _manifest(chance, task_id))
    return tmp_path


def _all(data_root: Path) -> list[dict[str, Any]]:
    return list(read_catalog(Layout(data_root)).manifests.values())


def _slowly(manifests: list[dict[str, Any]], wanted: TaskFilter, order: Order) -> list[str]:
    """The same by looking at every manifest: obvious, and slow."""

    def has(one: dict[str, Any]) -> bool:
        day = one["timestamps"]["submitted_at"][:10]
        labels = [f"{name}={value}" for name, value in one["request"]["labels"].items()]
        params = [f"{name}={value}" for name, value in one["params"].items()]
        return (
            wanted.state in {"", one["status"]}
            and wanted.kind in {"", one["kind"]}
            and wanted.strategy in {"", one["strategy_id"]}
            and wanted.user in {"", one["user"]}
            and (not wanted.first_day or (one["start"] or "")[:10] >= wanted.first_day)
            and (not wanted.last_day or "" < (one["end"] or "") <= wanted.last_day)
            and (not wanted.symbol or wanted.symbol in one["symbols"])
            and (not wanted.since or day >= wanted.since)
            and (not wanted.until or day <= wanted.until)
            and set(wanted.labels) <= set(labels)
            and set(wanted.params) <= set(params)
            and (not wanted.pinned or one["pinned"])
            and all(
                one["metrics"][each.metric] is not None
                and COMPARISONS[each.comparison](one["metrics"][each.metric], each.number)
                for each in wanted.conditions
            )
        )

    def value(one: dict[str, Any]) -> Any:
        if order.by in one["metrics"]:
            return one["metrics"][order.by]
        if order.by == "first_day":
            return one["start"] and one["start"][:10]
        names = {"state": "status", "strategy": "strategy_id"}
        found = {**one, **one["timestamps"]}[names.get(order.by, order.by)]
        return f"\x1f{chr(31).join(found)}\x1f" if order.by == "symbols" else found

    found = sorted((one for one in manifests if has(one)), key=_id)
    known = [one for one in found if value(one) is not None]
    unknown = [one for one in found if value(one) is None]
    return [_id(one) for one in [*sorted(known, key=value, reverse=order.descending), *unknown]]


def _id(manifest: dict[str, Any]) -> str:
    return str(manifest["task_id"])


def _found(index: ManifestIndex, wanted: TaskFilter, order: Order) -> list[str]:
    page = index.find(wanted, order, limit=1_000)
    assert page.complete
    assert page.total == len(page.rows)
    return [row["task_id"] for row in page.rows]


def test_every_filter_and_order_finds_what_reading_everything_finds(data_root: Path) -> None:
    chance = random.Random(3)  # noqa: S311  as above
    index, manifests = ManifestIndex(Layout(data_root)), _all(data_root)
    fields = {
        "state": ["", "", "completed", "failed"],
        "kind": ["", "", "sweep"],
        "strategy": ["", "sma_cross", "<b>", "nothing' OR 1=1 --"],
        "symbol": ["", "", *SYMBOLS],
        "user": ["", "", "ann", "b'; --"],
        "first_day": ["", "", "2005-01-03", "2010-01-01"],
        "last_day": ["", "", "2012-12-31", "2012-12-30"],
        "since": ["", "2026-01-10"],
        "until": ["", "2026-01-20"],
        "labels": [(), (), ("team=x",), ("team='; DROP TABLE tasks; --",)],
        "params": [(), (), ("fast=1",), ("fast=10", "kind=a b"), ("kind=한글",)],
        "conditions": [(), (MetricCondition("sharpe", ">", 0.0),), (MetricCondition("trades", "<=", 25.0),)],
        "pinned": [False, False, True],
    }
    orders = ["submitted_at", "first_day", "strategy", "symbols", "state", "duration_ms", "sharpe", "trades"]
    sizes = set()
    for _ in range(400):
        wanted = TaskFilter(**{name: chance.choice(values) for name, values in fields.items()})  # type: ignore[arg-type]  # values as the fields have them
        order = Order(chance.choice(orders), descending=chance.random() < 0.5)
        found = _found(index, wanted, order)
        assert found == _slowly(manifests, wanted, order), (wanted, order)
        sizes.add(len(found))
    assert len(sizes) > 20  # the filters differ, and do not all find nothing


def test_pages_follow_one_another_without_gap_or_repetition(data_root: Path) -> None:
    index, order = ManifestIndex(Layout(data_root)), Order("trades")
    pages = [index.find(TaskFilter(), order, offset=first, limit=70) for first in range(0, 300, 70)]
    assert [len(page.rows) for page in pages] == [70, 70, 70, 70, 20]
    rows = [row["task_id"] for page in pages for row in page.rows]
    assert rows == _slowly(_all(data_root), TaskFilter(), order)


def test_pages_far_behind_the_first_are_those_of_the_same_order(
    data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_index, "_FAR", 100)
    index, manifests = ManifestIndex(Layout(data_root)), _all(data_root)
    strategy = TaskFilter(strategy="momentum")
    for wanted, by, descending in itertools.product(
        (TaskFilter(), strategy), ("sharpe", "symbols", "strategy", "first_day"), (False, True)
    ):
        order = Order(by, descending=descending)
        expected = _slowly(manifests, wanted, order)
        for offset in (70, 100, 230, 290, 300):
            page = index.find(wanted, order, offset=offset, limit=50)
            assert [row["task_id"] for row in page.rows] == expected[offset : offset + 50]
            assert page.total == len(expected)
    near, far = (index.find(TaskFilter(), Order(), offset=offset, limit=1).rows[0] for offset in (99, 100))
    assert list(near) == list(far)


def test_a_page_far_behind_the_first_sees_what_any_process_has_changed(
    data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_index, "_FAR", 100)
    order = Order("duration_ms")
    own, other = ManifestIndex(Layout(data_root)), ManifestIndex(Layout(data_root))

    def far() -> list[str]:
        return [row["task_id"] for row in own.find(TaskFilter(), order, offset=100, limit=500).rows]

    before = far()
    assert before == _slowly(_all(data_root), TaskFilter(), order)[100:]
    for looking in (own, other):  # each time, another one of those pages goes
        gone = before[0]
        Layout(data_root).task(gone).rename(data_root / f".{gone}")
        monkeypatch.setattr(own, "look_if_needed", lambda: None)  # only what the file says is to be seen
        looking.look()
        expected = _slowly(_all(data_root), TaskFilter(), order)[100:]
        assert gone not in expected
        assert far() == expected
        before = expected


def test_what_is_published_pinned_or_deleted_is_seen_at_once(tmp_path: Path) -> None:
    index = ManifestIndex(Layout(tmp_path))
    assert _found(index, TaskFilter(), Order()) == []
    publish(tmp_path, wandering())
    assert _found(index, TaskFilter(), Order()) == [TASK]
    TaskStore(tmp_path).pin(TASK, pinned=True, ttl_days=0)
    assert _found(index, TaskFilter(pinned=True), Order()) == [TASK]
    Layout(tmp_path).task(TASK).rename(tmp_path / "gone")
    assert _found(index, TaskFilter(), Order()) == []


def test_a_second_process_takes_what_the_first_has_read(
    data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ManifestIndex(Layout(data_root))
    expected = _found(first, TaskFilter(), Order())
    monkeypatch.setattr(
        "backtest_pipeline.results.manifest_index.row_of", lambda *_: pytest.fail("a manifest was read again")
    )
    assert _found(ManifestIndex(Layout(data_root)), TaskFilter(), Order()) == expected
    assert _found(first, TaskFilter(), Order()) == expected


@pytest.mark.parametrize("content", [b"", b"nothing of the kind" * 400, None])
def test_an_index_that_is_damaged_or_deleted_is_made_again(data_root: Path, content: bytes | None) -> None:
    path = data_root / ".catalog" / "tasks.sqlite"
    index = ManifestIndex(Layout(data_root))
    expected = _found(index, TaskFilter(), Order())
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert _found(index, TaskFilter(), Order()) == expected
    assert _found(ManifestIndex(Layout(data_root)), TaskFilter(), Order()) == expected
    index.close()
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM tasks").fetchone() == (300,)
    database.close()


def test_an_index_of_which_a_part_is_overwritten_is_made_again(data_root: Path) -> None:
    path = data_root / ".catalog" / "tasks.sqlite"
    index = ManifestIndex(Layout(data_root))
    expected = _found(index, TaskFilter(), Order())
    index.close()
    with path.open("r+b") as file:
        file.seek(4_096)
        file.write(os.urandom(path.stat().st_size - 4_096))
    assert _found(ManifestIndex(Layout(data_root)), TaskFilter(), Order()) == expected


def test_where_nothing_can_be_written_the_index_is_in_memory(data_root: Path) -> None:
    (data_root / ".catalog").write_text("no folder")
    index = ManifestIndex(Layout(data_root))
    assert _found(index, TaskFilter(), Order()) == _slowly(_all(data_root), TaskFilter(), Order())


def test_a_manifest_that_cannot_be_read_is_passed_over(data_root: Path) -> None:
    task_id = next(iter(read_catalog(Layout(data_root)).manifests))
    Layout(data_root).manifest(task_id).write_text('{"schema_version": 1, "task_id": [')
    found = _found(ManifestIndex(Layout(data_root)), TaskFilter(), Order())
    assert task_id not in found
    assert len(found) == 299


def test_the_first_look_blocks_nobody_and_says_how_far_it_is(
    data_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, reads = threading.Event(), itertools.count()

    def waits_after_120(layout: Layout, task_id: str, look: Look) -> Any:
        if next(reads) == 120:
            may_go_on.wait()
        return row_of(layout, task_id, look)

    monkeypatch.setattr("backtest_pipeline.results.manifest_index.row_of", waits_after_120)
    monkeypatch.setattr("backtest_pipeline.results.manifest_index._BATCH", 50)
    monkeypatch.setattr("backtest_pipeline.results.manifest_index._FIRST_WAIT_S", 0.0)
    index = ManifestIndex(Layout(data_root))
    try:
        page = index.find(TaskFilter(), Order())
        while page.read < 100:
            page = index.find(TaskFilter(), Order())
        assert (page.complete, page.total, page.to_read) == (False, 100, 300)  # two batches of 50
    finally:
        may_go_on.set()
    while not page.complete:
        page = index.find(TaskFilter(), Order())
    assert page.total == 300
