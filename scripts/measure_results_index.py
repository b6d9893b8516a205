"""Time of queries over an index of many made manifests; started by `scripts/results-index`."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from backtest_pipeline.model.metric_catalog import METRICS
from backtest_pipeline.model.metric_condition import MetricCondition
from backtest_pipeline.results.manifest_index import ManifestIndex
from backtest_pipeline.results.task_filter import FACTS, Order, TaskFilter
from backtest_pipeline.storage.layout import Layout


def _make(layout: Layout, count: int) -> None:
    chance = random.Random(1)  # noqa: S311  made up, and the same each time
    for _ in range(count):
        task_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        strategy = chance.choice(["sma_cross", "momentum", "rsi_reversion", "macd_cross"])
        moment = f"2026-{chance.randrange(1, 12):02d}-{chance.randrange(1, 29):02d}T10:00:00.000Z"
        manifest = {
            "schema_version": 1,
            "kind": "backtest",
            "task_id": task_id,
            "status": chance.choice(["completed"] * 8 + ["failed", "cancelled"]),
            "strategy_id": strategy,
            "params": {"fast": chance.randrange(5, 50), "slow": chance.randrange(50, 300)},
            "symbols": chance.sample([f"SYM{number}" for number in range(50)], 3),
            "timeframe": "1d",
            "start": None,
            "end": None,
            "request": {"strategy": strategy, "labels": {"team": chance.choice("abc")}},
            "user": chance.choice(["ann", "bob", None]),
            "timestamps": {"submitted_at": moment, "finished_at": moment},
            "summary": {},
            "candles": [],
            "duration_ms": chance.randrange(5_000),
            "attempt": 1,
            "metrics": {name: chance.gauss(0, 1) for name in METRICS},
            "checks": {"look_ahead": {"passed": True}},
            "pinned": False,
            "error": None,
        }
        folder = layout.task(task_id)
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps(manifest))


def _timed(what: str, work: Callable[[], object], times: int = 5) -> None:
    took, worked = [], []
    for _ in range(times):
        began, began_cpu = time.perf_counter(), time.process_time()
        work()
        took.append(time.perf_counter() - began)
        worked.append(time.process_time() - began_cpu)
    middle, processor = (1000 * sorted(each)[times // 2] for each in (took, worked))
    print(f"{what:<40} {middle:8.1f} ms, of which processor {processor:8.1f} ms")  # noqa: T201  whoever measures reads this


def _first_look(index: ManifestIndex, count: int) -> None:
    """Asks for the table again and again while the manifests are read for the first time."""
    began, waited = time.perf_counter(), list[float]()
    while True:
        asked = time.perf_counter()
        page = index.find(TaskFilter(), Order())
        waited.append(1000 * (time.perf_counter() - asked))
        if page.complete:
            break
        time.sleep(0.2)
    print(f"first look at {count:,} manifests: {time.perf_counter() - began:.1f} s")  # noqa: T201  as above
    print(  # noqa: T201  as above
        f"the table asked meanwhile: first {waited[0]:.0f} ms, then middle "
        f"{sorted(waited)[len(waited) // 2]:.0f} ms, slowest {max(waited[1:], default=0.0):.0f} ms"
    )


def _slowest(index: ManifestIndex, what: str, wanted: TaskFilter) -> None:
    """Sorts by every column there is, up and down, and names the slowest."""
    took = {}
    for by in (*FACTS, *METRICS):
        for descending in (False, True):
            began = time.perf_counter()
            index.find(wanted, Order(by, descending=descending))
            took[by, "down" if descending else "up"] = 1000 * (time.perf_counter() - began)
    slowest = max(took, key=lambda one: took[one])
    middle = sorted(took.values())[len(took) // 2]
    print(  # noqa: T201  as above
        f"{what}, by each of {len(took) // 2} columns: middle {middle:.1f} ms, "
        f"slowest {' '.join(slowest)} {took[slowest]:.1f} ms"
    )


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        _make(layout, count)
        index = ManifestIndex(layout)
        _first_look(index, count)
        _timed("look, nothing changed", index.look, times=3)
        newest, one = Order(), TaskFilter(strategy="sma_cross")
        good = TaskFilter(conditions=(MetricCondition("sharpe", ">", 1.0),))
        _timed("newest 50", lambda: index.find(TaskFilter(), newest))
        _timed("best 50 by Sharpe ratio", lambda: index.find(TaskFilter(), Order("sharpe")))
        _timed("one strategy, by return", lambda: index.find(one, Order("total_return")))
        _timed("one symbol", lambda: index.find(TaskFilter(symbol="SYM7"), newest))
        _timed(
            "one label, one parameter",
            lambda: index.find(TaskFilter(labels=("team=a",), params=("fast=7",)), newest),
        )
        _timed("a bound on a metric, last page", lambda: index.find(good, Order("symbols"), offset=15_000))
        _timed("last page of all", lambda: index.find(TaskFilter(), newest, offset=count - 50))
        for what, wanted in {
            "all": TaskFilter(),
            "of one symbol": TaskFilter(symbol="SYM7"),
            "of a symbol nobody has": TaskFilter(symbol="NONE"),
            "of one user, above a metric": TaskFilter(
                user="ann", conditions=(MetricCondition("kurtosis", ">", 1.0),)
            ),
        }.items():
            _slowest(index, what, wanted)
        size = (layout.data_root / ".catalog" / "tasks.sqlite").stat().st_size
        print(f"file of {size / 1e6:.0f} MB")  # noqa: T201  whoever measures reads this
        index.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
