"""Which results may be deleted: a verdict on every entry of the tasks' folder. Nothing is changed here.

Deleted are tasks that finished longer ago than the time to live, folders without a manifest that nobody works
on, and what dead attempts have left. Everything else stays: pinned and unfinished tasks, symbolic links,
whatever is not a task's folder, manifests that cannot be read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic_core import from_json

from backtest_pipeline.model.errors import TaskUnknown
from backtest_pipeline.model.manifest import of_another_system
from backtest_pipeline.results.sweep_parts import SweepParts
from backtest_pipeline.storage.layout import Layout

LEFTOVER_AGE = timedelta(days=1)
FOREIGN = "a result of another system"
GONE = "gone meanwhile"
_RESULT_FILES = ("manifest.json", "result.json")
_PROTECTED = {"damaged": "its manifest cannot be read", "foreign": FOREIGN}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one entry of the tasks' folder.

    Attributes:
        name: the entry's name, a task id where it is a task.
        delete: whether it goes.
        why: the reason, for people.
        size_bytes: of all its files.
        finished_at: when the task finished, `None` where that is unknown.
    """

    name: str
    delete: bool
    why: str
    size_bytes: int = 0
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides.

    Attributes:
        now: the time that ages are measured from.
        ttl: how long results live after a task finished; `None`: for ever.
        unfinished: whether Dagster knows a task, or a run, that has not ended; what it does not know has.
        as_promised: whether a task also stays as long as its manifest's `expires_at` says, for ever where it
            says nothing. Where nobody has set a time to live on purpose, a longer one may have been promised.
    """

    now: datetime
    ttl: timedelta | None
    unfinished: Callable[[str], bool]
    as_promised: bool = False


def verdicts(layout: Layout, rules: Rules) -> Iterator[Verdict]:
    """What the rules say of every entry of the tasks' folder, leftovers of attempts included."""
    with os.scandir(layout.tasks) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                yield verdict_of(layout, entry.name, rules)
    with suppress(FileNotFoundError), os.scandir(layout.staging("")) as entries:
        for entry in entries:
            yield _of_leftover(Path(entry.path), rules)
    with suppress(FileNotFoundError), os.scandir(layout.sweep_parts("")) as entries:
        for entry in entries:
            yield _of_parts(Path(entry.path), rules)


def size_bytes(folder: Path) -> int:
    """Size of all regular files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    total += size_bytes(Path(entry.path))
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def verdict_of(layout: Layout, name: str, rules: Rules) -> Verdict:
    """What the rules say of one entry of the tasks' folder."""
    path = layout.tasks / name
    if refusal := _no_task(layout, path):
        return refusal
    size = size_bytes(path)
    facts = _facts(layout, name)
    if facts in _PROTECTED:
        return Verdict(name, delete=False, why=_PROTECTED[str(facts)], size_bytes=size)
    try:
        finished = _newest_change(path) if isinstance(facts, str) else facts.finished_at
    except FileNotFoundError:
        return Verdict(name, delete=False, why=GONE)
    keep = _reason_to_keep(name, facts, finished, rules)
    shown = None if isinstance(facts, str) else facts.finished_at
    if keep:
        return Verdict(name, delete=False, why=keep, size_bytes=size, finished_at=shown)
    why = "left without a manifest" if isinstance(facts, str) else f"{facts.status}, past its time"
    return Verdict(name, delete=True, why=why, size_bytes=size, finished_at=shown)


def _no_task(layout: Layout, path: Path) -> Verdict | None:
    """The verdict on what is no task's folder; `None` for one that is."""
    try:
        layout.task(path.name)
    except TaskUnknown:
        if path.is_symlink() or not any((path / file).is_file() for file in _RESULT_FILES):
            return Verdict(path.name, delete=False, why="not a task")
        return Verdict(path.name, delete=False, why=FOREIGN, size_bytes=size_bytes(path))
    if path.is_symlink() or not path.is_dir():
        return Verdict(path.name, delete=False, why="not a task's folder")
    return None


def _reason_to_keep(name: str, facts: _Facts | str, finished: datetime, rules: Rules) -> str:
    """Why a task stays; empty where it may go."""
    if not isinstance(facts, str) and facts.pinned:
        return "pinned"
    if rules.ttl is None:
        return "kept for ever"
    expires_at = finished + rules.ttl
    if rules.as_promised and not isinstance(facts, str):
        if facts.expires_at is None:
            return "kept for ever"
        expires_at = max(expires_at, facts.expires_at)
    if rules.now <= expires_at:
        return "not past its time"
    return "unfinished" if rules.unfinished(name) else ""


def _of_leftover(path: Path, rules: Rules) -> Verdict:
    """What a dead attempt had staged: `.staging/<run id>`, or with `.final` what the sensor had."""
    name, size = f".staging/{path.name}", size_bytes(path)
    if path.is_symlink() or not path.is_dir():
        return Verdict(name, delete=False, why="not a task's folder")
    try:
        changed = _newest_change(path)
    except FileNotFoundError:
        return Verdict(name, delete=False, why=GONE)
    if rules.now - changed <= LEFTOVER_AGE:
        return Verdict(name, delete=False, why="staged less than a day ago", size_bytes=size)
    if rules.unfinished(path.name.removesuffix(".final")):
        return Verdict(name, delete=False, why="unfinished", size_bytes=size)
    return Verdict(name, delete=True, why="left by a dead attempt", size_bytes=size)


def _of_parts(path: Path, rules: Rules) -> Verdict:
    """What an unfinished sweep has left for whoever runs it again: `.sweeps/<key>`."""
    name, size = f".sweeps/{path.name}", size_bytes(path)
    if path.is_symlink() or not path.is_dir():
        return Verdict(name, delete=False, why="not a sweep's folder")
    try:
        changed = _newest_change(path)
    except FileNotFoundError:
        return Verdict(name, delete=False, why=GONE)
    if rules.ttl is None:
        return Verdict(name, delete=False, why="kept for ever", size_bytes=size)
    if rules.now - changed <= rules.ttl:
        return Verdict(name, delete=False, why="not past its time", size_bytes=size)
    if SweepParts(path).used():
        return Verdict(name, delete=False, why="unfinished", size_bytes=size)
    return Verdict(name, delete=True, why="left by an unfinished sweep", size_bytes=size)


@dataclass(frozen=True, slots=True)
class _Facts:
    status: str
    pinned: bool
    finished_at: datetime
    expires_at: datetime | None


def _facts(layout: Layout, task_id: str) -> _Facts | Literal["missing", "damaged", "foreign"]:
    """What a manifest says that matters here; a predecessor's has no schema version."""
    path = layout.manifest(task_id)
    try:
        record: Any = from_json(path.read_bytes())
        if of_another_system(record):
            return "foreign"
        if record["schema_version"] != 1 or record["task_id"] != task_id:
            return "damaged"
        finished_at, expires_at = record["timestamps"]["finished_at"], record["timestamps"].get("expires_at")
        return _Facts(
            str(record["status"]),
            bool(record["pinned"]),
            datetime.fromisoformat(finished_at).astimezone(UTC),
            datetime.fromisoformat(expires_at).astimezone(UTC) if expires_at else None,
        )
    except FileNotFoundError:
        if path.is_symlink():
            return "damaged"
        return "foreign" if path.with_name("result.json").exists() else "missing"
    except (OSError, ValueError, KeyError, TypeError):
        return "damaged"


def _newest_change(folder: Path) -> datetime:
    newest = folder.lstat().st_mtime
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            newest = max(newest, entry.stat(follow_symlinks=False).st_mtime)
    return datetime.fromtimestamp(newest, UTC)
