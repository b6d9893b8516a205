"""Which task in a folder of results somebody means."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backtest_pipeline.model.task_names import LAST, is_task_id, only_match, written_name
from backtest_pipeline.results.catalog import read_catalog

if TYPE_CHECKING:
    from backtest_pipeline.storage.layout import Layout


def stored_id(layout: Layout, text: str) -> str | None:
    """Return the whole id of the task that `text` names: an id, the beginning of one, or `last`.

    None where no folder of a task begins so, or there is no result at all; a whole id is handed back as it
    is, whatever there is.

    Raises:
        TaskUnknown: `text` names no task.
        TaskAmbiguous: it is the beginning of several ids.
        RequestInvalid: it is no text.
    """
    if is_task_id(written_name(text)):
        return text
    return newest_task(layout) if text == LAST else only_match(text, _ids_of(layout))


def newest_task(layout: Layout) -> str | None:
    """Return the task that was submitted last of those that have a readable manifest; None without any.

    A manifest is written after its task was submitted, so that only the youngest files have to be read.
    """
    newest: tuple[datetime, str] | None = None
    for written_s, task_id in sorted(_written(layout), reverse=True):
        if newest is not None and datetime.fromtimestamp(written_s, UTC) < newest[0]:
            break
        for manifest in read_catalog(layout, task_ids=[task_id]).manifests.values():
            submitted_at = datetime.fromisoformat(manifest["timestamps"]["submitted_at"])
            newest = max(newest or (submitted_at, task_id), (submitted_at, task_id))
    return None if newest is None else newest[1]


def _written(layout: Layout) -> list[tuple[float, str]]:
    written = []
    for task_id in _ids_of(layout):
        try:
            written.append((layout.manifest(task_id).stat().st_mtime, task_id))
        except OSError:
            continue
    return written


def _ids_of(layout: Layout) -> list[str]:
    try:
        with os.scandir(layout.tasks) as entries:
            return [entry.name for entry in entries if is_task_id(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
