"""The command that searches and tries what it has found on candles that the search has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pyarrow.parquet as pq
import typer

from backtest_pipeline.cli.commands.sweep_commands import (
    Objective,
    Search,
    SearchSeed,
    Trials,
    Vary,
    Where,
    assessed,
    searched,
)
from backtest_pipeline.cli.commands.task_commands import (
    Fresh,
    Key,
    ServerCode,
)
from backtest_pipeline.cli.output import Json, print_json, print_table, stderr
from backtest_pipeline.cli.request_options import takes_varied_request
from backtest_pipeline.cli.space_options import parsed_space
from backtest_pipeline.cli.stored_tasks import located
from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.metric_catalog import shown, unit_of
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.task_request import stored_walk_forward
from backtest_pipeline.model.walk_forward_request import (
    DEFAULT_TEST,
    DEFAULT_TRAIN,
    PURGED,
    WalkForwardRequest,
)
from backtest_pipeline.results.completed_walk_forwards import FOLDS_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from backtest_pipeline.model.manifest import Manifest

_LENGTH = "bars, as 500, or a span, as 2y, 6mo, 8w, 90d, 12h"


@takes_varied_request
def walk_forward(
    request: BacktestRequest,
    *,
    vary: Vary,
    train: Annotated[
        str | None, typer.Option(help=f"length of a training: {_LENGTH}", show_default=DEFAULT_TRAIN)
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(help="length of a test part, in bars where --train is", show_default=DEFAULT_TEST),
    ] = None,
    anchored: Annotated[
        bool, typer.Option("--anchored", help="trainings begin with the first candle")
    ] = False,
    purge_bars: Annotated[int, typer.Option(help="bars between a training and its test")] = 0,
    embargo_bars: Annotated[int, typer.Option(help="with --purged: bars left out after a test")] = 0,
    purged: Annotated[bool, typer.Option("--purged", help="combinatorial purged cross-validation")] = False,
    folds: Annotated[
        int | None, typer.Option(help="with --purged: into how many to cut", show_default="6")
    ] = None,
    test_folds: Annotated[
        int | None, typer.Option(help="with --purged: tested at a time", show_default="2")
    ] = None,
    search: Search = "grid",
    trials: Trials = None,
    objective: Objective = "sharpe",
    where: Where = None,
    search_seed: SearchSeed = 0,
    detach: Annotated[bool, typer.Option("--detach", help="print the task's id and do not wait")] = False,
    idempotency_key: Key = None,
    fresh: Fresh = False,
    server_code: ServerCode = False,
    json: Json = False,
) -> None:
    """Searches in each of many trainings and lets the winner trade what comes after.

    What it prints is out of sample: no trial has seen the candles that the account has traded. Ctrl-C leaves
    it to go on.
    """
    asked = WalkForwardRequest(
        sweep=SweepRequest(
            backtest=request,
            space=parsed_space(vary),
            search=search,
            trials=trials,
            objective=objective,
            where=tuple(where or ()),
            seed=search_seed,
        ),
        train=train,
        test=test,
        anchored=anchored,
        purge_bars=purge_bars,
        embargo_bars=embargo_bars,
        cross_validation=PURGED if purged else None,
        folds=folds,
        test_folds=test_folds,
    )
    ended = searched(
        asked, idempotency_key, reuse=not fresh, server_code=server_code, detach=detach, json=json
    )
    if ended is None:
        return
    store, _ = located(ended.task_id)
    manifest = assessed(store, ended.task_id)
    if json:
        print_json(manifest.model_dump(mode="json"))
        return
    _print_folds(store.layout.task(ended.task_id), manifest)
    print_walk_forward(manifest)
    stderr.print(f"task {ended.task_id}\nresults in {ended.result_path}", highlight=False, soft_wrap=True)


def print_walk_forward(manifest: Manifest) -> None:
    """Prints the metrics out of sample, and tells how they came about."""
    print_table(
        ("metric", "out of sample", "unit"),
        [(name, shown(name, value), unit_of(name)) for name, value in manifest.metrics.items()],
        right=["out of sample"],
    )
    counts = dict(manifest.summary.trials or {})
    counts.pop("ranked", 0)
    folds = counted(manifest.summary.folds or 0, "fold")
    lines = [f"{folds}, {counted(sum(counts.values()), 'trial')}"]
    lines += [f"note: {remark}" for remark in manifest.diagnostics]
    if manifest.robustness is not None:
        lines.append(f"verdict: {manifest.robustness.verdict}")
    stderr.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _print_folds(folder: Path, manifest: Manifest) -> None:
    """Prints what each fold has chosen, and what that was worth."""
    request = stored_walk_forward(manifest.request)
    keys, objective = list(request.sweep.space), request.sweep.objective
    rows = pq.read_table(folder / FOLDS_FILE, use_threads=False).to_pylist()
    columns = [
        "fold",
        "tested from",
        "to",
        "trial",
        *(key.removeprefix("params.") for key in keys),
        f"{objective} in sample",
        "out of sample",
        "return",
    ]
    print_table(columns, [_cells(row, keys, objective) for row in rows], right=columns[-3:])


def _cells(row: dict[str, Any], keys: list[str], objective: str) -> tuple[str, ...]:
    return (
        str(row["fold"]),
        f"{row['test_start']:%Y-%m-%d}",
        f"{row['test_end']:%Y-%m-%d}",
        "-" if row["trial"] is None else str(row["trial"]),
        *("-" if row["trial"] is None else "none" if row[key] is None else str(row[key]) for key in keys),
        shown(objective, row["in_sample_objective"]),
        shown(objective, row["out_of_sample_objective"]),
        shown("total_return", row["out_of_sample_total_return"]),
    )
