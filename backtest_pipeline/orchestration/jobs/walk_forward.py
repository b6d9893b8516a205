"""The job `walk_forward`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.jobs.search_ops import SearchKind, search_job
from backtest_pipeline.orchestration.jobs.walk_forward_form import (
    walk_forward_form,
    walk_forward_presets_text,
)
from backtest_pipeline.orchestration.tasks.manifests import completed_walk_forward_manifest
from backtest_pipeline.orchestration.tasks.report_publishing import (
    add_robustness,
    add_walk_forward_picture,
    add_walk_forward_report,
)
from backtest_pipeline.orchestration.tasks.walk_forward_context import WalkForwardContext
from backtest_pipeline.orchestration.tasks.walk_forward_page import (
    fold_lines,
    training_lines,
    walk_forward_materialization,
    walk_forward_progress,
    walk_forward_tags,
)
from backtest_pipeline.results.disk_usage import require_sweep_room
from backtest_pipeline.strategies.registry import strategies
from backtest_pipeline.web.addresses import RESULTS


def _prepare(own: WalkForwardContext, config: Mapping[str, Any]) -> Sequence[str]:
    plan = own.plan(config)
    trials = plan.request.sweep.planned_trials * len(plan.trainings)
    require_sweep_room(own.task_store.layout.data_root, trials)
    return fold_lines(plan)


_STRATEGIES = strategies()
walk_forward = search_job(
    SearchKind(
        job=tags.WALK_FORWARD_JOB,
        ops=("load_walk_forward_candles", "run_trials_of_walk_forward", "write_walk_forward_results"),
        new_context=WalkForwardContext,
        tags_of=walk_forward_tags,
        prepare=_prepare,
        report=walk_forward_progress,
        lines=training_lines,
        manifest_of=completed_walk_forward_manifest,
        page_of=walk_forward_materialization,
        after=(add_robustness, add_walk_forward_picture, add_walk_forward_report),
    ),
    walk_forward_form(_STRATEGIES),
    "Asks what a search is worth on candles that it has not seen: in each fold a sweep runs on the training, "
    "and its winner trades the test after it. The account that goes through all tests is the result; every "
    "fold is a row of `folds.parquet` in the task's folder. One that is cancelled or interrupted goes on "
    "where it was when the same is launched again. "
    f"[All results]({RESULTS}) are in a table.\n\n" + walk_forward_presets_text(_STRATEGIES),
)
