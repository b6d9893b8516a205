"""`backtest report` and `backtest compare`: pages from results on disk, no server needed."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtest_pipeline.cli.commands.result_command import Force, usable_files
from backtest_pipeline.cli.output import Json, TaskId, TaskIds, print_json, stderr
from backtest_pipeline.cli.stored_tasks import located
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.new_file import new_file
from backtest_pipeline.workflows.render_report import compared_backtests, compared_sweeps, rendered_report

if TYPE_CHECKING:
    from backtest_pipeline.results.task_store import TaskStore

PUBLISHED = "report"

Out = Annotated[Path | None, typer.Option(help="write the page there", metavar="FILE", show_default=False)]
NoOpen = Annotated[bool, typer.Option("--no-open", help="do not open the page in a browser")]


def report(
    task: TaskId, *, out: Out = None, force: Force = False, no_open: NoOpen = False, json: Json = False
) -> None:
    """Opens a completed task's report, drawn now where its folder has none; needs no server.

    Without --out a report that is drawn now goes to report-TASK.html in the current folder.
    """
    store, task_id = located(task)
    published = _published(store, task_id)
    left_out: list[str] = []
    if published and not out:
        path = published
    else:
        path = out or Path(f"report-{task_id}.html")
        page, left_out = (published.read_bytes(), []) if published else _drawn(store, task_id)
        _write(path, page, force=force or not out)
    for note in left_out:
        stderr.print(note, highlight=False, markup=False, soft_wrap=True)
    opened = _opened(path, no_open=no_open)
    if json:
        print_json({"task_id": task_id, "path": path.absolute(), "opened": opened, "left_out": left_out})
    else:
        typer.echo(path.absolute())


def compare(
    task: TaskIds,
    *,
    out: Annotated[Path, typer.Option(help="write the page there", metavar="FILE")] = Path("comparison.html"),
    force: Force = False,
    no_open: NoOpen = False,
    json: Json = False,
) -> None:
    """Draws a page that compares backtests and walk-forwards, or sweeps, and opens it; needs no server."""
    stores = {task_id: store for store, task_id in map(located, dict.fromkeys(task))}
    task_ids = list(stores)
    if len(task_ids) < 2:
        raise RequestInvalid([("TASK", "name two or more")], heading="nothing to compare")
    folders = {str(store.layout.tasks.absolute()) for store in stores.values()}
    if len(folders) > 1:
        problem = f"their results lie in {' and '.join(sorted(folders))}; bring them together by export"
        raise RequestInvalid([("TASK", problem)], heading="these cannot be compared")
    store = stores[task_ids[0]]
    kinds = {store.manifest(task_id).kind for task_id in task_ids}
    if len(kinds) > 1 and "sweep" in kinds:
        raise RequestInvalid(
            [("TASK", f"compare sweeps with sweeps, not {' with '.join(sorted(kinds))}")],
            heading="these cannot be compared",
        )
    page = compared_sweeps(store, task_ids) if kinds == {"sweep"} else compared_backtests(store, task_ids)
    _write(out, page.encode(), force=force)
    opened = _opened(out, no_open=no_open)
    if json:
        print_json({"task_ids": task_ids, "path": out.absolute(), "opened": opened})
    else:
        typer.echo(out.absolute())


def _published(store: TaskStore, task: str) -> Path | None:
    """The report in the task's folder, if there is one."""
    files = {file.name: file.path for file in store.manifest(task).result_files}
    path = store.layout.task(task) / files.get(PUBLISHED, "")
    return path if path.is_file() else None


def _drawn(store: TaskStore, task: str) -> tuple[bytes, list[str]]:
    return rendered_report(store.layout.data_root, get_settings().candle_timezone, task)


def _write(path: Path, page: bytes, *, force: bool) -> None:
    with usable_files(), new_file(path, force=force) as tmp:
        tmp.write_bytes(page)


def _opened(path: Path, *, no_open: bool) -> bool:
    """Opens a page in the reader's browser, where there is one."""
    return not no_open and webbrowser.open(path.absolute().as_uri())
