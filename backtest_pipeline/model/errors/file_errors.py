"""A file or an archive that somebody named cannot be used, or the disk is full."""

from __future__ import annotations

from pathlib import Path

from backtest_pipeline.model.errors.backtest_error import BacktestError


class StorageFull(BacktestError):
    """The disk has less room than a result may take.

    Attributes:
        needed: bytes that the result may take.
        free: bytes that are free.
    """

    retryable = True

    def __init__(self, folder: str | Path, *, needed: int, free: int) -> None:
        self.folder = str(folder)
        self.needed = needed
        self.free = free
        super().__init__(
            f"{folder} has {free / 1e6:,.1f} MB free and the result may take {needed / 1e6:,.1f} MB; make "
            "room (`backtest doctor` shows what takes it, `backtest cleanup --older-than-days 1` deletes "
            "results)"
        )


class FileThere(BacktestError):
    """A file would be overwritten that nobody has given up."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        super().__init__(f"{path} is there already; choose another name, or add --force to replace it")


class FileUnusable(BacktestError):
    """A file that somebody named cannot be read or written."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(f"{path}: {reason}; name a file that can be used")


class ArchiveRefused(BacktestError):
    """An archive cannot be imported; nothing of it was kept."""

    def __init__(self, path: str | Path, problem: str) -> None:
        self.path = str(path)
        self.problem = problem
        super().__init__(f"{path}: {problem}; nothing was imported")
