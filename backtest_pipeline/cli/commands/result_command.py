"""`backtest result`: one task's numbers and tables, shown or handed out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backtest_pipeline.cli.commands.sweep_commands import assessed, print_sweep
from backtest_pipeline.cli.commands.walk_forward_command import print_walk_forward
from backtest_pipeline.cli.output import (
    Json,
    TaskId,
    print_json,
    print_metrics,
    print_table,
    stderr,
    without_gaps,
)
from backtest_pipeline.cli.stored_tasks import located
from backtest_pipeline.model.counted import counted
from backtest_pipeline.model.errors import FileThere, FileUnusable, RequestInvalid
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.results.completed_sweeps import require_whole_search, require_whole_sweep
from backtest_pipeline.results.tables import read_table
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.storage.new_file import new_file

if TYPE_CHECKING:
    import pandas as pd

    from backtest_pipeline.model.manifest import Manifest
    from backtest_pipeline.results.task_store import TaskStore

_SHOWN_ROWS = 20
Force = Annotated[bool, typer.Option("--force", help="replace files of those names")]


def result(
    task: TaskId,
    *,
    table: Annotated[
        str | None,
        typer.Option(help="signals, trades, equity or positions; of a sweep trials, best/trades, …"),
    ] = None,
    csv: Annotated[
        str | None, typer.Option(help="write the table there; - is stdout", metavar="FILE")
    ] = None,
    parquet: Annotated[Path | None, typer.Option(help="write the table there", metavar="FILE")] = None,
    out: Annotated[
        Path | None, typer.Option(help="copy manifest, tables and all there", metavar="FOLDER")
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Prints a completed task's metrics or a table, or copies them out; needs no server."""
    store, task_id = located(task)
    manifest, print_numbers = _completed(store, task_id)
    folder = store.layout.task(task_id)
    tables = {file.name: folder / file.path for file in manifest.result_files if file.kind == "parquet"}
    name = _table_name(table, tables, wanted=csv is not None or parquet is not None)
    with usable_files():
        if out is not None:
            _copy_all(store.layout, manifest, out, force=force)
        if name is not None and csv is not None:
            _write_csv(read_table(tables[name]), csv, force=force)
        if name is not None and parquet is not None:
            _copy(tables[name], parquet, force=force)
    if csv is not None or parquet is not None or (out is not None and not json):
        return
    if json:
        print_json(
            assessed(store, task_id).model_dump(mode="json")
            if name is None
            else without_gaps(read_table(tables[name]))
        )
    elif name is not None:
        _show(read_table(tables[name]))
    else:
        print_numbers(assessed(store, task_id))


def _completed(store: TaskStore, task_id: str) -> tuple[Manifest, Callable[[Manifest], object]]:
    """The manifest of a completed task whose files are whole, and what prints its numbers, given that."""
    manifest = store.manifest(task_id)
    if manifest.kind == "sweep":
        require_whole_sweep(store, task_id)
        return manifest, print_sweep
    if manifest.kind == "walk_forward":
        require_whole_search(store, task_id, "walk_forward")
        return manifest, print_walk_forward
    outcome = store.result(task_id)
    return manifest, lambda of_task: print_metrics(replace(outcome, manifest=of_task))


@contextmanager
def usable_files() -> Iterator[None]:
    """Reports a file that cannot be read or written by its name, instead of with a stack trace.

    Raises:
        FileUnusable: the block ran into one.
    """
    try:
        yield
    except OSError as error:
        raise FileUnusable(error.filename or "a file", error.strerror or str(error)) from error


def _table_name(table: str | None, tables: Collection[str], *, wanted: bool) -> str | None:
    choices = ", ".join(tables)
    if table is None and wanted:
        raise RequestInvalid([("--table", f"name the table to write: {choices}")], heading="nothing to write")
    if table is not None and table not in tables:
        raise RequestInvalid(
            [("--table", f"there is no {table!r}{did_you_mean(table, tables)}; choose one of {choices}")],
            heading="no such table",
        )
    return table


def _write_csv(frame: pd.DataFrame, target: str, *, force: bool) -> None:
    if target == "-":
        typer.echo(frame.to_csv(index=False), nl=False)
        return
    with new_file(Path(target), force=force) as tmp, tmp.open("w", encoding="utf-8", newline="") as file:
        frame.to_csv(file, index=False)
    _tell(Path(target))


def _copy_all(layout: Layout, manifest: Manifest, out: Path, *, force: bool) -> None:
    """Copies the listed files, the manifest last; looks for names that are taken before it writes any."""
    folder = layout.task(manifest.task_id)
    names = [*(file.path for file in manifest.result_files), layout.manifest(manifest.task_id).name]
    for name in names:
        if (out / name).exists() and not force:
            raise FileThere(out / name)
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        _copy(folder / name, out / name, force=force)


def _copy(source: Path, target: Path, *, force: bool) -> None:
    with new_file(target, force=force) as tmp:
        tmp.write_bytes(source.read_bytes())
    _tell(target)


def _tell(written: Path) -> None:
    stderr.print(f"wrote {written}", highlight=False, markup=False, soft_wrap=True)


def _show(frame: pd.DataFrame) -> None:
    shown = frame.head(_SHOWN_ROWS)
    cells = shown.map(lambda value: f"{value:,.6g}" if isinstance(value, float) else str(value))
    print_table(tuple(frame.columns), [tuple(row) for row in cells.to_numpy()])
    if len(frame) > len(shown):
        note = f"{len(shown)} of {counted(len(frame), 'row')}; --csv - prints all"
        stderr.print(note, highlight=False, markup=False, soft_wrap=True)
