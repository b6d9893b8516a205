"""Files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backtest_pipeline.storage import atomic


def test_a_file_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"

    atomic.write_bytes_durably(path, b"first, and longer")
    atomic.write_bytes_durably(path, b"second")

    assert path.read_bytes() == b"second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "manifest.json"
    atomic.write_bytes_durably(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        atomic.write_bytes_durably(path, b"new")

    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]


def test_bytes_are_on_disk_before_the_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def recorded_fsync(descriptor: int) -> None:
        done.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink().name.partition('.json')[0]}")
        fsync(descriptor)

    def recorded_replace(tmp: Path, target: Path) -> Path:
        done.append(f"replace {target.name}")
        return replace(tmp, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)

    atomic.write_bytes_durably(tmp_path / "manifest.json", b"data")

    assert done == ["fsync .manifest", "replace manifest.json", f"fsync {tmp_path.name}"]


def test_a_folder_is_renamed_across_parents(tmp_path: Path) -> None:
    staged, published = tmp_path / "staging" / "run", tmp_path / "tasks" / "run"
    atomic.make_folder_durably(staged)
    atomic.make_folder_durably(published.parent)
    atomic.write_bytes_durably(staged / "equity.parquet", b"rows")

    atomic.replace_durably(staged, published)

    assert (published / "equity.parquet").read_bytes() == b"rows"
    assert not staged.exists()


def test_making_a_folder_again_does_nothing(tmp_path: Path) -> None:
    atomic.make_folder_durably(tmp_path / "a" / "b" / "c")
    atomic.make_folder_durably(tmp_path / "a" / "b" / "c")

    assert (tmp_path / "a" / "b" / "c").is_dir()
