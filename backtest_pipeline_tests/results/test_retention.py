"""What a cleanup deletes, and above all what it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.results.retention import Swept, sweep
from backtest_pipeline.results.retention_rules import FOREIGN, Rules
from backtest_pipeline.storage.layout import Layout

NOW = datetime(2026, 6, 30, 3, tzinfo=UTC)
WEEK = timedelta(days=7)


def _task(root: Path, *, age: timedelta | None, **fields: Any) -> str:
    """A task that finished `age` before NOW, its folder as old; without an age it has no manifest."""
    task_id = str(uuid.uuid4())
    folder = root / "tasks" / task_id
    folder.mkdir(parents=True)
    (folder / "trades.parquet").write_bytes(b"12345")
    if age is not None:
        finished = (NOW - age).isoformat().replace("+00:00", "Z")
        manifest = {
            "schema_version": 1,
            "task_id": task_id,
            "status": "completed",
            "pinned": False,
            "timestamps": {"finished_at": finished},
            **fields,
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
    _age(folder, age or timedelta(0))
    return task_id


def _age(folder: Path, age: timedelta) -> None:
    then_s = (NOW - age).timestamp()
    for path in (*folder.iterdir(), folder):
        os.utime(path, (then_s, then_s), follow_symlinks=False)


def _sweep(
    root: Path,
    *,
    now: datetime = NOW,
    ttl: timedelta | None = WEEK,
    unfinished: Callable[[str], bool] = lambda _: False,
    dry_run: bool = False,
) -> Swept:
    return sweep(root, Rules(now, ttl, unfinished), dry_run=dry_run)


def _left(root: Path) -> set[str]:
    return {path.name for path in (root / "tasks").iterdir() if not path.name.startswith(".")}


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_a_finished_task_goes_when_its_week_is_over_and_not_before(tmp_path: Path, status: str) -> None:
    old = _task(tmp_path, age=WEEK + timedelta(seconds=1), status=status)
    young = _task(tmp_path, age=WEEK, status=status)
    swept = _sweep(tmp_path)
    assert _left(tmp_path) == {young}
    [verdict] = swept.deleted
    manifest_bytes = swept.freed_bytes - 5  # beside the five bytes of trades
    assert (verdict.name, manifest_bytes > 0) == (old, True)
    assert swept.kept == {"not past its time": 1}
    assert not list((tmp_path / "tasks" / ".trash").iterdir())


def test_the_age_counts_from_the_finish_and_not_from_the_folder(tmp_path: Path) -> None:
    task_id = _task(tmp_path, age=timedelta(days=6))
    _age(tmp_path / "tasks" / task_id, timedelta(days=60))
    _sweep(tmp_path)
    assert _left(tmp_path) == {task_id}


def test_a_pinned_task_stays_for_ever(tmp_path: Path) -> None:
    task_id = _task(tmp_path, age=timedelta(days=4_000), pinned=True)
    assert _sweep(tmp_path).kept == {"pinned": 1}
    assert _left(tmp_path) == {task_id}


def test_a_task_that_runs_again_stays_however_old_its_results_are(tmp_path: Path) -> None:
    task_id = _task(tmp_path, age=timedelta(days=30), status="failed")
    assert _sweep(tmp_path, unfinished=lambda one: one == task_id).kept == {"unfinished": 1}
    assert _left(tmp_path) == {task_id}


@pytest.mark.parametrize(("promised_until", "kept"), [(None, True), (timedelta(1), True), (-WEEK, False)])
def test_where_nobody_has_set_a_time_a_manifests_promise_is_kept(
    tmp_path: Path, promised_until: timedelta | None, kept: bool
) -> None:
    expires_at = None if promised_until is None else (NOW + promised_until).isoformat()
    finished_at = (NOW - 3 * WEEK).isoformat()
    moments = {"finished_at": finished_at, "expires_at": expires_at}
    task_id = _task(tmp_path, age=3 * WEEK, timestamps=moments)
    sweep(tmp_path, Rules(NOW, WEEK, lambda _: False, as_promised=True))
    assert (_left(tmp_path) == {task_id}) == kept
    sweep(tmp_path, Rules(NOW, WEEK, lambda _: False))
    assert _left(tmp_path) == set(), "a time that was set on purpose counts alone"


def test_a_time_to_live_of_none_keeps_all(tmp_path: Path) -> None:
    _task(tmp_path, age=timedelta(days=4_000))
    assert _sweep(tmp_path, ttl=None).kept == {"kept for ever": 1}


def test_a_clock_that_was_set_back_deletes_nothing(tmp_path: Path) -> None:
    _task(tmp_path, age=timedelta(0))
    assert not _sweep(tmp_path, now=NOW - timedelta(days=365)).deleted


def test_a_folder_without_a_manifest_goes_when_it_is_old_and_nobody_works_on_it(tmp_path: Path) -> None:
    names = [_task(tmp_path, age=None) for _ in range(3)]
    for name, days in zip(names, (8, 8, 6), strict=True):
        _age(tmp_path / "tasks" / name, timedelta(days=days))
    swept = _sweep(tmp_path, unfinished=lambda one: one == names[1])
    assert [verdict.name for verdict in swept.deleted] == names[:1]
    assert _left(tmp_path) == set(names[1:])


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no JSON",
        "[]",
        "{}",
        '{"schema_version": 2}',
        '{"task_id": "another", "schema_version": 1}',
    ],
)
def test_a_manifest_that_is_not_understood_protects_its_folder(tmp_path: Path, content: str) -> None:
    task_id = _task(tmp_path, age=timedelta(days=99))
    (tmp_path / "tasks" / task_id / "manifest.json").write_text(content)
    assert _sweep(tmp_path).kept == {"its manifest cannot be read": 1}
    assert _left(tmp_path) == {task_id}


def test_results_of_another_system_are_told_apart_and_kept(tmp_path: Path) -> None:
    with_manifest, bare = _task(tmp_path, age=None), _task(tmp_path, age=None)
    tasks = tmp_path / "tasks"
    (tasks / with_manifest / "manifest.json").write_text('{"status": "done", "result": "result.json"}')
    (tasks / bare / "result.json").write_text('{"total_return": 12.5}')
    (tasks / "20240501-AAPL").mkdir()
    (tasks / "20240501-AAPL" / "result.json").write_text("{}")
    swept = _sweep(tmp_path, now=NOW + timedelta(days=9_999))
    assert swept.kept == {FOREIGN: 3}
    assert _left(tmp_path) == {with_manifest, bare, "20240501-AAPL"}


def test_what_is_not_a_tasks_folder_is_left_alone(tmp_path: Path) -> None:
    outside = _task(tmp_path / "elsewhere", age=timedelta(days=99))
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "notes.txt").write_text("mine")
    (tasks / "old").mkdir()
    (tasks / ".hidden").mkdir()
    (tasks / str(uuid.uuid4()).upper()).mkdir()
    (tasks / str(uuid.uuid4())).write_text("a file with a task's name")
    (tasks / outside).symlink_to(tmp_path / "elsewhere" / "tasks" / outside)
    before = _left(tmp_path)
    assert not _sweep(tmp_path, now=NOW + timedelta(days=9_999)).deleted
    assert _left(tmp_path) == before
    assert (tasks / ".hidden").is_dir()
    assert (tmp_path / "elsewhere" / "tasks" / outside / "manifest.json").exists()


def test_links_inside_a_task_go_and_what_they_point_to_stays(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("stays")
    task_id = _task(tmp_path, age=timedelta(days=99))
    (tmp_path / "tasks" / task_id / "link").symlink_to(precious)
    assert len(_sweep(tmp_path).deleted) == 1
    assert (precious / "file").read_text() == "stays"


def test_what_dead_attempts_staged_goes_after_a_day(tmp_path: Path) -> None:
    staging = tmp_path / "tasks" / ".staging"
    dead, sensors, alive, young = (str(uuid.uuid4()) for _ in range(4))
    for name, hours in ((dead, 25), (f"{sensors}.final", 25), (alive, 25), (young, 23)):
        (staging / name).mkdir(parents=True)
        (staging / name / "equity.parquet").write_bytes(b"half")
        _age(staging / name, timedelta(hours=hours))
    swept = _sweep(tmp_path, ttl=None, unfinished=lambda one: one == alive)
    assert {path.name for path in staging.iterdir()} == {alive, young}
    assert swept.freed_bytes == 8


def test_a_dry_run_tells_the_same_and_changes_nothing(tmp_path: Path) -> None:
    for days in (1, 8, 9):
        _task(tmp_path, age=timedelta(days=days))
    before = _left(tmp_path)
    dry = _sweep(tmp_path, dry_run=True)
    assert _left(tmp_path) == before
    wet = _sweep(tmp_path)
    assert {one.name for one in dry.deleted} == {one.name for one in wet.deleted}
    assert (dry.kept, dry.freed_bytes) == (wet.kept, wet.freed_bytes)


def test_two_cleanups_at_once_share_the_work(tmp_path: Path) -> None:
    old = {_task(tmp_path, age=timedelta(days=9)) for _ in range(60)}
    outcomes: list[Swept] = []
    threads = [threading.Thread(target=lambda: outcomes.append(_sweep(tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deleted = [verdict.name for swept in outcomes for verdict in swept.deleted]
    assert sorted(deleted) == sorted(old), "each once"
    assert not any(swept.failed for swept in outcomes)
    assert _left(tmp_path) == set()


def test_a_task_that_is_pinned_while_the_cleanup_waits_for_the_lock_stays(tmp_path: Path) -> None:
    task_id = _task(tmp_path, age=timedelta(days=9))
    manifest = tmp_path / "tasks" / task_id / "manifest.json"
    outcomes: list[Swept] = []
    with publishing(Layout(tmp_path)):
        cleaning = threading.Thread(target=lambda: outcomes.append(_sweep(tmp_path)))
        cleaning.start()
        time.sleep(0.2)
        manifest.write_text(manifest.read_text().replace('"pinned": false', '"pinned": true'))
    cleaning.join()
    assert manifest.exists()
    assert outcomes[0].kept == {"pinned": 1}
    assert not outcomes[0].failed


def test_a_folder_that_cannot_be_moved_is_told_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck, free = (_task(tmp_path, age=timedelta(days=9)) for _ in range(2))
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == stuck:
            raise PermissionError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    swept = _sweep(tmp_path)
    assert [one.name for one in swept.deleted] == [free]
    assert [one.name for one in swept.failed] == [stuck]
    assert _left(tmp_path) == {stuck}


def test_a_cleanup_that_is_killed_leaves_whole_tasks_and_the_next_one_finishes(tmp_path: Path) -> None:
    old = {_task(tmp_path, age=timedelta(days=9)) for _ in range(400)}
    code = (
        "import sys\n"
        "from datetime import datetime, timedelta\n"
        "from pathlib import Path\n"
        "from backtest_pipeline.results.retention import sweep\n"
        "from backtest_pipeline.results.retention_rules import Rules\n"
        "rules = Rules(datetime.fromisoformat(sys.argv[2]), timedelta(days=7), lambda _: False)\n"
        "sweep(Path(sys.argv[1]), rules, on_verdict=lambda one: print(one.name, flush=True))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path), NOW.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as cleaning:
        assert cleaning.stdout is not None
        for _ in range(40):
            cleaning.stdout.readline()
        cleaning.kill()
    left = _left(tmp_path)
    assert 0 < len(left) < len(old)
    for name in left:
        files = {path.name for path in (tmp_path / "tasks" / name).iterdir()}
        assert files == {"manifest.json", "trades.parquet"}
    _sweep(tmp_path)
    assert _left(tmp_path) == set()
    assert not list((tmp_path / "tasks" / ".trash").iterdir())


def test_a_task_whose_replacement_was_killed_gets_its_old_results_back(tmp_path: Path) -> None:
    task_id = _task(tmp_path, age=timedelta(days=1))
    trash = tmp_path / "tasks" / ".trash"
    trash.mkdir()
    (tmp_path / "tasks" / task_id).rename(trash / str(uuid.uuid4()))
    _sweep(tmp_path)
    assert _left(tmp_path) == {task_id}


_ENTRY = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["task", "bare", "foreign", "file", "link", "damaged"]),
        "days": st.integers(-3, 20),
        "pinned": st.booleans(),
        "unfinished": st.booleans(),
    }
)


@settings(max_examples=60, deadline=None)
@given(entries=st.lists(_ENTRY, max_size=12), ttl_days=st.integers(0, 15))
def test_no_cleanup_ever_deletes_what_the_rules_keep(
    tmp_path_factory: pytest.TempPathFactory, entries: list[dict[str, Any]], ttl_days: int
) -> None:
    root = tmp_path_factory.mktemp("tree")
    (root / "tasks").mkdir()
    outside = _task(root / "outside", age=timedelta(days=99))
    expected, busy = set(), set()
    for number, entry in enumerate(entries):
        age = timedelta(days=entry["days"])
        name = _task(root, age=None if entry["kind"] == "bare" else age, pinned=entry["pinned"])
        folder = root / "tasks" / name
        _age(folder, age)
        if entry["unfinished"]:
            busy.add(name)
        if entry["kind"] == "damaged":
            (folder / "manifest.json").write_text("{")
        elif entry["kind"] == "foreign":
            folder = folder.rename(root / "tasks" / f"foreign-{number}")
        elif entry["kind"] in {"file", "link"}:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            if entry["kind"] == "file":
                folder.write_text("no folder")
            else:
                folder.symlink_to(root / "outside" / "tasks" / outside)
        goes = (
            entry["kind"] in {"task", "bare"}
            and ttl_days > 0
            and entry["days"] > ttl_days
            and not (entry["pinned"] and entry["kind"] == "task")
            and not entry["unfinished"]
        )
        if not goes:
            expected.add(folder.name)
    ttl = timedelta(days=ttl_days) if ttl_days else None
    _sweep(root, ttl=ttl, unfinished=busy.__contains__)
    assert _left(root) == expected
    assert not _sweep(root, ttl=ttl, unfinished=busy.__contains__).deleted
    assert _left(root / "outside") == {outside}
