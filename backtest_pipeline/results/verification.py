"""Is a task's folder what its manifest says, and do its numbers agree with each other?

Works on files alone. Whatever is wrong comes as a sentence that names the file.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.manifest import Manifest, ResultFile
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.request_model import digest_of, problems_of
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.task_kind import backtest_of, kind_of
from backtest_pipeline.model.task_request import TaskRequest, stored_request
from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
from backtest_pipeline.results.publishing import publishing
from backtest_pipeline.results.reconciliation import account_problems
from backtest_pipeline.results.sweep_verification import missing_tables, sweep_problems
from backtest_pipeline.results.tables import SCHEMAS, TABLES
from backtest_pipeline.results.walk_forward_verification import missing_walk_tables, walk_forward_problems
from backtest_pipeline.storage.layout import BEST, MANIFEST, Layout, is_result_path

_COPIED = ("params", "symbols", "timeframe", "start", "end")


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of one task's check.

    Attributes:
        task_id: the task.
        status: as its manifest says, or `None` where there is no such manifest.
        problems: what is wrong; empty where all is well.
    """

    task_id: str
    status: str | None
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify_task(layout: Layout, task_id: str) -> Verified:
    """Checks one task's folder in full; where something is wrong, once more while nobody may change it.

    Raises:
        TaskUnknown: `task_id` is no task id.
    """
    verified = verify_folder(layout.task(task_id), task_id)
    if not verified.ok and layout.tasks.is_dir() and os.access(layout.tasks, os.W_OK):
        with publishing(layout):  # a report may have been added just now
            return verify_folder(layout.task(task_id), task_id)
    return verified


def verify_folder(folder: Path, task_id: str) -> Verified:
    """Checks a folder, published or staged, that is to hold one task's results."""
    try:
        content = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        return Verified(task_id, None, [f"{MANIFEST}: nothing has been published in {folder}"])
    except OSError as error:
        return Verified(task_id, None, [f"{MANIFEST}: cannot be read: {error.strerror}"])
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        wrong = "; ".join(f"{name}: {problem}" if name else problem for name, problem in problems_of(error))
        return Verified(task_id, None, [f"{MANIFEST}: not of schema version 1: {wrong}"])
    problems = [f"{MANIFEST}: {problem}" for problem in _contradictions(manifest, task_id)]
    tables: dict[str, pa.Table] = {}
    for file in manifest.result_files:
        table, found = _checked(folder, file)
        problems += [f"{file.path}: {problem}" for problem in found]
        if table is not None and not found:
            tables[file.name] = table
    unlisted = _unlisted(folder, manifest)
    if unlisted and (folder / MANIFEST).read_bytes() != content:
        return verify_folder(folder, task_id)  # a report has just been added
    problems += [f"{name}: the manifest does not list it" for name in unlisted]
    request, refusal = _request(manifest)
    problems += [f"{MANIFEST}: {refusal}"] if refusal else []
    if isinstance(request, WalkForwardRequest):
        problems += [] if problems else walk_forward_problems(folder, manifest, request)
    elif isinstance(request, SweepRequest):
        problems += [] if problems else sweep_problems(folder, manifest, request)
    elif isinstance(request, BacktestRequest) and tables.keys() >= _result_tables(manifest):
        frames = {name: tables[name].to_pandas() for name in SCHEMAS if name in tables}
        problems += account_problems(manifest, request, **frames)
    return Verified(task_id, manifest.status, problems)


def file_problem(folder: Path, file: ResultFile) -> str:
    """What is wrong with the bytes of a listed file; empty where they are those that were published."""
    problem = _name_problem(folder, file)
    if problem:
        return problem
    try:
        with (folder / file.path).open("rb") as content:
            size_bytes = content.seek(0, os.SEEK_END)
            content.seek(0)
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return _bytes_problem(file, size_bytes, digest)


