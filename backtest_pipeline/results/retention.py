"""Deleting what the rules allow, so that an interruption leaves no half task.

A folder is renamed into `.trash` first, under the lock that publishing takes, and looked at again there.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic_core import from_json

from backtest_pipeline.model.errors import TaskUnknown
from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.results.result_log import note
from backtest_pipeline.results.retention_rules import GONE, Rules, Verdict, verdict_of, verdicts
from backtest_pipeline.storage.atomic import make_folder
from backtest_pipeline.storage.layout import Layout

_EXPIRED = ".expired"


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


def sweep(
    data_root: Path,
    rules: Rules,
    *,
    dry_run: bool = False,
    on_verdict: Callable[[Verdict], object] = lambda _: None,
) -> Swept:
    """Deletes what the rules allow, one task after another. Repeated, it deletes nothing more.

    Two at once share the work. One that is killed leaves whole tasks, and entries in `.trash` for the next.

    Args:
        data_root: the volume; nothing outside its folder `tasks` is touched.
        rules: what decides.
        dry_run: only report.
        on_verdict: called with each verdict, kept entries included.

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
        elif reason != GONE:
            swept.kept[reason] += 1
            swept.kept_bytes += verdict.size_bytes
        on_verdict(verdict)
    return swept


def _deleted(layout: Layout, verdict: Verdict, rules: Rules) -> Verdict:
    """Deletes one entry; under the lock it is looked at again: it may have been pinned or run meanwhile."""
    path = layout.tasks / verdict.name
    trashed = layout.trash(f"{path.name}{_EXPIRED}")
    with publishing(layout):
        if not path.exists():
            return Verdict(verdict.name, delete=False, why=GONE)
        if path.parent == layout.tasks:
            verdict = verdict_of(layout, verdict.name, rules)
            if not verdict.delete:
                return verdict
        make_folder(trashed.parent)
        shutil.rmtree(trashed, ignore_errors=True)
        is_task = path.parent == layout.tasks
        noted = is_task and note(layout, verdict.name, "deleted")
        path.rename(trashed)
    shutil.rmtree(trashed, ignore_errors=True)
    if is_task and not noted:  # the disk was full, and now there is room
        with publishing(layout):
            note(layout, verdict.name, "deleted")
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
