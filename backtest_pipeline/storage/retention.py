"""Which results may be deleted, and deleting them so that an interruption leaves no half task.

What is deleted: tasks that finished longer ago than the time to live, folders without a manifest that nobody
works on, and what dead attempts have left. Everything else stays: pinned and unfinished tasks, symbolic
links, whatever is not a task's folder, manifests that cannot be read. A folder is renamed into `.trash`
first, under the lock that publishing takes, and looked at again there.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic_core import from_json

from backtest_pipeline.model.errors import TaskUnknown
from backtest_pipeline.model.manifest import of_another_system
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.storage.publishing import publishing

LEFTOVER_AGE = timedelta(days=1)
_EXPIRED = ".expired"
_GONE = "gone meanwhile"
FOREIGN = "a result of another system"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one entry of the tasks' folder.

    Attributes:
        name: the entry's name, a task id where it is a task.
        delete: whether it goes.
        why: the reason, for people.
        size_bytes: of all its files.
        finished_at: when the task finished, none where that is unknown.
    """

    name: str
    delete: bool
    why: str
    size_bytes: int = 0
    finished_at: datetime | None = None


@dataclass(slots=True)
class Swept:
    """The outcome of one cleanup.

    Attributes:
        deleted: what is gone; in a dry run, what would go.
        kept: how many entries stayed, by reason.
        kept_bytes: their size.
        failed: what could not be deleted, with the reason.
    """

    deleted: list[Verdict] = field(default_factory=list)
    kept: Counter[str] = field(default_factory=Counter)
    kept_bytes: int = 0
    failed: list[Verdict] = field(default_factory=list)

    @property
    def freed_bytes(self) -> int:
        """Size of what was deleted."""
        return sum(verdict.size_bytes for verdict in self.deleted)


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides.

    Attributes:
        now: the time that ages are measured from.
        ttl: how long results live after a task finished; none: for ever.
        unfinished: whether Dagster knows a task, or a run, that has not ended; what it does not know has.
        as_promised: whether a task also stays as long as its manifest's `expires_at` says, for ever where it
            says nothing. Where nobody has set a time to live on purpose, a longer one may have been promised.
    """

    now: datetime
    ttl: timedelta | None
    unfinished: Callable[[str], bool]
    as_promised: bool = False


def sweep(
    data_root: Path,
    rules: Rules,
    *,
    dry_run: bool = False,
    tell: Callable[[Verdict], object] = lambda _: None,
) -> Swept:
    """Deletes what the rules allow, one task after another. Repeated, it deletes nothing more.

    Two at once share the work. One that is killed leaves whole tasks, and entries in `.trash` for the next.

    Args:
        data_root: the volume; nothing outside its folder `tasks` is touched.
        rules: what decides.
        dry_run: only tell.
        tell: called with each verdict, kept entries included.

    Returns:
        What was done.
    """
    layout, swept = Layout(data_root), Swept()
    if not layout.tasks.is_dir():
        return swept
    if not dry_run:
        _empty_trash(layout)
    for first in verdicts(layout, rules):
        verdict, reason = first, first.why
        if first.delete and not dry_run:
            try:
                verdict = _deleted(layout, first, rules)
                reason = verdict.why
            except OSError as error:
                reason = "cannot be deleted"
                verdict = replace(first, delete=False, why=f"{reason}: {error}")
                swept.failed.append(verdict)
        if verdict.delete:
            swept.deleted.append(verdict)
        elif reason != _GONE:
            swept.kept[reason] += 1
            swept.kept_bytes += verdict.size_bytes
        tell(verdict)
    return swept


def verdicts(layout: Layout, rules: Rules) -> Iterator[Verdict]:
    """What the rules say of every entry of the tasks' folder, leftovers of attempts included."""
    with os.scandir(layout.tasks) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                yield _of_entry(layout, entry.name, rules)
    with suppress(FileNotFoundError), os.scandir(layout.staging("")) as entries:
        for entry in entries:
            yield _of_leftover(Path(entry.path), rules)


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


def _of_entry(layout: Layout, name: str, rules: Rules) -> Verdict:
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
        return Verdict(name, delete=False, why=_GONE)
    keep = _reason_to_keep(name, facts, finished, rules)
    shown = None if isinstance(facts, str) else facts.finished_at
    if keep:
        return Verdict(name, delete=False, why=keep, size_bytes=size, finished_at=shown)
    why = "left without a manifest" if isinstance(facts, str) else f"{facts.status}, past its time"
    return Verdict(name, delete=True, why=why, size_bytes=size, finished_at=shown)


def _no_task(layout: Layout, path: Path) -> Verdict | None:
    """The verdict on what is no task's folder; none for one that is."""
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
        return Verdict(name, delete=False, why=_GONE)
    if rules.now - changed <= LEFTOVER_AGE:
        return Verdict(name, delete=False, why="staged less than a day ago", size_bytes=size)
    if rules.unfinished(path.name.removesuffix(".final")):
        return Verdict(name, delete=False, why="unfinished", size_bytes=size)
    return Verdict(name, delete=True, why="left by a dead attempt", size_bytes=size)


_RESULT_FILES = ("manifest.json", "result.json")
_PROTECTED = {"damaged": "its manifest cannot be read", "foreign": FOREIGN}


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


def _deleted(layout: Layout, verdict: Verdict, rules: Rules) -> Verdict:
    """Deletes one entry; under the lock it is looked at again: it may have been pinned or run meanwhile."""
    path = layout.tasks / verdict.name
    trashed = layout.trash(f"{path.name}{_EXPIRED}")
    with publishing(layout):
        if not path.exists():
            return Verdict(verdict.name, delete=False, why=_GONE)
        if path.parent == layout.tasks:
            verdict = _of_entry(layout, verdict.name, rules)
            if not verdict.delete:
                return verdict
        trashed.parent.mkdir(exist_ok=True)
        shutil.rmtree(trashed, ignore_errors=True)
        path.rename(trashed)
    shutil.rmtree(trashed, ignore_errors=True)
    return verdict


def _empty_trash(layout: Layout) -> None:
    """Finishes what killed processes began; a task that was being replaced and has no folder gets it back."""
    if not layout.trash("").is_dir():
        return
    with publishing(layout):
        dead = list(layout.trash("").iterdir())
        for path in dead:
            if not path.name.endswith(_EXPIRED):
                _give_back(layout, path)
    for path in dead:
        shutil.rmtree(path, ignore_errors=True)


def _give_back(layout: Layout, path: Path) -> None:
    with suppress(OSError, ValueError, KeyError, TypeError, TaskUnknown):
        target = layout.task(from_json((path / "manifest.json").read_bytes())["task_id"])
        if not target.exists():
            path.rename(target)
