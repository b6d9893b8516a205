"""Which tags a client may give a run: what Dagster reads from tags is checked before it reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.plain_data import shortened, text_problem

MOST_TAGS = 200
LONGEST_NAME = 255
MOST_VALUE_BYTES = 2_048  # an entry of PostgreSQL's index of tags has 2,704 at most, the name included

RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HIDDEN_PREFIX = ".dagster/"
_WHOLE = re.compile(r"-?[0-9]{1,7}")
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_LONGEST_RUN_S = 31_536_000

_WHOLE_NUMBERS = {
    tags.PRIORITY: (-1_000_000, 1_000_000),
    tags.MAX_RETRIES: (0, 10),
    tags.RETRY_NUMBER: (0, 100),
}
_SECONDS = {tags.MAX_RUNTIME, "dagster/max_runtime_seconds"}
_RUN_IDS = {tags.ROOT_RUN, tags.PARENT_RUN, tags.AUTO_RETRY_RUN}
_TRUE_OR_FALSE = ("true", "false")
CHOICES: Mapping[str, tuple[str, ...]] = {
    tags.REUSE: _TRUE_OR_FALSE,
    tags.WILL_RETRY: _TRUE_OR_FALSE,
    tags.RESUME: _TRUE_OR_FALSE,
    tags.RESUME_ASSETS: _TRUE_OR_FALSE,
    "dagster/retry_on_asset_or_op_failure": _TRUE_OR_FALSE,
    "dagster/defer_asset_events": _TRUE_OR_FALSE,
    "dagster/retry_strategy": ("FROM_FAILURE", "ALL_STEPS", "FROM_ASSET_FAILURE"),
    tags.FAILURE_REASON: (
        "UNEXPECTED_TERMINATION",
        "RUN_EXCEPTION",
        "STEP_FAILURE",
        "JOB_INITIALIZATION_FAILURE",
        "START_TIMEOUT",
        "RUN_WORKER_RESTART",
        "UNKNOWN",
    ),
}


def refuse_bad_tags(run_tags: Mapping[str, str], *, by_client: bool) -> None:
    """Lets tags through that Dagster and the database can use.

    Args:
        run_tags: by name.
        by_client: whether a client has sent them; Dagster itself also writes hidden ones.

    Raises:
        RequestInvalid: one or more cannot be used.
    """
    if by_client and len(run_tags) > MOST_TAGS:
        raise RequestInvalid([("tags", f"give a run at most {MOST_TAGS} tags, not {len(run_tags)}")])
    problems = []
    for name, value in run_tags.items():
        hidden = name.startswith(_HIDDEN_PREFIX)
        if hidden and by_client:
            problems.append((f"tag {shortened(name)}", "tags that begin so are Dagster's own; leave it out"))
        elif not hidden and (problem := tag_problem(name, value)):
            problems.append((f"tag {shortened(name)}", problem))
    if problems:
        raise RequestInvalid(problems[:10])


def tag_problem(name: str, value: str) -> str | None:
    """Says why a run cannot have a tag, or `None` where it can."""
    if not name.strip() or len(name) > LONGEST_NAME:
        return f"a tag's name has 1 to {LONGEST_NAME} characters"
    if problem := text_problem(name) or text_problem(value):
        return problem
    if any(ord(character) < ord(" ") for character in name):
        return "a tag's name has no control characters"
    if len(value.encode()) > MOST_VALUE_BYTES:
        return f"a tag's value has at most {MOST_VALUE_BYTES} bytes"
    return _system_problem(name, value)


def _system_problem(name: str, value: str) -> str | None:
    if name in _WHOLE_NUMBERS:
        least, most = _WHOLE_NUMBERS[name]
        if not _WHOLE.fullmatch(value) or not least <= int(value) <= most:
            return f"write a whole number from {least} to {most}, not {shortened(value)}"
    elif name in _SECONDS:
        if not _DECIMAL.fullmatch(value) or not 0 < float(value) <= _LONGEST_RUN_S:
            return f"write seconds, above 0 and at most {_LONGEST_RUN_S}, not {shortened(value)}"
    elif name in _RUN_IDS:
        if not RUN_ID.fullmatch(value):
            return f"write the id of a run, not {shortened(value)}"
    elif name in CHOICES and value not in CHOICES[name]:
        return f"write {' or '.join(CHOICES[name])}, not {shortened(value)}"
    return None
