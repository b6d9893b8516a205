"""Asking for backtests, each once however often the line breaks."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import (
    BacktestError,
    RequestInvalid,
    StrategyUnknown,
    SubmissionsFailed,
)
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.task_kind import kind_of, strategies_of
from backtest_pipeline.model.task_request import TaskRequest, config_of
from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
from backtest_pipeline.sdk import queries
from backtest_pipeline.sdk.refusals import refusal_of_answer
from backtest_pipeline.sdk.states import Run
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.strategies.registry import code_sha256_on_disk_of, resolve
from backtest_pipeline.strategies.sweep_resolution import resolve_sweep, resolve_walk_forward

_REPOSITORY = {"repositoryLocationName": tags.CODE_LOCATION, "repositoryName": tags.REPOSITORY}
_LONGEST_KEY = 255


def new_key() -> str:
    """An idempotency key that nobody else has."""
    return str(uuid.uuid4())


def launch(
    graphql: GraphQL, request: TaskRequest, key: str, *, reuse: bool = False, server_code: bool = False
) -> Run:
    """Starts a task and returns its run; what got lost on the way is sent again.

    The strategy's code must be the same here and there, where it is installed here, unless the server's is
    asked for.

    Where a task with this key exists, nothing is started and the answer is that task's root run. With `reuse`
    it may also be the newest run of an earlier task with the very result.

    Raises:
        RequestInvalid: the request or the key is wrong; nothing was started.
        ServiceError: the server did not take it.
    """
    if not key.strip() or len(key) > _LONGEST_KEY:
        raise RequestInvalid([("idempotency_key", f"write 1 to {_LONGEST_KEY} characters, not {key!r}")])
    request = _checked(request)
    params = {
        "selector": {**_REPOSITORY, "jobName": kind_of(request.to_dict())},
        "runConfigData": config_of(request),
        "executionMetadata": {"tags": _tags(request, key, reuse=reuse, server_code=server_code)},
    }
    answer: dict[str, Any] = graphql.ask_patiently(queries.LAUNCH, {"params": params})["launchRun"]
    if answer["__typename"] == "RunConfigValidationInvalid":
        raise RequestInvalid([("", error["message"]) for error in answer["errors"]])
    if answer["__typename"] != "LaunchRunSuccess":
        raise refusal_of_answer(graphql.url, answer)
    run: Run = answer["run"]
    return run


def submit_all(
    submit: Callable[[TaskRequest, str], TaskStatus],
    requests: Sequence[TaskRequest],
    given_keys: Sequence[str] | None,
    at_once: int,
) -> list[TaskStatus]:
    """Submits each request with its key, some at once; one that fails does not keep the others back.

    Raises:
        RequestInvalid: there are not as many keys as requests; nothing was submitted.
        SubmissionsFailed: after all have been tried, if any was not taken.
    """
    keys = [new_key() for _ in requests] if given_keys is None else list(given_keys)
    if len(keys) != len(requests):
        raise RequestInvalid([("idempotency_keys", f"{len(keys)} keys for {len(requests)} requests")])

    def attempt(request: TaskRequest, key: str) -> TaskStatus | BacktestError:
        try:
            return submit(request, key)
        except BacktestError as error:
            return error

    with ThreadPoolExecutor(at_once, thread_name_prefix="submit") as pool:
        outcomes = list(pool.map(attempt, requests, keys))
    failures = {at: error for at, error in enumerate(outcomes) if isinstance(error, BacktestError)}
    tasks = [task for task in outcomes if isinstance(task, TaskStatus)]
    if failures:
        task_ids = [task.task_id if isinstance(task, TaskStatus) else None for task in outcomes]
        raise SubmissionsFailed(task_ids, failures, keys) from failures[min(failures)]
    return tasks


def _checked(request: TaskRequest) -> TaskRequest:
    try:
        if isinstance(request, WalkForwardRequest):
            return resolve_walk_forward(request)
        if isinstance(request, SweepRequest):
            return resolve_sweep(request).request
        return resolve(request).request
    except StrategyUnknown:
        return request  # the server may have strategies that are not installed here


def _tags(request: TaskRequest, key: str, *, reuse: bool, server_code: bool) -> list[dict[str, str]]:
    """What a submission says beside its request; the server makes the request's own tags."""
    run_tags = {tags.IDEMPOTENCY_KEY: key, tags.REUSE: "true" if reuse else "false"}
    names = strategies_of(request.to_dict())
    code = code_sha256_on_disk_of(*names)  # of the file, which is what a submitter looks at
    if code is not None:
        run_tags[tags.SUBMITTED_CODE] = code
    if server_code:
        run_tags[tags.ANY_CODE] = "true"
    return [{"key": name, "value": value} for name, value in tags.fitting(run_tags).items()]
