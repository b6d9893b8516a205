"""Asking for backtests, each once however often the line breaks."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeAlias

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import (
    BacktestError,
    RequestInvalid,
    StrategyUnknown,
    SubmissionsFailed,
)
from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.request_model import require_kind
from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.task_kind import kind_of, strategies_of
from backtest_pipeline.model.task_request import TaskRequest, config_of
from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
from backtest_pipeline.sdk import queries
from backtest_pipeline.sdk.refusals import refusal_of_answer
from backtest_pipeline.sdk.states import Run, task_of
from backtest_pipeline.sdk.transport import GraphQL
from backtest_pipeline.strategies.registry import code_sha256_on_disk_of, resolve
from backtest_pipeline.strategies.sweep_resolution import resolve_sweep, resolve_walk_forward

_REPOSITORY = {"repositoryLocationName": tags.CODE_LOCATION, "repositoryName": tags.REPOSITORY}
_LONGEST_KEY = 255
_MANY, _MANY_TAKEN = "launchMultipleRuns", "LaunchMultipleRunsResult"
_MOST_TOGETHER, _MOST_CHARACTERS = 25, 250_000

CodeOf: TypeAlias = Callable[..., str | None]
"""Digest of the code of some strategies, by their names."""

Params: TypeAlias = dict[str, Any]
"""What `launchRun` takes as `executionParams`."""


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
    code_of = code_sha256_on_disk_of  # of the file, which is what a submitter looks at
    params = _params(request, key, code_of, reuse=reuse, server_code=server_code)
    return _run_of(graphql.url, graphql.ask_patiently(queries.LAUNCH, {"params": params})["launchRun"])


def _params(request: TaskRequest, key: str, code_of: CodeOf, *, reuse: bool, server_code: bool) -> Params:
    if not key.strip() or len(key) > _LONGEST_KEY:
        raise RequestInvalid([("idempotency_key", f"write 1 to {_LONGEST_KEY} characters, not {key!r}")])
    require_kind(request, BacktestRequest, SweepRequest, WalkForwardRequest)
    request = _checked(request)
    return {
        "selector": {**_REPOSITORY, "jobName": kind_of(request.to_dict())},
        "runConfigData": config_of(request),
        "executionMetadata": {"tags": _tags(request, key, code_of, reuse=reuse, server_code=server_code)},
    }


def _run_of(url: str, answer: Mapping[str, Any]) -> Run:
    if answer["__typename"] == "RunConfigValidationInvalid":
        raise RequestInvalid([("", error["message"]) for error in answer["errors"]])
    if answer["__typename"] != "LaunchRunSuccess":
        raise refusal_of_answer(url, answer)
    run: Run = answer["run"]
    return run


def launch_all(
    graphql: GraphQL,
    requests: Iterable[TaskRequest],
    given_keys: Sequence[str] | None,
    at_once: int,
    *,
    server_code: bool = False,
) -> list[Run]:
    """Starts many tasks, a number of them with each question; one that fails does not keep the others back.

    Raises:
        RequestInvalid: there are not as many keys as requests; nothing was submitted.
        SubmissionsFailed: after all have been tried, if any was not taken.
    """
    requests = list(requests)
    keys = [new_key() for _ in requests] if given_keys is None else list(given_keys)
    if len(keys) != len(requests):
        raise RequestInvalid([("idempotency_keys", f"{len(keys)} keys for {len(requests)} requests")])
    outcomes: dict[int, Run | BacktestError] = {}
    asked: dict[int, Params] = {}
    code_of = cache(code_sha256_on_disk_of)  # one for all of them, as of now
    for at, (request, key) in enumerate(zip(requests, keys, strict=True)):
        try:
            asked[at] = _params(request, key, code_of, reuse=False, server_code=server_code)
        except BacktestError as error:
            outcomes[at] = error
    with ThreadPoolExecutor(at_once, thread_name_prefix="submit") as pool:
        for answered in pool.map(lambda few: _launched(graphql, few), _portions(asked)):
            outcomes |= answered
    failures = {at: one for at, one in sorted(outcomes.items()) if isinstance(one, BacktestError)}
    runs = {at: one for at, one in outcomes.items() if not isinstance(one, BacktestError)}
    if failures:
        task_ids = [task_of(runs[at]) if at in runs else None for at in range(len(keys))]
        raise SubmissionsFailed(task_ids, failures, keys) from failures[min(failures)]
    return [runs[at] for at in range(len(keys))]


def _portions(asked: Mapping[int, Params]) -> Iterator[dict[int, Params]]:
    """What goes into one question each: so much that a server takes it and answers within moments."""
    portion: dict[int, Params] = {}
    size = 0
    for at, params in asked.items():
        own = len(json.dumps(params))
        if portion and (len(portion) >= _MOST_TOGETHER or size + own > _MOST_CHARACTERS):
            yield portion
            portion, size = {}, 0
        portion[at] = params
        size += own
    if portion:
        yield portion


def _launched(graphql: GraphQL, asked: Mapping[int, Params]) -> dict[int, Run | BacktestError]:
    """What came of launches that are asked for together; what may pass is asked for again, alone."""
    try:
        answer = graphql.ask_patiently(queries.LAUNCH_MANY, {"params": list(asked.values())})[_MANY]
        if answer["__typename"] != _MANY_TAKEN:
            raise refusal_of_answer(graphql.url, answer)
    except BacktestError as error:
        return dict.fromkeys(asked, error)
    outcomes: dict[int, Run | BacktestError] = {}
    for at, one in zip(asked, answer[f"{_MANY}Result"], strict=True):
        try:
            outcomes[at] = _run_of(graphql.url, one)
        except BacktestError as error:
            outcomes[at] = _launched_alone(graphql, asked[at]) if error.retryable else error
    return outcomes


def _launched_alone(graphql: GraphQL, params: Params) -> Run | BacktestError:
    try:
        return _run_of(graphql.url, graphql.ask_patiently(queries.LAUNCH, {"params": params})["launchRun"])
    except BacktestError as error:
        return error


def _checked(request: TaskRequest) -> TaskRequest:
    try:
        if isinstance(request, WalkForwardRequest):
            return resolve_walk_forward(request)
        if isinstance(request, SweepRequest):
            return resolve_sweep(request).request
        return resolve(request).request
    except StrategyUnknown:
        return request  # the server may have strategies that are not installed here


def _tags(
    request: TaskRequest, key: str, code_of: CodeOf, *, reuse: bool, server_code: bool
) -> list[dict[str, str]]:
    """What a submission says beside its request; the server makes the request's own tags."""
    run_tags = {tags.IDEMPOTENCY_KEY: key, tags.REUSE: "true" if reuse else "false"}
    names = strategies_of(request.to_dict())
    code = code_of(*names)
    if code is not None:
        run_tags[tags.SUBMITTED_CODE] = code
    if server_code:
        run_tags[tags.ANY_CODE] = "true"
    return [{"key": name, "value": value} for name, value in tags.fitting(run_tags).items()]
