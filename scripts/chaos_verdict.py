"""What must be true of a pipeline after any trouble: no task lost, no file missing, no two attempts mixed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from scratch_service import ScratchService
from service_measures import most_held

from backtest_pipeline import BacktestRequest, run_backtest
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.model.errors import ResultDamaged, ResultMissing
from backtest_pipeline.model.manifest import Manifest
from backtest_pipeline.results.publishing import publishing

_RUNS = """
query Runs($cursor: String) {
  runsOrError(filter: {pipelineName: "backtest"}, limit: 200, cursor: $cursor) {
    ... on Runs { results { runId rootRunId status creationTime } }
  }
}
"""
_EVENTS = """
query Events($runId: ID!, $cursor: String) {
  logsForRun(runId: $runId, afterCursor: $cursor) {
    ... on EventConnection {
      hasMore cursor
      events { __typename ... on MessageEvent { timestamp } }
    }
  }
}
"""
_TAKES_SLOT = "RunStartingEvent"
_GIVES_SLOT = {"RunSuccessEvent", "RunFailureEvent", "RunCanceledEvent", "RunEnqueuedEvent"}
_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


def problems(scene: ScratchService, tasks: Mapping[str, BacktestRequest], limit: int) -> list[str]:
    """Everything that is wrong, one sentence each; empty where all is well."""
    runs = all_runs(scene)
    digests = _Digests(scene)
    found = [*_problems_of_runs(runs, tasks), *_leftovers(scene, runs)]
    for task_id, request in tasks.items():
        found += [f"task {task_id} ({request.strategy}): {one}" for one in _of_task(scene, task_id, runs)]
        found += [f"task {task_id} ({request.strategy}): {one}" for one in digests.problems(task_id, request)]
    most = most_at_once(scene, [run["runId"] for run in runs])
    if most > limit:
        found.append(f"{most} runs held a slot at once by the event log; the limit is {limit}")
    return found


def all_runs(scene: ScratchService) -> list[dict[str, Any]]:
    """Every run of a backtest that Dagster knows, oldest first."""
    runs: list[dict[str, Any]] = []
    while page := scene.ask(_RUNS, cursor=runs[-1]["runId"] if runs else None)["runsOrError"]["results"]:
        runs += page
    return sorted(runs, key=lambda run: run["creationTime"])


def most_at_once(scene: ScratchService, run_ids: list[str]) -> int:
    """The most runs that ever held a slot at the same time, by the times in the event log."""
    return most_held(change for run_id in run_ids for change in _slot_changes(scene, run_id))


def _slot_changes(scene: ScratchService, run_id: str) -> Iterator[tuple[float, int]]:
    """When a run took a slot (1) and gave it back (-1); a failed start puts it into the queue again."""
    holds = False
    for event in _events(scene, run_id):
        kind = event["__typename"]
        if kind == _TAKES_SLOT and not holds:
            yield float(event["timestamp"]), 1
            holds = True
        elif kind in _GIVES_SLOT and holds:
            yield float(event["timestamp"]), -1
            holds = False


def _events(scene: ScratchService, run_id: str) -> Iterator[dict[str, Any]]:
    page: dict[str, Any] = {"cursor": None, "hasMore": True}
    while page["hasMore"]:
        page = scene.ask(_EVENTS, runId=run_id, cursor=page["cursor"])["logsForRun"]
        yield from page["events"]


def _problems_of_runs(runs: list[dict[str, Any]], tasks: Mapping[str, BacktestRequest]) -> Iterator[str]:
    for run in runs:
        if run["status"] not in _ENDED:
            yield f"run {run['runId']} is still {run['status']}"
        if (run["rootRunId"] or run["runId"]) not in tasks:
            yield f"run {run['runId']} ({run['status']}) belongs to no task that was submitted"


def _of_task(scene: ScratchService, task_id: str, runs: list[dict[str, Any]]) -> Iterator[str]:
    status = scene.client.status(task_id)
    if status.state != "completed":
        yield f"is {status.state} at attempt {status.attempt}: {status.stage}; {status.error}"
    try:
        with publishing(scene.store.layout):  # its worker may be adding the picture or the report
            manifest = scene.store.manifest(task_id)
            of_files = list(_problems_of_files(scene.store.layout.task(task_id), manifest))
    except (ResultMissing, ResultDamaged) as error:
        yield str(error)
        return
    attempts = [run for run in runs if task_id in {run["runId"], run["rootRunId"]}]
    ids = [run["runId"] for run in attempts]
    if manifest.status != status.state:
        yield f"the manifest says {manifest.status}, Dagster {status.state}"
    if manifest.run_ids != ids or manifest.attempt != len(ids):
        yield f"the manifest names attempt {manifest.attempt} and runs {manifest.run_ids}, Dagster has {ids}"
    if [run["status"] for run in attempts].count("SUCCESS") > 1:
        yield "two attempts succeeded"
    yield from of_files


def _problems_of_files(folder: Path, manifest: Manifest) -> Iterator[str]:
    listed = {file.path for file in manifest.result_files}
    present = {path.name for path in folder.iterdir()} - {"manifest.json"}
    if present - listed:
        yield f"files that the manifest does not list: {sorted(present - listed)}"
    for file in manifest.result_files:
        if file.path not in present:
            yield f"{file.path} is missing"
            continue
        content = (folder / file.path).read_bytes()
        if len(content) != file.size_bytes or hashlib.sha256(content).hexdigest() != file.sha256:
            yield f"{file.path} differs from the manifest"
        elif file.kind == "parquet" and pq.read_metadata(folder / file.path).num_rows != file.rows:
            yield f"{file.path} has other than {file.rows} rows"


def _leftovers(scene: ScratchService, runs: list[dict[str, Any]]) -> Iterator[str]:
    ended = {run["runId"] for run in runs if run["status"] in _ENDED}
    for hidden in (".staging", ".trash"):
        folder = scene.store.layout.tasks / hidden
        for path in folder.iterdir() if folder.exists() else []:
            if path.name.removesuffix(".final") in ended:
                yield f"{hidden}/{path.name} was left by a run that has ended"


class _Digests:
    """Results computed here, once a request, to compare the published ones with."""

    def __init__(self, scene: ScratchService) -> None:
        self._scene = scene
        self._candles = CandleStore(scene.store.layout.data_root)
        self._known: dict[str, dict[str, str]] = {}

    def problems(self, task_id: str, request: BacktestRequest) -> Iterator[str]:
        """Tables that differ from what the same request yields in this process."""
        try:
            manifest = self._scene.store.manifest(task_id)
        except (ResultMissing, ResultDamaged):
            return  # reported elsewhere
        wanted = self._of(request)
        for file in manifest.result_files:
            if file.name in wanted and wanted[file.name] != file.sha256:
                yield f"{file.path} is not what this request yields"

    def _of(self, request: BacktestRequest) -> dict[str, str]:
        key = request.model_copy(update={"labels": {}}).digest()
        if key not in self._known:
            candles = self._candles.load(request.symbols, request.timeframe, request.start, request.end)
            with self._scene.store.staging(f"verdict-{key}") as folder:
                files = self._scene.store.write_tables(folder, run_backtest(candles, request))
            self._known[key] = {file.name: file.sha256 for file in files}
        return self._known[key]
