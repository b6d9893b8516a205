"""A web server that keeps runs in memory and a clock that stands still, for tests of the client."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import Any

import httpx

from backtest_pipeline import BacktestClient
from backtest_pipeline.model.request_tags import descriptive_tags
from backtest_pipeline.sdk.clock import Clock

URL = "http://pipeline"
LAUNCH_ERRORS = (
    "PipelineNotFoundError", "InvalidStepError", "InvalidOutputError", "InvalidSubsetError",
    "UnauthorizedError", "RunConflict", "NoModeProvidedError", "ConflictingExecutionParamsError",
    "PresetNotFoundError", "PythonError",
)  # fmt: skip
"""How a launch may be refused, but for an invalid config."""

Answer = dict[str, Any]


class StillClock(Clock):
    """Goes on only by sleeping; `naps` are the sleeps, in seconds."""

    def __init__(self, now_s: float = 1_000.0) -> None:
        self.time_s = now_s
        self.naps: list[float] = []
        self.on_sleep: Callable[[], object] = lambda: None

    def now_s(self) -> float:
        return self.time_s

    def monotonic_s(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.time_s += seconds
        self.on_sleep()


def run(
    run_id: str = "a", root: str | None = None, status: str = "STARTED", created: float = 0.0, **tags: str
) -> dict[str, Any]:
    """A run as the server tells it; `dagster__will_retry` stands for the tag `dagster/will_retry`."""
    ended = status in {"SUCCESS", "FAILURE", "CANCELED"}
    return {
        "runId": run_id,
        "rootRunId": root,
        "status": status,
        "creationTime": created,
        "startTime": created + 1,
        "endTime": created + 2 if ended else None,
        "tags": [{"key": key.replace("__", "/"), "value": value} for key, value in tags.items()],
    }


class FakeServer:
    """Answers the client's documents from `runs`.

    Attributes:
        runs: all runs, oldest first.
        asked: names of the documents that arrived.
        sent: their variables.
        failures: what is answered, or raised, instead of the next answers.
        lost_answers: how many of the next documents are acted on but not answered.
        earlier_result: id of the run that answers whoever takes an earlier result; empty: there is none.
        strategies: what the job tells of the server's strategies; none: nothing, as of an earlier version.
        terminate: what a termination does; accepts by default.
    """

    def __init__(self, *runs: dict[str, Any]) -> None:
        self.runs = list(runs)
        self.asked: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.failures: list[httpx.Response | Exception] = []
        self.lost_answers = 0
        self.earlier_result = ""
        self.strategies: dict[str, str | None] | None = {}
        self.terminate: Callable[[dict[str, Any], str], str | None] = lambda run, policy: None
        self._lock = threading.Lock()

    def client(self, clock: Clock | None = None, **options: Any) -> BacktestClient:
        return BacktestClient(
            URL, transport=httpx.MockTransport(self._answer), clock=clock or StillClock(), **options
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        [name] = re.findall(r"(?:query|mutation) (\w+)", body["query"])
        with self._lock:
            self.asked.append(name)
            self.sent.append(body["variables"])
            if self.failures:
                failure = self.failures.pop(0)
                if isinstance(failure, Exception):
                    raise failure
                return failure
            answer = getattr(self, f"_{name.lower()}")(**body["variables"])
            if self.lost_answers:
                self.lost_answers -= 1
                raise httpx.ReadError("the line broke")
            fields = [field for field in answer.values() if isinstance(field, dict)]
            failed = any(field.get("__typename") == "PythonError" for field in fields)
            return httpx.Response(500 if failed else 200, json={"data": answer})

    def _taskruns(self, taskIds: list[str]) -> Answer:  # noqa: N803  GraphQL's name
        asked = {run["rootRunId"] or run["runId"] for run in self.runs if run["runId"] in taskIds}
        found = [run for run in self.runs if (run["rootRunId"] or run["runId"]) in asked]
        return {"taskRuns": found}

    def _page(self, filter: Answer, cursor: str | None, limit: int) -> Answer:  # noqa: A002  GraphQL's name
        newest_first = [run for run in reversed(self.runs) if _passes(run, filter)]
        ids = [run["runId"] for run in newest_first]
        first = ids.index(cursor) + 1 if cursor else 0
        return {"runsOrError": _runs(newest_first[first : first + limit])}

    def _launch(self, params: Answer) -> Answer:
        run_tags = {tag["key"]: tag["value"] for tag in params["executionMetadata"]["tags"]}
        key = run_tags["backtest/idempotency_key"]
        for known in self.runs:
            if {"key": "backtest/idempotency_key", "value": key} in known["tags"]:
                return {"launchRun": {"__typename": "LaunchRunSuccess", "run": known}}
        if run_tags["backtest/reuse"] == "true" and self.earlier_result:
            [known] = [known for known in self.runs if known["runId"] == self.earlier_result]
            return {"launchRun": {"__typename": "LaunchRunSuccess", "run": known}}
        started = run(f"run{len(self.runs)}", status="QUEUED", created=float(len(self.runs)))
        run_tags |= {"backtest/progress": "0.00", **descriptive_tags(params["runConfigData"])}
        started["tags"] = [{"key": name, "value": value} for name, value in run_tags.items()]
        self.runs.append(started)
        return {"launchRun": {"__typename": "LaunchRunSuccess", "run": started}}

    def _launchmany(self, params: list[Answer]) -> Answer:
        each = [self.launched_among(one) for one in params]
        result = {"__typename": "LaunchMultipleRunsResult", "launchMultipleRunsResult": each}
        return {"launchMultipleRuns": result}

    def launched_among(self, params: Answer) -> Answer:
        """What comes of one launch of several; tests put another in its place."""
        answer: Answer = self._launch(params)["launchRun"]
        return answer

    def _job(self, selector: Answer) -> Answer:
        owner = {"label": "owner"}
        told = {"label": "strategies", "jsonString": json.dumps(self.strategies)}
        entries = [owner] if self.strategies is None else [owner, told]
        return {"pipelineOrError": {"__typename": "Pipeline", "metadataEntries": entries}}

    def _terminate(self, runId: str, policy: str) -> Answer:  # noqa: N803  GraphQL's name
        [target] = [run for run in self.runs if run["runId"] == runId]
        refusal = self.terminate(target, policy)
        if refusal is not None:
            return {"terminateRun": {"__typename": "TerminateRunFailure", "message": refusal}}
        return {"terminateRun": {"__typename": "TerminateRunSuccess"}}


def _runs(runs: list[dict[str, Any]]) -> Answer:
    return {"__typename": "Runs", "results": runs}


def _passes(run: dict[str, Any], wanted: Answer) -> bool:
    return (
        ("statuses" not in wanted or run["status"] in wanted["statuses"])
        and all(tag in run["tags"] for tag in wanted.get("tags", []))
        and run["creationTime"] > wanted.get("createdAfter", -1)
        and run["creationTime"] < wanted.get("createdBefore", float("inf"))
    )
