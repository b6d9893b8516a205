"""Room on the disk: is there enough for a result, and what takes it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from backtest_pipeline.model.errors import StorageFull
from backtest_pipeline.results.retention_rules import FOREIGN, Rules, Verdict, verdicts
from backtest_pipeline.storage.layout import Layout

BYTES_A_CANDLE = 100
"""Of the tables, at worst: 40 of equity, and a trade every other bar; measured files are about half."""
BYTES_A_TRIAL = 1_500
"""Of a sweep: its row and blocks, once in a chunk and once in the tables."""
BYTES_A_TASK = 4_500_000
"""Chart, report and manifest; a report has at most 4 MB."""

_AGES = (("up to a day", 1), ("up to a week", 7), ("up to a month", 30), ("older", None))
_OLDEST = 5


def require_room(data_root: Path, candles: int) -> None:
    """Refuses to begin what could not be written in the end.

    Args:
        data_root: the volume.
        candles: of all symbols together.

    Raises:
        StorageFull: there is less room than the result may take.
    """
    needed = BYTES_A_TASK + BYTES_A_CANDLE * candles
    free = shutil.disk_usage(data_root).free
    if free < needed:
        raise StorageFull(data_root, needed=needed, free=free)


def require_sweep_room(data_root: Path, trials: int) -> None:
    """Refuses to begin a sweep whose chunks and tables could not be written in the end.

    Args:
        data_root: the volume.
        trials: how many the sweep has.

    Raises:
        StorageFull: there is less room than the result may take.
    """
    needed = BYTES_A_TASK + BYTES_A_TRIAL * trials
    free = shutil.disk_usage(data_root).free
    if free < needed:
        raise StorageFull(data_root, needed=needed, free=free)


@dataclass(slots=True)
class DiskReport:
    """What results take.

    Attributes:
        tasks: how many tasks have a folder.
        total_bytes: of all of them.
        unpinned_bytes: of those that may be deleted some day.
        bytes_by_age: by the time since they finished.
        oldest: the longest finished tasks, oldest first.
        foreign: results of another system, such as the predecessor's; they are never deleted.
        free_bytes: on the volume.
    """

    tasks: int = 0
    total_bytes: int = 0
    unpinned_bytes: int = 0
    bytes_by_age: Counter[str] = field(default_factory=Counter)
    oldest: list[Verdict] = field(default_factory=list)
    foreign: list[Verdict] = field(default_factory=list)
    free_bytes: int = 0


def disk_report(data_root: Path, now: datetime) -> DiskReport:
    """Looks at every task's folder.

    Args:
        data_root: the volume; it must exist.
        now: the time that ages are measured from.
    """
    report = DiskReport(free_bytes=shutil.disk_usage(data_root).free)
    finished: list[tuple[datetime, Verdict]] = []
    for verdict in _tasks(data_root, now):
        if verdict.why == FOREIGN:
            report.foreign.append(verdict)
            continue
        report.tasks += 1
        report.total_bytes += verdict.size_bytes
        if verdict.why != "pinned":
            report.unpinned_bytes += verdict.size_bytes
        if verdict.finished_at is not None:
            report.bytes_by_age[_age(now - verdict.finished_at)] += verdict.size_bytes
            finished.append((verdict.finished_at, verdict))
    report.oldest = [verdict for _, verdict in sorted(finished, key=lambda one: one[0])[:_OLDEST]]
    return report


def _tasks(data_root: Path, now: datetime) -> Iterator[Verdict]:
    layout = Layout(data_root)
    if not layout.tasks.is_dir():
        return
    for verdict in verdicts(layout, Rules(now=now, ttl=None, unfinished=lambda _: False)):
        if verdict.size_bytes and not verdict.name.startswith("."):
            yield verdict


def _age(age: timedelta) -> str:
    return next(name for name, days in _AGES if days is None or age <= timedelta(days=days))
