"""Health and metrics."""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.web.access.guard import USER
from backtest_pipeline.web.access.identity import User
from backtest_pipeline.web.monitoring.cached import Cached
from backtest_pipeline.web.monitoring.health_checks import Check, disk_check
from backtest_pipeline.web.monitoring.prometheus import Figures, Metrics, WorkerFigures
from backtest_pipeline.web.monitoring.results_disk import LastCleanup, ResultsSize, last_cleanup
from backtest_pipeline.web.pages.own_pages import OwnPages
from backtest_pipeline.web.pages.result_pages import ResultPages
from backtest_pipeline_tests.web.asgi import Recorder, ask

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"
TASKS = ["0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0", "1f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"]
WELL = Check("database", ok=True, detail="answers")
ILL = Check("daemon", ok=False, detail="start it again")


def _figures(**changes: Any) -> Figures:
    fields: dict[str, Any] = {
        "tasks": {"queued": 3, "running": 2, "completed": 40, "failed": 1, "cancelled": 0},
        "ended": [("completed", 0.4), ("completed", 3.0), ("failed", 700.0)],
        "results": 41,
        "results_bytes": 12_345,
        "free_bytes": 99,
        "cleanup": LastCleanup(finished_at_s=1_767_322_800.0, deleted=7, freed_bytes=70_000),
        "checks": [WELL, ILL],
        "workers": {
            "w": WorkerFigures("h", {"runs": 2, "chunks": 4}, {"runs": 1, "chunks": 3}, 10, 2.5),
        },
        "waiting": {"runs": 0, "chunks": 6},
    }
    return Figures(**{**fields, **changes})


def _pages(checks: list[Check], figures: Figures | None = None) -> OwnPages:
    return OwnPages(
        Recorder(),
        prefix="/view",
        results=ResultPages(Layout(Path("/nonexistent"))),
        checks=lambda: checks,
        figures=lambda found: figures or _figures(checks=found),
    )


def _as(user: User | None, pages: OwnPages) -> Any:
    async def known(scope: Any, receive: Any, send: Any) -> None:
        await pages({**scope, USER: user}, receive, send)

    return known


