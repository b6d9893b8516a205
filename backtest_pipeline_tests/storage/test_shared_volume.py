"""A volume that breaks a promise is found out, by one machine alone or by the marks of others."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline.storage import shared_volume
from backtest_pipeline.storage.shared_volume import WorkerMark, mark_of, mark_problem, volume_problems


def test_a_local_disk_keeps_all_promises_and_nothing_is_left_there(tmp_path: Path) -> None:
    assert volume_problems(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_locks_that_everybody_gets_are_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_volume, "_ASK_FOR_LOCK", "pass")  # as a file system whose locks do nothing
    assert volume_problems(tmp_path) == ["two processes can lock the same file at once"]


def test_a_volume_that_syncs_nothing_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    assert volume_problems(tmp_path) == ["files and folders cannot be synced (Invalid argument)"]


def test_a_volume_that_copies_instead_of_renaming_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def copied(self: Path, target: Path) -> Path:
        target.write_bytes(self.read_bytes())
        return target

    monkeypatch.setattr(Path, "replace", copied)
    assert volume_problems(tmp_path) == ["a file that was renamed over another one is not there at once"]


def test_a_volume_that_cannot_be_written_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="Not a directory"):
        volume_problems(tmp_path / "file")


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[WorkerMark]:
    mark = WorkerMark(tmp_path, "w")
    yield mark
    mark.remove()


def test_a_mark_that_is_locked_and_up_to_date_is_well(tmp_path: Path, mark: WorkerMark) -> None:
    mark.number(7)
    assert mark_problem(tmp_path, "w", 9, 5) == ""
    mark.remove()
    assert not mark_of(tmp_path, "w").exists()


@pytest.mark.parametrize(
    ("number", "told"), [(13, "is not seen here yet"), (12, "")], ids=["six behind", "five behind"]
)
def test_a_mark_that_is_seen_too_late_is_reported(
    tmp_path: Path, mark: WorkerMark, number: int, told: str
) -> None:
    mark.number(7)
    assert told in mark_problem(tmp_path, "w", number, 5)


def test_another_folder_and_a_lock_that_is_not_seen_are_reported(
    tmp_path: Path, mark: WorkerMark, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark.number(1)
    assert "its DATA_ROOT is not this folder" in mark_problem(tmp_path / "other", "w", 1, 5)

    def granted(*_: Any) -> None:
        """As a mount with `nolock`."""

    monkeypatch.setattr(fcntl, "flock", granted)
    assert "holds a lock that this machine does not see" in mark_problem(tmp_path, "w", 1, 5)
