"""What people see of a walk-forward in Dagster's pages: tags, progress, log lines, the materialization."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow.parquet as pq

from backtest_pipeline.model import tags
from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.metric_catalog import shown
from backtest_pipeline.orchestration.tasks.run_page import headline_entries, metrics_table, what_was_run
from backtest_pipeline.orchestration.tasks.sweep_page import sweep_progress, sweep_tags, trials_line
from backtest_pipeline.results.completed_walk_forwards import FOLDS_FILE
from backtest_pipeline.storage.layout import CHART, REPORT
from backtest_pipeline.web.addresses import RESULTS

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
    from backtest_pipeline.orchestration.tasks.progress_tags import ProgressTags
    from backtest_pipeline.research.fold_plan import FoldPlan
    from backtest_pipeline.workflows.sweep_progress import SweepProgress
    from backtest_pipeline.workflows.walk_forward_chunks import TrainingTally

MOST_SHOWN = 50


def walk_forward_tags(request: WalkForwardRequest) -> dict[str, str]:
    """The tags by which a walk-forward is found in the runs list."""
    return {**sweep_tags(request.sweep), tags.REQUEST_DIGEST: request.digest()}


def walk_forward_progress(
    progress: ProgressTags, request: WalkForwardRequest
) -> Callable[[SweepProgress], None]:
    """As `sweep_progress`, of the trials of all trainings."""
    return sweep_progress(progress, request.sweep)


def fold_lines(plan: FoldPlan) -> list[str]:
    """How many folds there are, and from when to when the first ones go."""
    lines = [f"{counted(len(plan.folds), 'fold')}, {counted(len(plan.trainings), 'training')} to search"]
    for fold in plan.folds[:MOST_SHOWN]:
        tests = ", ".join(f"{one.start:%Y-%m-%d} to {one.end:%Y-%m-%d}" for one in fold.tests)
        own = [plan.trainings[number] for number in fold.trainings]
        bars = counted(sum(one.bars for one in own), "bar")
        lines.append(
            f"fold {fold.number}: trained on {bars}, {own[0].start:%Y-%m-%d} to {own[-1].end:%Y-%m-%d}; "
            f"tested {tests}"
        )
    return lines


def training_lines(_: WalkForwardRequest, tally: TrainingTally) -> list[str]:
    """How many trials there are of each state."""
    return [trials_line(tally)]


def walk_forward_materialization(
    manifest: Manifest, request: WalkForwardRequest, folder: Path
) -> dg.AssetMaterialization:
    """The results as an asset `walk_forwards/<strategy>`: the account out of sample, and the folds."""
    pages = f"/tasks/{manifest.task_id}"
    return dg.AssetMaterialization(
        asset_key=["walk_forwards", manifest.strategy_id],
        description=f"{what_was_run(manifest)}, out of sample, by {request.sweep.objective}",
        metadata={
            "report": dg.MetadataValue.url(f"{pages}/{REPORT}"),
            "result": dg.MetadataValue.url(f"{RESULTS}/{manifest.task_id}"),
            "equity": dg.MetadataValue.md(f"![equity out of sample]({pages}/{CHART})"),
            **headline_entries(manifest.metrics),
            "trials": dg.MetadataValue.json(manifest.summary.trials or {}),
            "folds": _folds(request, folder),
            "metrics out of sample": dg.MetadataValue.md(metrics_table(manifest.metrics)),
            "warnings": dg.MetadataValue.md(
                "\n".join(f"- {line}" for line in manifest.diagnostics) or "none"
            ),
            "look-ahead check": dg.MetadataValue.json(manifest.checks.get("look_ahead", {})),
            "folder": dg.MetadataValue.path(str(folder)),
            "task": manifest.task_id,
        },
    )


def _folds(request: WalkForwardRequest, folder: Path) -> dg.TableMetadataValue:
    objective, keys = request.sweep.objective, list(request.sweep.space)
    rows = pq.read_table(folder / FOLDS_FILE, use_threads=False).slice(0, MOST_SHOWN).to_pylist()
    records = [
        dg.TableRecord(
            {
                "fold": row["fold"],
                "test": f"{row['test_start']:%Y-%m-%d} to {row['test_end']:%Y-%m-%d}",
                "trial": "-" if row["trial"] is None else str(row["trial"]),
                **{key: str(row[key]) for key in keys},
                "in sample": shown(objective, row["in_sample_objective"]),
                "out of sample": shown(objective, row["out_of_sample_objective"]),
                "return": shown("total_return", row["out_of_sample_total_return"]),
            }
        )
        for row in rows
    ]
    names = ["fold", "test", "trial", *keys, "in sample", "out of sample", "return"]
    columns = [dg.TableColumn(name, "int" if name == "fold" else "string") for name in names]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))
