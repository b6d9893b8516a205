"""Questions about a submission, which web server and daemon ask the code server: it alone has the strategies.

A question and its answer are JSON objects and travel as the echo of a ping. Dagster's own code server hands
the question back as it came, and then nobody has answered.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.client import DagsterGrpcClient

from backtest_pipeline.orchestration.dagster_internals.compat import uses

if TYPE_CHECKING:
    from dagster._core.definitions.selector import JobSubsetSelector
    from dagster._core.workspace.context import BaseWorkspaceRequestContext

Answers: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, Any]]

_RESOLVED_WITHIN_S, _EACH_WITHIN_S = 5, 0.1

_QUESTION, _ANSWER = "backtest_pipeline asks: ", "backtest_pipeline answers: "
_log = logging.getLogger(__name__)

uses(DagsterGrpcClient, "_query")
uses(dagster_api_pb2, "PingRequest")


def ask(
    location: str, workspace: BaseWorkspaceRequestContext, question: Mapping[str, Any], *, within_s: int
) -> dict[str, Any]:
    """What the code server answers; empty where it does not: whoever asks goes on without.

    Args:
        location: name of its code location.
        workspace: where this process finds it.
        question: what `jobs.submissions.answer` understands.
        within_s: how long to wait, in seconds.
    """
    try:
        echo = _QUESTION + json.dumps(question)
        client = workspace.get_code_location(location).client  # type: ignore[attr-defined]  # behind gRPC
        reply = client._query(  # noqa: SLF001  its `ping` waits a minute
            "Ping", dagster_api_pb2.PingRequest, timeout=within_s, echo=echo
        )
        text = str(reply.echo)
        answer = json.loads(text.removeprefix(_ANSWER)) if text.startswith(_ANSWER) else {}
    except Exception as error:  # noqa: BLE001  whatever it is, the first op will decide
        reason = str(error).partition("\n")[0]
        _log.info("the code server of %s has not answered about a submission: %s", location, reason)
        return {}
    return dict(answer)


def ask_to_resolve(
    selector: JobSubsetSelector,
    workspace: BaseWorkspaceRequestContext,
    run_configs: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """What the code server says of each request: `config`, it resolved; `refused`, its problems; or nothing.

    Args:
        selector: the job that is to run them, and its code location.
        workspace: where this process finds that.
        run_configs: the requests, as the job's configuration has them.
    """
    question = {"resolve": [dict(one) for one in run_configs], "job": selector.job_name}
    within_s = _RESOLVED_WITHIN_S + math.ceil(len(run_configs) * _EACH_WITHIN_S)
    answers = ask(selector.location_name, workspace, question, within_s=within_s).get("resolved")
    if not isinstance(answers, list) or len(answers) != len(run_configs):
        return [{} for _ in run_configs]
    return answers


def answers_of(module: str) -> Answers | None:
    """The function that answers, of the code that is loaded now; none where that does not load.

    Args:
        module: name of the module that has it; empty: nobody answers.
    """
    try:
        answer: Answers | None = import_module(module).answer if module else None
    except Exception as error:  # noqa: BLE001  whatever a strategy's module raises: nothing runs then either
        _log.warning("questions about submissions are not answered: %r", error)
        return None
    return answer


def reply_to(echo: str, answer: Answers | None) -> str:
    """The code server's side: the answer to a question, or what was sent where it is none.

    Args:
        echo: what was sent.
        answer: who knows.
    """
    if answer is None or not echo.startswith(_QUESTION):
        return echo
    try:
        return _ANSWER + json.dumps(answer(json.loads(echo.removeprefix(_QUESTION))), allow_nan=False)
    except Exception as error:  # noqa: BLE001  whoever asks goes on without; the cause is ours to mend
        _log.warning("a question about a submission has no answer", exc_info=error)
        return echo
