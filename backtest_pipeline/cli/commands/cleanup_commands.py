"""Commands about how long results live: clean up, pin, unpin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from backtest_pipeline.cli.output import Json, TaskIds, console, print_json, print_table, shown_size
from backtest_pipeline.cli.stored_tasks import tell_last
from backtest_pipeline.local_service.home import prepare_beside
from backtest_pipeline.model.counted import counted
from backtest_pipeline.sdk.client import BacktestClient
from backtest_pipeline.settings import get_settings

if TYPE_CHECKING:
    from backtest_pipeline.orchestration.tasks.expiry import CleanupReport


def cleanup(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only list what would be deleted")] = False,
    older_than_days: Annotated[
        float | None, typer.Option(help="instead of TASK_RESULT_TTL_DAYS", show_default=False)
    ] = None,
    json: Json = False,
) -> None:
    """Deletes expired results and old run records, as the nightly job does; needs no server."""
    report = _clean_up(older_than_days, dry_run=dry_run)
    if json:
        print_json(report.to_dict())
    else:
        _show(report)
    if report.swept.failed:
        raise typer.Exit(1)


def pin(task: TaskIds, *, json: Json = False) -> None:
    """Keeps tasks' results for ever."""
    _set_pins(task, pinned=True, as_json=json)


def unpin(task: TaskIds, *, json: Json = False) -> None:
    """Lets tasks' results expire again, counted from when they finished."""
    _set_pins(task, pinned=False, as_json=json)


def _set_pins(task_ids: list[str], *, pinned: bool, as_json: bool) -> None:
    with BacktestClient(patience_s=0) as client:
        manifests = [client.pin(one) if pinned else client.unpin(one) for one in task_ids]
    tell_last(task_ids, [manifest.task_id for manifest in manifests])
    if as_json:
        print_json([manifest.model_dump(mode="json") for manifest in manifests])
        return
    for manifest in manifests:
        expires_at = manifest.timestamps.expires_at
        kept = f"may be deleted from {expires_at:%Y-%m-%d %H:%M} UTC on" if expires_at else "kept for ever"
        console.print(f"{manifest.task_id}: {kept}", highlight=False, soft_wrap=True)


def _clean_up(older_than_days: float | None, *, dry_run: bool) -> CleanupReport:
    from backtest_pipeline.orchestration.tasks.expiry import clean_up_home  # noqa: PLC0415  seconds of imports

    settings = get_settings()
    prepare_beside(settings.dagster_home)
    return clean_up_home(settings, older_than_days=older_than_days, dry_run=dry_run)


def _show(report: CleanupReport) -> None:
    swept, done = report.swept, "would go" if report.dry_run else "deleted"
    rows = [(done, one.name, shown_size(one.size_bytes), one.why) for one in swept.deleted]
    rows += [("FAILED", one.name, shown_size(one.size_bytes), one.why) for one in swept.failed]
    rows += [
        ("kept", counted(count, "entry", "entries"), "", why) for why, count in sorted(swept.kept.items())
    ]
    print_table(("", "what", "size", "why"), rows, right=["size"])
    console.print(
        f"{done}: {counted(len(swept.deleted), 'folder')}, {shown_size(swept.freed_bytes)}, and "
        f"{counted(len(report.records), 'run record')}; kept: {shown_size(swept.kept_bytes)}",
        highlight=False,
        soft_wrap=True,
    )
