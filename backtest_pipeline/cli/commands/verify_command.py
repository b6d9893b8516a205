"""`backtest verify`: are stored results whole, do they add up, do they come out the same again?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.cli.lost import LOST, find_lost
from backtest_pipeline.cli.output import NAMES, Json, print_json, stderr
from backtest_pipeline.cli.stored_tasks import located
from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.errors import BacktestError, RequestInvalid, ResultMissing, TaskUnknown
from backtest_pipeline.results.tables import POSITIONS
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.results.verification import Verified, verify_task
from backtest_pipeline.settings import Settings, get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.rerun import Rerun, rerun

if TYPE_CHECKING:
    from pathlib import Path

    from backtest_pipeline.model.manifest import Manifest


def verify(
    task: Annotated[list[str] | None, typer.Argument(metavar="TASK", help=f"the tasks' ids; {NAMES}")] = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="all tasks that have a manifest, and those that should")
    ] = False,
    again: Annotated[
        bool, typer.Option("--rerun", help="run each request again, of a sweep some trials, and compare")
    ] = False,
    json: Json = False,
) -> None:
    """Checks results against their manifests and against themselves; status 1 where anything is wrong."""
    settings = get_settings()
    layout = Layout(settings.data_root)
    if bool(task) == everything:
        raise RequestInvalid([("", "name tasks, or write --all")], heading="nothing to verify")
    facts, bad = [], 0
    lost = _lost(settings) if everything else {}
    named = [_named(layout, one) for one in task or []]
    for place, task_id in named or [
        (layout, one) for one in [*TaskStore(layout.data_root).task_ids(), *lost]
    ]:
        found = lost.get(task_id) or _verified(place, task_id, settings)
        second = _again(found, TaskStore(place.data_root), settings) if again else None
        bad += not _is_good(found, second)
        facts.append(_facts(found, second))
        if not json:
            _tell(found, second)
    if json:
        print_json(facts)
    else:
        stderr.print(f"{counted(len(facts), 'task')}, {bad:,} with problems", highlight=False)
    if bad:
        raise typer.Exit(1)


def _lost(settings: Settings) -> dict[str, Verified]:
    """Tasks that the server calls completed and that have no result; without a server none can be found."""
    try:
        found = find_lost(settings)
    except BacktestError as error:
        stderr.print(
            f"completed tasks without results were not looked for: {error}", highlight=False, soft_wrap=True
        )
        return {}
    if found.elsewhere:
        where = f"the server's results lie elsewhere ({found.elsewhere}), set DATA_ROOT to their folder"
        stderr.print(
            f"completed tasks without results were not looked for: {where}", highlight=False, soft_wrap=True
        )
    return {task.task_id: Verified(task.task_id, "completed", [LOST]) for task in found.tasks}


def _named(layout: Layout, text: str) -> tuple[Layout, str]:
    """Where a task lies that somebody has named, and its id; what is not found is taken as written."""
    try:
        store, task_id = located(text)
    except (TaskUnknown, ResultMissing) as error:
        return layout, error.task_id
    return store.layout, task_id


def _verified(layout: Layout, task_id: str, settings: Settings) -> Verified:
    store = TaskStore(layout.data_root)
    try:
        found = verify_task(layout, task_id)
        if found.status != "completed" or not found.ok:
            return found
        manifest, problems = store.manifest(task_id), []
        if manifest.kind == "sweep":
            problems = _best_problems(layout.task(task_id), manifest)
        elif manifest.kind == "backtest" and any(file.name == POSITIONS for file in manifest.result_files):
            problems = _positions_problems(store, task_id, settings)
        return Verified(task_id, found.status, problems)
    except BacktestError as error:  # no such task, or it went meanwhile
        return Verified(task_id, None, [str(error)])


def _best_problems(folder: Path, manifest: Manifest) -> list[str]:
    from backtest_pipeline.workflows.best_reconciliation import best_account_problems  # noqa: PLC0415  slow

    return best_account_problems(folder, manifest)


def _positions_problems(store: TaskStore, task_id: str, settings: Settings) -> list[str]:
    from backtest_pipeline.workflows.positions_replay import replayed_problems  # noqa: PLC0415  slow

    return replayed_problems(store, task_id, CandleStore(store.layout.data_root, settings.candle_timezone))


def _again(found: Verified, store: TaskStore, settings: Settings) -> Rerun | str | None:
    """A second run of a sound completed task; text says why there is none."""
    if not found.ok or found.status != "completed":
        return None
    candles = CandleStore(store.layout.data_root, settings.candle_timezone)
    try:
        if store.manifest(found.task_id).kind == "sweep":
            return _sample_again(store, found.task_id, candles)
        if store.manifest(found.task_id).kind == "walk_forward":
            return _walk_again(store, found.task_id, candles)
        stored = store.result(found.task_id)
        return rerun(stored, cast("Manifest", stored.manifest), candles)  # a stored result has one
    except BacktestError as error:
        return f"cannot be run again: {error}"


def _sample_again(store: TaskStore, task_id: str, candles: CandleStore) -> Rerun:
    from backtest_pipeline.workflows.sweep_rerun import rerun_sample  # noqa: PLC0415  loads the kernels

    return rerun_sample(store.layout.task(task_id), store.manifest(task_id), candles)


def _walk_again(store: TaskStore, task_id: str, candles: CandleStore) -> Rerun:
    from backtest_pipeline.workflows.walk_forward_rerun import rerun_walk  # noqa: PLC0415  loads the kernels

    return rerun_walk(store.layout.task(task_id), store.manifest(task_id), candles)


def _is_good(found: Verified, second: Rerun | str | None) -> bool:
    return found.ok and (second is None or (isinstance(second, Rerun) and second.ok))


def _facts(found: Verified, second: Rerun | str | None) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "task_id": found.task_id,
        "ok": _is_good(found, second),
        "status": found.status,
        "problems": found.problems,
    }
    if isinstance(second, Rerun):
        facts["rerun"] = {"verdict": second.verdict, "details": second.details}
    elif second is not None:
        facts["rerun"] = {"verdict": None, "details": [second]}
    return facts


def _tell(found: Verified, second: Rerun | str | None) -> None:
    verdict = second.verdict if isinstance(second, Rerun) else (second or "")
    words = ["ok" if _is_good(found, second) else "BAD", found.task_id, found.status or "unknown", verdict]
    typer.echo("\t".join(words).rstrip())
    details = second.details if isinstance(second, Rerun) else []
    for problem in (*found.problems, *details):
        typer.echo(f"    {problem}")
