"""`backtest result`: one task's numbers and tables, shown or handed out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import typer

from backtest_pipeline.cli.output import (
    Json,
    TaskId,
    print_json,
    print_metrics,
    print_table,
    stderr,
    without_gaps,
)
from backtest_pipeline.model.errors import FileThere, FileUnusable, RequestInvalid
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import get_settings
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.storage.new_file import new_file

if TYPE_CHECKING:
    import pandas as pd

    from backtest_pipeline.model.manifest import Manifest

TableName = Literal["signals", "trades", "equity"]
_TABLES = get_args(TableName)
_SHOWN_ROWS = 20
Force = Annotated[bool, typer.Option("--force", help="replace files of those names")]


def result(
    task: TaskId,
    *,
    table: Annotated[str | None, typer.Option(help=f"one of {', '.join(_TABLES)}")] = None,
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
    name = _table_name(table, wanted=csv is not None or parquet is not None)
    store = TaskStore(get_settings().data_root)
    outcome = store.result(task)
    manifest = cast("Manifest", outcome.manifest)  # a stored result has one
    with usable_files():
        if out is not None:
            _copy_all(store.layout, manifest, out, force=force)
        if name is not None and csv is not None:
            _write_csv(getattr(outcome, name), csv, force=force)
        if name is not None and parquet is not None:
            _copy(store.layout.task(task) / f"{name}.parquet", parquet, force=force)
    if csv is not None or parquet is not None or (out is not None and not json):
        return
    if json:
        print_json(manifest.model_dump(mode="json") if name is None else without_gaps(getattr(outcome, name)))
    elif name is not None:
        _show(getattr(outcome, name))
    else:
        print_metrics(outcome)


@contextmanager
def usable_files() -> Iterator[None]:
    """Tells of a file that cannot be read or written by its name, instead of with a stack trace.

    Raises:
        FileUnusable: the block ran into one.
    """
    try:
        yield
    except OSError as error:
        raise FileUnusable(error.filename or "a file", error.strerror or str(error)) from error


def _table_name(table: str | None, *, wanted: bool) -> TableName | None:
    choices = ", ".join(_TABLES)
    if table is None and wanted:
        raise RequestInvalid([("--table", f"name the table to write: {choices}")], heading="nothing to write")
    if table is not None and table not in _TABLES:
        raise RequestInvalid([("--table", f"{table!r} is none of {choices}")], heading="no such table")
    return cast("TableName | None", table)


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
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
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
        told = f"{len(shown)} of {len(frame):,} rows; --csv - prints all"
        stderr.print(told, highlight=False, markup=False, soft_wrap=True)
