"""A run past its time: it fails, and is not tried again, as it would take as long once more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from backtest_pipeline.model import tags

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, RunRecord


def timed_out(record: RunRecord, now_s: float) -> bool:
    """Whether a run has been running for longer than it may; `now_s` in seconds since 1970."""
    most_s = tags.number(record.dagster_run.tags, tags.MAX_RUNTIME, math.inf)
    return record.start_time is not None and now_s - record.start_time > most_s


def fail_timed_out(instance: DagsterInstance, run: DagsterRun) -> None:
    """Fails a run before its worker is interrupted, which otherwise might call it cancelled."""
    most_s = run.tags[tags.MAX_RUNTIME]
    message = f"took longer than its timeout_s of {most_s} s; raise it, or ask for less at once"
    run_tags = {tags.MAX_RETRIES: "0", tags.STAGE: "timed out", tags.ERROR: message}
    instance.add_run_tags(run.run_id, run_tags)
    instance.report_run_failed(run, message)
