"""The migration checklist, walked through on a small volume of the old service."""

from __future__ import annotations

import json
import os
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from backtest_pipeline import BacktestRequest, CandleStore, run_backtest
from backtest_pipeline.results.retention import sweep
from backtest_pipeline.results.retention_rules import Rules
from backtest_pipeline_tests.docs.pages import ROOT
from backtest_pipeline_tests.docs.test_troubles import Shell

CHECKLIST = ROOT / "docs" / "migration_checklist.md"
NOW = datetime(2026, 6, 30, tzinfo=UTC)
SEOUL = {"CANDLE_TIMEZONE": "Asia/Seoul"}


def _old_candles(root: Path, *, days: int = 60) -> pd.DataFrame:
    """Daily candles as the old service kept them: naive timestamps, its own further columns."""
    rng = np.random.default_rng(0)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.003, days)))
    close[30:] *= 1.05  # a long candle, and below its volume
    opened = np.concatenate([[100.0], close[:-1]])
    frame = pd.DataFrame(
        {
            "timestamp": pd.date_range("2023-12-01", periods=days, freq="D"),
            "open": opened,
            "high": np.maximum(opened, close),
            "low": np.minimum(opened, close),
            "close": close,
            "volume": np.where(np.arange(days) == 30, 5_000, 1_000),
            "symbol": "KRW-BTC",
        }
    )
    folder = root / "KRW-BTC" / "1D"
    folder.mkdir(parents=True)
    for year, part in frame.groupby(frame["timestamp"].dt.year):
        part.to_parquet(folder / f"{year}.parquet", index=False)
    return frame


def _old_task(root: Path, name: str) -> Path:
    folder = root / "tasks" / name
    folder.mkdir(parents=True)
    manifest = {"task_id": name, "status": "SUCCESS", "created_at": "2024-01-05T10:00:00"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "result.json").write_text(json.dumps({"signals": [], "win_rate": 0.5}))
    long_ago_s = (NOW - timedelta(days=900)).timestamp()
    for path in (*folder.iterdir(), folder):
        os.utime(path, (long_ago_s, long_ago_s))
    return folder


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A volume of the old service: candles, a task under a name of its own and one under a UUID."""
    root = tmp_path / "data"
    _old_candles(root)
    _old_task(root, "20240105-volume-long-candle")
    _old_task(root, str(uuid.uuid4()))
    return root


def _content(root: Path) -> dict[Path, bytes]:
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_naive_timestamps_mean_seoul_time(volume: Path) -> None:
    candles = CandleStore(volume, "Asia/Seoul").load(["KRW-BTC"], "1d")["KRW-BTC"]
    # Midnight of 1 December in Seoul, nine hours ahead of UTC, is 15:00 UTC of the day before.
    assert candles.timestamp[0] == np.datetime64("2023-11-30T15:00", "us")
    assert len(candles) == 60


def test_a_date_means_a_day_in_seoul(volume: Path) -> None:
    store = CandleStore(volume, "Asia/Seoul")
    day = datetime(2024, 1, 1).date()  # noqa: DTZ001  a date has no zone
    [moment] = store.load(["KRW-BTC"], "1d", day, day)["KRW-BTC"].timestamp
    assert moment == np.datetime64("2023-12-31T15:00", "us")


def test_the_old_candles_are_listed_checked_and_run_and_nothing_old_is_touched(
    volume: Path, programs: Path, tmp_path: Path
) -> None:
    before = _content(volume)
    shell = Shell(programs, tmp_path)  # whose data root is the volume
    listed = json.loads(shell("candles", "list", "--json", **SEOUL))
    assert [(one["symbol"], one["timeframe"], one["rows"]) for one in listed] == [("KRW-BTC", "1d", 60)]
    [checked] = json.loads(shell("candles", "check", "--json", **SEOUL))
    assert (checked["rows"], checked["faults"]) == (60, [])

    request = BacktestRequest(
        strategy="volume_long_candle", params={"vol_ma_window": 5}, symbols=["KRW-BTC"], timeframe="1d"
    )
    result = run_backtest(CandleStore(volume, "Asia/Seoul").load(["KRW-BTC"], "1d"), request)
    assert len(result.equity) == 60
    [surge] = result.signals["timestamp"]  # five times the usual volume, a body of about 5 %
    assert surge == pd.Timestamp("2023-12-31", tz="Asia/Seoul")  # 30 days after 1 December
    assert _content(volume) == before


def test_results_of_the_old_service_outlive_every_cleanup(volume: Path) -> None:
    before = _content(volume)
    swept = sweep(volume, Rules(NOW, timedelta(days=7), lambda _: False))
    assert not swept.deleted
    assert dict(swept.kept) == {"a result of another system": 2}
    now = {path: content for path, content in _content(volume).items() if path.name != ".lock"}
    assert now == before


def test_they_stay_without_their_manifest_as_long_as_there_is_a_result(volume: Path) -> None:
    for manifest in (volume / "tasks").glob("*/manifest.json"):
        manifest.unlink()
        os.utime(manifest.parent, (0, 0))
    swept = sweep(volume, Rules(NOW, timedelta(days=7), lambda _: False))
    assert not swept.deleted
    assert dict(swept.kept) == {"a result of another system": 2}


def test_a_folder_with_neither_file_would_go_as_the_checklist_warns(volume: Path) -> None:
    for path in (volume / "tasks").glob("*/*"):
        path.unlink()
        os.utime(path.parent, (0, 0))
    swept = sweep(volume, Rules(NOW, timedelta(days=7), lambda _: False), dry_run=True)
    [verdict] = swept.deleted
    assert verdict.why == "left without a manifest"
    assert not verdict.name.startswith("20240105")  # which is no task's name
    kept = sweep(volume, Rules(NOW, None, lambda _: False), dry_run=True)  # TASK_RESULT_TTL_DAYS=0
    assert not kept.deleted


def test_commands_list_the_old_results_and_keep_them(volume: Path, programs: Path, tmp_path: Path) -> None:
    shell = Shell(programs, tmp_path)
    told = json.loads(shell("cleanup", "--dry-run", "--json"))
    assert (told["deleted"], told["kept"]) == ([], {"a result of another system": 2})
    names = {path.name for path in (volume / "tasks").iterdir()}
    listed = shell("list", "--foreign")
    assert all(name in listed for name in names)


def test_the_checklist_has_a_box_for_every_step_and_an_old_column_to_fill_in() -> None:
    page = CHECKLIST.read_text()
    sections = re.split(r"^## \d+\. ", page, flags=re.MULTILINE)[1:]
    assert len(sections) == 9
    assert [section.partition("\n")[0] for section in sections if "- [ ]" not in section] == []
    for purpose in ("submit a task", "poll its status", "fetch its result", "list tasks", "cancel"):
        assert re.search(rf"^\| {purpose} \| \*path\* \|", page, re.MULTILINE), purpose
