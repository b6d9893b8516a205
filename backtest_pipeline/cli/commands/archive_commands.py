"""`backtest export` and `backtest import-result`: results as one file, to keep or to hand on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backtest_pipeline.cli.commands.result_command import Force, usable_files
from backtest_pipeline.cli.output import Json, TaskId, console, print_json
from backtest_pipeline.cli.stored_tasks import located
from backtest_pipeline.results.archive import export_task, import_archive
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.workflows.record_in_ledger import record_in_ledger

ArchiveFile = Annotated[Path, typer.Argument(metavar="FILE", help="an archive", show_default=False)]


def export(
    task: TaskId,
    *,
    to: Annotated[Path, typer.Option(help="the archive to write", metavar="FILE.tar.zst")],
    force: Force = False,
    json: Json = False,
) -> None:
    """Writes a task's results, once found whole, into one file; needs no server."""
    with usable_files():
        store, task_id = located(task)
        export_task(store.layout, task_id, to, force=force)
        size_bytes = to.stat().st_size
    if json:
        print_json({"task_id": task_id, "file": str(to), "size_bytes": size_bytes})
    else:
        console.print(f"{to}: task {task_id}, {size_bytes:,} bytes", highlight=False, soft_wrap=True)


def import_result(
    file: ArchiveFile,
    *,
    pin: Annotated[
        bool, typer.Option("--pin/--no-pin", help="keep the results for ever, or let them expire")
    ] = True,
    json: Json = False,
) -> None:
    """Puts an archive's results, once found whole, beside the others; needs no server."""
    with usable_files():
        layout = Layout(get_settings().data_root)
        done = import_archive(layout, file, pinned=pin)
        if done.new:
            record_in_ledger(layout, TaskStore(layout.data_root).manifest(done.task_id), done.folder)
    if json:
        print_json({"task_id": done.task_id, "folder": str(done.folder), "new": done.new})
        return
    what = f"results in {done.folder}" if done.new else "its results are here already; nothing to do"
    console.print(f"task {done.task_id}: {what}", highlight=False, soft_wrap=True)
