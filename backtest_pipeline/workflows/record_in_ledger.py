"""Adds a completed task to the ledger."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from backtest_pipeline.results.ledger import Ledger
from backtest_pipeline.workflows.ledger_rows import ledger_rows

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.storage.layout import Layout

_log = logging.getLogger(__name__)


def record_in_ledger(layout: Layout, manifest: Manifest, folder: Path, user: str = "") -> None:
    """Add a completed task to the ledger; repeated, it changes nothing.

    A ledger that cannot be written stops no task: the log says so.

    Args:
        layout: where the ledger is.
        manifest: of the task.
        folder: that holds its tables, published or not yet.
        user: who submitted it, where that is known.
    """
    ledger = Ledger(layout)
    try:
        for row in ledger_rows(folder, manifest, user):
            ledger.append(row)
    except OSError as error:
        _log.warning("task %s is not in the ledger: %s", manifest.task_id, error)
