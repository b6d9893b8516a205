"""Commands about sweeps: search, and look at the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from backtest_pipeline.cli.asking import asking
from backtest_pipeline.cli.commands.task_commands import (
    Fresh,
    Key,
    ServerCode,
    refuse_unfinished,
    say_if_reused,
)
from backtest_pipeline.cli.connection import connected
from backtest_pipeline.cli.output import NOT_TRADABLE, Json, TaskId, print_json, print_table, stderr
from backtest_pipeline.cli.progress_bar import wait_visibly
from backtest_pipeline.cli.request_options import takes_varied_request
from backtest_pipeline.cli.space_options import parsed_space
from backtest_pipeline.cli.stored_tasks import located
from backtest_pipeline.model.checks import looks_ahead
from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.metric_catalog import METRICS, shown, shown_with_unit, unit_of
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.task_request import stored_sweep
from backtest_pipeline.sdk.sweep_results import best_trials

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.model.status import TaskStatus
    from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
    from backtest_pipeline.results.task_store import TaskStore

_HEADLINES = ("total_return", "sharpe", "max_drawdown", "trades")
_SHOWN = 10

Vary = Annotated[
    list[str],
    typer.Option(
        "--vary",
        help="NAME=VALUES, may be repeated: fast=5:50:5 (both ends included), stop_loss_frac=none,0.02,0.05, "
        "timeframe=1h,1d, fee_bps=1:50:log",
        show_default=False,
    ),
]


Search = Annotated[str, typer.Option(help="grid (all combinations), random, sobol or tpe")]
Trials = Annotated[int | None, typer.Option(help="how many, of any search but grid", show_default=False)]
Objective = Annotated[str, typer.Option(help="the metric that ranks trials")]
Where = Annotated[
    list[str] | None,
    typer.Option(help="METRIC>=NUMBER, may be repeated; a trial outside is kept and not ranked"),
]
SearchSeed = Annotated[int, typer.Option(help="seed of the search's own chance")]


@takes_varied_request
def sweep(
    request: BacktestRequest,
    *,
    vary: Vary,
    search: Search = "grid",
    trials: Trials = None,
    objective: Objective = "sharpe",
    where: Where = None,
    keep_best: Annotated[int, typer.Option(help="of how many of the best the equity is kept")] = 20,
    search_seed: SearchSeed = 0,
    detach: Annotated[bool, typer.Option("--detach", help="print the task's id and do not wait")] = False,
    idempotency_key: Key = None,
    fresh: Fresh = False,
    server_code: ServerCode = False,
    json: Json = False,
) -> None:
    """Searches over many settings of a backtest and prints the best; Ctrl-C leaves it to go on.

    A sweep that was cancelled or interrupted goes on where it was when the same is asked for again.
    """
    asked = SweepRequest(
        backtest=request,
        space=parsed_space(vary),
        search=search,
        trials=trials,
        objective=objective,
        where=tuple(where or ()),
        keep_best=keep_best,
        seed=search_seed,
    )
    ended = searched(
        asked, idempotency_key, reuse=not fresh, server_code=server_code, detach=detach, json=json
    )
    if ended is None:
        return
    store, _ = located(ended.task_id)
    manifest = store.manifest(ended.task_id)
    if json:
        print_json(manifest.model_dump(mode="json"))
        return
    _print_best(manifest, best_trials(store, ended.task_id, _SHOWN))
    tell_of_sweep(manifest)
    stderr.print(f"task {ended.task_id}\nresults in {ended.result_path}", highlight=False, soft_wrap=True)


def searched(
    asked: SweepRequest | WalkForwardRequest,
    idempotency_key: str | None,
    *,
    reuse: bool,
    server_code: bool,
    detach: bool,
    json: bool,
) -> TaskStatus | None:
    """Submits a search and waits for its end, visibly; detached, it prints the task and returns None.

    Raises:
        BacktestError: it is refused, or did not complete.
    """
    with connected() as client, asking() as submission:
        task = submission.submit(
            lambda: client.submit(
                asked, idempotency_key=idempotency_key, reuse=reuse, server_code=server_code
            )
        )
        say_if_reused(task)
        if detach:
            print_json(task.model_dump(mode="json")) if json else typer.echo(task.task_id)
            return None
        [ended] = wait_visibly(client, [task.task_id])
        refuse_unfinished(ended)
    return ended


def best(
    task: TaskId,
    *,
    top: Annotated[int, typer.Option(min=1, help="how many trials")] = 20,
    json: Json = False,
) -> None:
    """Shows a completed sweep's best trials; needs no server."""
    store, task_id = located(task)
    rows = best_trials(store, task_id, top)
    if json:
        print_json(rows)
        return
    manifest = assessed(store, task_id)
    _print_best(manifest, rows)
    tell_of_sweep(manifest)


def assessed(store: TaskStore, task_id: str) -> Manifest:
    """A completed task's manifest, with its statistics of luck and skill, computed where they are lacking."""
    from backtest_pipeline.workflows.assess_task import assessed_task  # noqa: PLC0415  loads the kernels

    return assessed_task(store, task_id)


def print_sweep(manifest: Manifest) -> None:
    """Prints the best trial's metrics, and tells of the others."""
    title = "first trial (looks ahead)" if looks_ahead(manifest.checks) else "best trial"
    print_table(
        ("metric", title, "unit"),
        [(name, shown(name, value), unit_of(name)) for name, value in manifest.metrics.items()],
        right=[title],
    )
    tell_of_sweep(manifest)


def tell_of_sweep(manifest: Manifest) -> None:
    """Tells on stderr how many trials there are, what is worth knowing of them, and what can be done next."""
    counts = dict(manifest.summary.trials or {})
    ranked = counts.pop("ranked", 0)
    states = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
    lines = [f"{counted(sum(counts.values()), 'trial')}: {states}; {counted(ranked, 'ranks', 'rank')}"]
    lines += [f"note: {remark}" for remark in manifest.diagnostics]
    if manifest.robustness is not None:
        lines.append(f"verdict: {manifest.robustness.verdict}")
    if looks_ahead(manifest.checks):
        lines.append(f"{manifest.strategy_id} looks ahead, so none of these is the best: {NOT_TRADABLE}")
    elif manifest.summary.best_trial is not None:
        best_trial = manifest.summary.best_trial
        lines.append(f"the best alone: backtest run --from {manifest.task_id} --trial {best_trial}")
    stderr.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _print_best(manifest: Manifest, rows: list[dict[str, Any]]) -> None:
    request = stored_sweep(manifest.request)
    keys = list(request.space)
    metrics = [name for name in dict.fromkeys([request.objective, *_HEADLINES]) if name in METRICS]
    columns = ["rank", "trial", *(key.removeprefix("params.") for key in keys), *metrics]
    cells = [
        (
            f"{row['rank']:,}",
            str(row["trial"]),
            *("none" if row[key] is None else _plain(row[key]) for key in keys),
            *(shown_with_unit(name, row[name]) for name in metrics),
        )
        for row in rows
    ]
    print_table(columns, cells, right=["rank", "trial", *metrics])


def _plain(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
