"""`backtest scenarios`: a completed backtest in other histories of its market."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, cast

import typer

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.cli.output import Json, TaskId, print_json, print_table, stderr
from backtest_pipeline.cli.stored_tasks import located
from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.metric_catalog import shown
from backtest_pipeline.settings import get_settings

if TYPE_CHECKING:
    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.workflows.run_scenarios import Scenarios


def scenarios(
    task: TaskId,
    *,
    runs: Annotated[int, typer.Option(min=1, max=10_000, help="how many other histories")] = 200,
    block_bars: Annotated[
        int | None,
        typer.Option(min=1, help="length of the blocks; chosen from the returns", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="of the draws")] = 0,
    json: Json = False,
) -> None:
    """Runs a completed backtest again on its market's bars in other orders; needs no server.

    Within a block, bars follow each other as they did. Says in which share of such histories the result would
    have been worse.
    """
    from backtest_pipeline.workflows.rerun import candles_of_backtest  # noqa: PLC0415  loads the kernels
    from backtest_pipeline.workflows.run_scenarios import run_scenarios  # noqa: PLC0415  as above

    store, task_id = located(task)
    stored = store.result(task_id)
    candles_store = CandleStore(store.layout.data_root, get_settings().candle_timezone)
    candles, _, changed = candles_of_backtest(stored, cast("Manifest", stored.manifest), candles_store)
    if changed:
        raise RequestInvalid([("TASK", one) for one in changed], heading="its candles have changed since")
    found = run_scenarios(
        candles,
        stored.request,
        runs=runs,
        block_bars=block_bars,
        seed=seed,
        timezone=candles_store.zone.key,
    )
    if json:
        print_json(asdict(found))
        return
    _print(found)


def _print(found: Scenarios) -> None:
    rows = [
        (
            name,
            shown(name, own.actual),
            "-" if own.worse_frac is None else f"{own.worse_frac:.0%}",
            shown(name, own.low),
            shown(name, own.median),
            shown(name, own.high),
        )
        for name, own in found.metrics.items()
    ]
    heads = ("metric", "as it was", "worse in", "5 %", "median", "95 %")
    print_table(heads, rows, right=list(heads[1:]))
    made = f"{counted(found.runs, 'history', 'histories')} of blocks of {counted(found.block_bars, 'bar')}"
    share = found.metrics["sharpe"].worse_frac
    said = "" if share is None else f"; in {share:.0%} of them the Sharpe ratio would have been worse"
    stderr.print(f"{made}{said}", highlight=False, soft_wrap=True)