def _contradictions(manifest: Manifest, task_id: str) -> list[str]:
    """Where a manifest contradicts itself."""
    problems = []
    if manifest.task_id != task_id:
        problems.append(f"this is the manifest of task {manifest.task_id}")
    if digest_of(manifest.request) != manifest.request_digest:
        problems.append("request_digest is not the digest of request")
    stated: dict[str, Any] = manifest.model_dump(mode="json", include={*_COPIED, "strategy_id"})
    backtest = backtest_of(manifest.request)
    asked = {
        **{name: backtest.get(name) for name in _COPIED},
        "strategy_id": backtest.get("strategy"),
    }
    if manifest.kind != kind_of(manifest.request):
        problems.append(f"kind is {manifest.kind}, the request is that of a {kind_of(manifest.request)}")
    problems += [f"{name} differs from the request's" for name in stated if stated[name] != asked[name]]
    if len(manifest.run_ids) != manifest.attempt or manifest.run_ids[0] != manifest.task_id:
        problems.append("run_ids are not this task's attempts")
    if (manifest.error is None) != (manifest.status == "completed") and manifest.status != "cancelled":
        problems.append(f"status is {manifest.status}, error is {manifest.error}")
    names = [file.name for file in manifest.result_files]
    paths = [file.path for file in manifest.result_files]
    if len(set(names)) < len(names) or len(set(paths)) < len(paths):
        problems.append("a file is listed twice")
    if manifest.status == "completed":
        own = {"sweep": missing_tables, "walk_forward": missing_walk_tables}.get(manifest.kind)
        missing = own(manifest) if own else [name for name in TABLES if name not in names]
        problems += [f"{name} is not listed" for name in missing]
    return problems


def _result_tables(manifest: Manifest) -> set[str]:
    """Names of the tables that a backtest has, and of those that it lists."""
    return {*TABLES, *(file.name for file in manifest.result_files if file.name in SCHEMAS)}


def _request(manifest: Manifest) -> tuple[TaskRequest | None, str]:
    """A completed task's request, or what is wrong with it; that of another task may have been refused."""
    if manifest.status != "completed":
        return None, ""
    try:
        return stored_request(manifest.request), ""
    except (RequestInvalid, TypeError) as error:
        return None, str(error)


def _checked(folder: Path, file: ResultFile) -> tuple[pa.Table | None, list[str]]:
    name = file.name.removeprefix(f"{BEST}/")
    if name not in SCHEMAS:
        return None, [problem for problem in [file_problem(folder, file)] if problem]
    content, problem = _content(folder, file)
    if content is None:
        return None, [problem]
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (OSError, ValueError, pa.ArrowException) as error:
        return None, [f"this is no readable Parquet file: {str(error).partition(chr(10))[0]}"]
    return table, _table_problems(file, table)


def _content(folder: Path, file: ResultFile) -> tuple[bytes | None, str]:
    problem = _name_problem(folder, file)
    if problem:
        return None, problem
    try:
        content = (folder / file.path).read_bytes()
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
    problem = _bytes_problem(file, len(content), hashlib.sha256(content).hexdigest())
    return (None, problem) if problem else (content, "")


def _name_problem(folder: Path, file: ResultFile) -> str:
    path = folder / file.path
    if not is_result_path(file.path):
        return "this is no name of a file in the task's folder"
    if path.is_symlink() or path.parent.is_symlink() or not path.is_file():
        return "the file is gone" if not os.path.lexists(path) else "this is no regular file"
    return ""


def _bytes_problem(file: ResultFile, size_bytes: int, sha256: str) -> str:
    if size_bytes != file.size_bytes:
        return f"has {size_bytes:,} bytes, was published with {file.size_bytes:,}"
    return "" if sha256 == file.sha256 else "the bytes differ from what was published (sha256)"


def _table_problems(file: ResultFile, table: pa.Table) -> list[str]:
    problems = []
    if table.num_rows != file.rows:
        problems.append(f"has {table.num_rows:,} rows, the manifest says {file.rows}")
    wanted = SCHEMAS[file.name.removeprefix(f"{BEST}/")]
    if table.column_names != wanted.names:
        problems.append(f"has the columns {', '.join(table.column_names)}, not {', '.join(wanted.names)}")
    else:
        problems += [
            f"column {column.name} is {table.schema.field(column.name).type}, not {column.type}"
            for column in wanted
            if table.schema.field(column.name).type != column.type
        ]
    return problems


def _unlisted(folder: Path, manifest: Manifest) -> list[str]:
    """What lies in the folder beside the listed files; hidden names are the pipeline's own."""
    listed = {MANIFEST, *(file.path for file in manifest.result_files)}
    names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
    if BEST in names and (folder / BEST).is_dir():
        names.remove(BEST)
        names += [f"{BEST}/{entry.name}" for entry in os.scandir(folder / BEST)]
    return sorted(name for name in names if name not in listed)
