"""Paths of Dagster's server other than GraphQL: what would make it fail is answered as not found."""

from __future__ import annotations

import re

from starlette.types import Message, Receive, Scope, Send

from backtest_pipeline.model.tag_rules import RUN_ID
from backtest_pipeline.web.access.launch_requests import KnowsRun
from backtest_pipeline.web.access.off_loop import in_thread
from backtest_pipeline.web.access.refusal import Refusal, json_answer

_DEBUG_FILE = re.compile(r"/download_debug/(?P<run_id>[^/]*)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_PATH = 2_048
# What fails on these paths fails because of what a client has named.
_BY_NAME = {"/download_debug/": 404, "/logs/": 404, "/notebook": 404, "/report_asset_": 400}


async def check_path(path: str, knows_run: KnowsRun | None) -> None:
    """Refuses what names nothing.

    Raises:
        Refusal: the path climbs up, has control characters, or names a run that is not there.
    """
    if len(path) > _LONGEST_PATH or _CONTROL.search(path) or ".." in path.split("/"):
        raise Refusal(404, "there is nothing at this address")
    named = _DEBUG_FILE.search(path)
    if named is None:
        return
    run_id = named["run_id"]
    known = RUN_ID.fullmatch(run_id) and (knows_run is None or await in_thread(knows_run, run_id))
    if not known:
        raise Refusal(404, "there is no such run; `backtest list` shows the tasks there are")


def with_plain_failures(scope: Scope, receive: Receive, send: Send) -> Send:
    """Answers in JSON, and as not found, where Dagster fails at a path that names something."""
    status = next((status for part, status in _BY_NAME.items() if part in scope["path"]), 500)
    failed = False

    async def replaced(message: Message) -> None:
        nonlocal failed
        if message["type"] == "http.response.start" and message["status"] == 500:
            failed = True
            sentence = "this names nothing that is here" if status < 500 else "the server failed; see its log"
            answer = json_answer(status, {"errors": [{"message": sentence}]})
            await answer(scope, receive, send)
        elif not failed:
            await send(message)

    return replaced
