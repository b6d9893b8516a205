"""What people see of a sweep in Dagster's pages: tags, progress, log lines, the materialization."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.metric_catalog import facts_of, shown
from backtest_pipeline.model.task_kind import strategies_of
from backtest_pipeline.orchestration.tasks.run_page import (
    HEADLINES,
    headline_entries,
    metrics_table,
    what_was_run,
)
from backtest_pipeline.results.sweep_tables import best_rows
from backtest_pipeline.storage.layout import HEATMAP, REPORT
from backtest_pipeline.web.addresses import RESULTS
from backtest_pipeline.workflows.trial_tally import sweep_remarks

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.orchestration.tasks.progress_tags import ProgressTags
    from backtest_pipeline.workflows.sweep_progress import SweepProgress
    from backtest_pipeline.workflows.trial_tally import TrialTally
    from backtest_pipeline.workflows.walk_forward_chunks import TrainingTally

_BEGAN, _DONE = 0.05, 0.95
_ROWS_SHOWN = 10


def sweep_tags(request: SweepRequest) -> dict[str, str]:
    """The tags by which a sweep is found in the runs list."""
    backtest, space = request.backtest, request.space
    symbols = dict.fromkeys(one for few in space.get("symbols", (backtest.symbols,)) for one in few)
    return {
        tags.STRATEGY: ",".join(strategies_of(request.to_dict())),
        tags.SYMBOLS: ",".join(symbols),
        tags.TIMEFRAME: ",".join(space.get("timeframe", (backtest.timeframe,))),
        tags.REQUEST_DIGEST: request.digest(),
        **{f"{tags.LABEL_PREFIX}{key}": value for key, value in backtest.labels.items()},
    }


def sweep_progress(
    progress: ProgressTags, request: SweepRequest, clock: Callable[[], float] = time.monotonic
) -> Callable[[SweepProgress], None]:
    """Tells how many trials are done, how long the others will take, and the best so far."""
    began_s = clock()

    def report(now: SweepProgress) -> None:
        words = [f"{now.done:,} of {now.trials:,} trials"]
        own, took_s = now.done - now.resumed, clock() - began_s
        if own and took_s and now.done < now.trials:
            words.append(f"{_duration((now.trials - now.done) * took_s / own)} left")
        if now.best is not None:
            words.append(f"best {request.objective} {shown(request.objective, now.best)}")
        progress(_BEGAN + (_DONE - _BEGAN) * now.done / now.trials, ", ".join(words))

    return report


def sweep_lines(request: SweepRequest, tally: TrialTally) -> list[str]:
    """How many trials there are of each state, and what is worth knowing of them."""
    return [trials_line(tally), *sweep_remarks(request, tally)]


def trials_line(tally: TrialTally | TrainingTally) -> str:
    """How many trials there are of each state, and how many rank."""
    states = ", ".join(f"{count:,} {state}" for state, count in tally.states.items() if count)
    return f"{counted(tally.done, 'trial')}: {states}; {counted(tally.ranked, 'ranks', 'rank')}"


def sweep_materialization(manifest: Manifest, request: SweepRequest, folder: Path) -> dg.AssetMaterialization:
    """The sweep's results as an asset `sweeps/<strategy>`: the best trial's numbers, and the best rows."""
    pages = f"/tasks/{manifest.task_id}"
    return dg.AssetMaterialization(
        asset_key=["sweeps", manifest.strategy_id],
        description=f"{what_was_run(manifest)}, by {request.objective}",
        metadata={
            "report": dg.MetadataValue.url(f"{pages}/{REPORT}"),
            "result": dg.MetadataValue.url(f"{RESULTS}/{manifest.task_id}"),
            "heatmap": dg.MetadataValue.md(f"![best {request.objective} of the trials]({pages}/{HEATMAP})"),
            **headline_entries(manifest.metrics),
            "trials": dg.MetadataValue.json(manifest.summary.trials or {}),
            "best trials": _best_trials(request, best_rows(folder, _ROWS_SHOWN)),
            "metrics of the best": dg.MetadataValue.md(metrics_table(manifest.metrics)),
            "warnings": dg.MetadataValue.md(
                "\n".join(f"- {line}" for line in manifest.diagnostics) or "none"
            ),
            "look-ahead check": dg.MetadataValue.json(manifest.checks.get("look_ahead", {})),
            "folder": dg.MetadataValue.path(str(folder)),
            "task": manifest.task_id,
        },
    )


def _best_trials(request: SweepRequest, rows: Sequence[dict[str, Any]]) -> dg.TableMetadataValue:
    keys = list(request.space)
    metrics = [name for name in dict.fromkeys([request.objective, *HEADLINES]) if name not in keys]
    records = [
        dg.TableRecord(
            {
                "rank": row["rank"],
                "trial": row["trial"],
                **{key: str(row[key]) for key in keys},
                **{facts_of(name).title.lower(): shown(name, row[name]) for name in metrics},
            }
        )
        for row in rows
    ]
    names = ["rank", "trial", *keys, *(facts_of(name).title.lower() for name in metrics)]
    kinds = {"rank": "int", "trial": "int"}
    columns = [dg.TableColumn(name, kinds.get(name, "string")) for name in names]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns=columns))


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.1f} h"