def _samples(page: bytes) -> dict[str, float]:
    """The samples by name and labels, read by Prometheus' own parser."""
    return {
        sample.name
        + "".join(f"{{{key}={value}}}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("path", ["/healthz", "/view/healthz"])
def test_health_is_told_check_by_check(path: str) -> None:
    answer = ask(_as(User("ann", "viewer"), _pages([WELL, ILL])), "GET", path)
    assert answer.status == 503
    assert answer.json() == {
        "ok": False,
        "checks": [
            {"name": "database", "ok": True, "detail": "answers"},
            {"name": "daemon", "ok": False, "detail": "start it again"},
        ],
    }


def test_strangers_hear_only_whether_all_is_well() -> None:
    assert ask(_as(None, _pages([WELL])), "GET", "/healthz").json() == {"ok": True}
    ill = ask(_as(None, _pages([WELL, ILL])), "GET", "/healthz")
    assert (ill.status, ill.json()) == (503, {"ok": False})


def test_health_is_never_well_where_requests_do_not_come_through_the_guard() -> None:
    unguarded = ask(_pages([WELL]), "GET", "/healthz")
    assert (unguarded.status, unguarded.json()) == (503, {"ok": False})


def test_checks_that_take_too_long_are_not_well_and_not_started_twice() -> None:
    release, started = threading.Event(), list[int]()

    def stuck() -> int:
        started.append(1)
        release.wait(30)
        return 1

    cached = Cached(stuck, keep_s=60, patience_s=0.05)

    async def twice() -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await cached.get()
        release.set()
        assert await cached.get() == 1
        assert await cached.get() == 1

    asyncio.run(twice())
    assert len(started) == 1


def test_a_value_is_kept_for_its_time_and_no_longer() -> None:
    now, made = [100.0], iter(range(10))
    cached = Cached(lambda: next(made), keep_s=5, patience_s=5, clock=lambda: now[0])
    seen = []
    for moment in (100.0, 104.9, 105.0, 109.9, 110.1):
        now[0] = moment
        seen.append(asyncio.run(cached.get()))
    assert seen == [0, 0, 1, 1, 2]


def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path) -> None:
    assert disk_check(tmp_path, 0).ok
    full = disk_check(tmp_path, 10**18)
    assert not full.ok
    assert "make room: at least 1000000000.0 GB" in full.detail
    assert not disk_check(tmp_path / "unmounted", 0).ok


def test_metrics_say_what_the_figures_say() -> None:
    samples = _samples(ask(_pages([WELL, ILL]), "GET", "/metrics").body)
    assert samples["backtest_tasks{state=queued}"] == 3
    assert samples["backtest_tasks{state=failed}"] == 1
    assert samples["backtest_check_ok{check=database}"] == 1
    assert samples["backtest_check_ok{check=daemon}"] == 0
    assert samples["backtest_results_bytes"] == 12_345
    assert samples["backtest_disk_free_bytes"] == 99
    assert samples["backtest_cleanup_last_timestamp_seconds"] == 1_767_322_800
    assert samples["backtest_cleanup_last_freed_bytes"] == 70_000


def test_latencies_add_up_from_one_look_to_the_next() -> None:
    metrics = Metrics()
    metrics.page(_figures())
    samples = _samples(metrics.page(_figures(ended=[("completed", 0.6)])))
    # 0.4 s and 0.6 s, then 3.0 s: one task by 0.5 s, two by 1 s and three by 5 s.
    for limit, count in (("0.25", 0), ("0.5", 1), ("1.0", 2), ("2.0", 2), ("5.0", 3), ("+Inf", 3)):
        assert samples[f"backtest_task_latency_seconds_bucket{{le={limit}}}{{state=completed}}"] == count
    assert samples["backtest_task_latency_seconds_sum{state=completed}"] == pytest.approx(0.4 + 0.6 + 3.0)
    assert samples["backtest_task_latency_seconds_count{state=failed}"] == 1
    assert samples["backtest_task_latency_seconds_count{state=cancelled}"] == 0


def test_what_is_unknown_is_left_out() -> None:
    samples = _samples(Metrics().page(_figures(cleanup=None, free_bytes=None)))
    assert not [name for name in samples if "cleanup" in name or "disk" in name]


def test_pages_are_looked_up_once_in_a_while() -> None:
    asked: list[int] = []

    def figures(checks: object) -> Figures:
        asked.append(1)
        return _figures()

    pages = OwnPages(
        Recorder(), prefix="", results=ResultPages(Layout(Path("/x"))), checks=list, figures=figures
    )
    for _ in range(5):
        assert ask(pages, "GET", "/metrics").status == 200
    assert len(asked) == 1


def test_the_dashboard_asks_only_for_what_there_is() -> None:
    there = {name.partition("{")[0] for name in _samples(Metrics().page(_figures()))}
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    named = {name for expression in asked for name in re.findall(r"\bbacktest_\w+", expression)}
    assert len(asked) >= 8
    assert named <= there
    # Whatever is measured is shown; of the histogram, the buckets say all.
    assert there - named <= {f"backtest_task_latency_seconds_{end}" for end in ("sum", "count", "created")}


def test_the_size_of_results_is_that_of_their_files_and_follows_them(tmp_path: Path) -> None:
    size = ResultsSize(tmp_path / "tasks")
    assert size.measured() == (0, 0)
    for number, task in enumerate(TASKS):
        folder = Layout(tmp_path).task(task)
        folder.mkdir(parents=True)
        (folder / "trades.parquet").write_bytes(b"x" * (100 + number))
        (folder / "manifest.json").write_bytes(b"y" * 10)
    staged = Layout(tmp_path).staging(TASKS[0])
    staged.mkdir(parents=True)
    (staged / "half.parquet").write_bytes(b"z" * 1_000)
    (tmp_path / "tasks" / "link").symlink_to(tmp_path)
    assert size.measured() == (2, 100 + 10 + 101 + 10)
    folder = Layout(tmp_path).task(TASKS[0])
    (folder / "report.html").write_bytes(b"r" * 5)
    os.utime(folder, ns=(0, 1))
    assert size.measured() == (2, 100 + 10 + 5 + 101 + 10)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert size.measured() == (1, 101 + 10)


def test_the_last_cleanup_is_read_from_its_note(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert last_cleanup(layout) is None
    layout.tasks.mkdir()
    note = layout.tasks / ".last_cleanup.json"
    note.write_text('{"finished_at": "1970-01-02T00:00:00+00:00", "deleted": 3, "freed_bytes": 5}')
    assert last_cleanup(layout) == LastCleanup(finished_at_s=86_400.0, deleted=3, freed_bytes=5)
    for broken in ("", "{}", "[]", '{"finished_at": "soon", "deleted": 3, "freed_bytes": 5}'):
        note.write_text(broken)
        assert last_cleanup(layout) is None


def test_checks_that_break_are_an_ill_service_and_no_broken_page() -> None:
    def broken() -> list[Check]:
        raise RuntimeError("no such table")

    pages = OwnPages(
        Recorder(),
        prefix="",
        results=ResultPages(Layout(Path("/nonexistent"))),
        checks=broken,
        figures=lambda found: _figures(checks=found),
    )
    answer = ask(_as(User("ann", "viewer"), pages), "GET", "/healthz")
    assert answer.status == 503
    [check] = answer.json()["checks"]
    assert (check["ok"], check["detail"]) == (
        False,
        "the checks failed (RuntimeError); see the web server's log",
    )


def test_workers_their_slots_and_their_chunks_are_reported_by_worker_and_host() -> None:
    page = Metrics().page(_figures()).decode()
    for line in (
        "backtest_workers 1.0",
        'backtest_worker_slots{host="h",queue="chunks",worker="w"} 4.0',
        'backtest_worker_busy{host="h",queue="runs",worker="w"} 1.0',
        'backtest_worker_chunks_total{host="h",worker="w"} 10.0',
        'backtest_worker_chunk_seconds_total{host="h",worker="w"} 2.5',
        'backtest_broker_waiting{queue="chunks"} 6.0',
    ):
        assert line in page, page


def test_without_a_broker_nothing_is_said_of_workers() -> None:
    assert "backtest_worker" not in Metrics().page(_figures(workers=None, waiting={})).decode()
