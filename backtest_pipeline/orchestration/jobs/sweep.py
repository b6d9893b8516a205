"""The job `sweep`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.jobs.search_ops import SearchKind, search_job
from backtest_pipeline.orchestration.jobs.sweep_form import sweep_form, sweep_presets_text
from backtest_pipeline.orchestration.tasks.manifests import completed_sweep_manifest
from backtest_pipeline.orchestration.tasks.report_publishing import (
    add_robustness,
    add_sweep_picture,
    add_sweep_report,
)
from backtest_pipeline.orchestration.tasks.sweep_context import SweepContext
from backtest_pipeline.orchestration.tasks.sweep_page import (
    sweep_lines,
    sweep_materialization,
    sweep_progress,
    sweep_tags,
)
from backtest_pipeline.results.disk_usage import require_sweep_room
from backtest_pipeline.strategies.registry import strategies
from backtest_pipeline.web.addresses import RESULTS


def _prepare(own: SweepContext, config: Mapping[str, Any]) -> Sequence[str]:
    require_sweep_room(own.task_store.layout.data_root, own.request(config).planned_trials)
    return []


_STRATEGIES = strategies()
sweep = search_job(
    SearchKind(
        job=tags.SWEEP_JOB,
        ops=("load_sweep_candles", "run_trials_of_sweep", "write_sweep_results"),
        new_context=SweepContext,
        tags_of=sweep_tags,
        prepare=_prepare,
        report=sweep_progress,
        lines=sweep_lines,
        manifest_of=completed_sweep_manifest,
        page_of=sweep_materialization,
        after=(add_robustness, add_sweep_picture, add_sweep_report),
    ),
    sweep_form(_STRATEGIES),
    "Searches over combinations of parameters and fields of a backtest. Say what to vary, how to search "
    "and which metric tells the best; every trial is a row of `trials.parquet` in the task's folder. "
    "A sweep that is cancelled or interrupted goes on where it was when the same is launched again. "
    f"[All results]({RESULTS}) are in a table.\n\n" + sweep_presets_text(_STRATEGIES),
)
