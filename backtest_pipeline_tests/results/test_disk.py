"""Room on the disk, and what takes it."""

from __future__ import annotations

import json
import shutil
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from backtest_pipeline.model.errors import StorageFull
from backtest_pipeline.results.disk_usage import disk_report, require_room

NOW = datetime(2026, 6, 30, tzinfo=UTC)


def _task(root: Path, *, days: float, size: int, pinned: bool = False) -> str:
    task_id = str(uuid.uuid4())
    folder = root / "tasks" / task_id
    folder.mkdir(parents=True)
    manifest = {
        "schema_version": 1,
        "task_id": task_id,
        "status": "completed",
        "pinned": pinned,
        "timestamps": {"finished_at": (NOW - timedelta(days=days)).isoformat()},
    }
    text = json.dumps(manifest)
    (folder / "manifest.json").write_text(text)
    (folder / "equity.parquet").write_bytes(bytes(size - len(text)))
    return task_id


def test_room_is_asked_for_by_the_number_of_candles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 4_500_000 + 100 * 1_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed))
    require_room(tmp_path, 1_000_000)
    with pytest.raises(StorageFull, match=r"104.5 MB free and the result may take 104.5 MB") as raised:
        require_room(tmp_path, 1_000_001)
    assert raised.value.retryable


def test_the_report_counts_sizes_by_age_and_names_the_oldest(tmp_path: Path) -> None:
    ages = {0.5: 1_000, 3: 2_000, 20: 4_000, 200: 8_000, 300: 16_000, 400: 32_000}
    names = [_task(tmp_path, days=days, size=size, pinned=days == 400) for days, size in ages.items()]
    (tmp_path / "tasks" / ".staging").mkdir()
    old = tmp_path / "tasks" / "20190101-0001"
    old.mkdir()
    (old / "result.json").write_text("{}")
    report = disk_report(tmp_path, NOW)
    assert (report.tasks, report.total_bytes) == (6, 63_000)
    assert report.unpinned_bytes == 63_000 - 32_000
    assert report.bytes_by_age == {
        "up to a day": 1_000,
        "up to a week": 2_000,
        "up to a month": 4_000,
        "older": 56_000,
    }
    assert [one.name for one in report.foreign] == [old.name]
    assert [one.name for one in report.oldest] == names[:0:-1]


def test_an_empty_volume_has_nothing_to_report(tmp_path: Path) -> None:
    assert disk_report(tmp_path, NOW).tasks == 0
