"""The tags that a run gets when it is submitted, wherever it was made, and how long a retry waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backtest_pipeline.model import tags
from backtest_pipeline.model.request_tags import descriptive_tags, scheduling_tags
from backtest_pipeline.model.status import WAITING_STAGE
from backtest_pipeline.orchestration.tasks.attempts import is_first

if TYPE_CHECKING:
    from dagster import DagsterRun

FIRST_RETRY_WAIT_S = 1.0
LONGEST_RETRY_WAIT_S = 300.0
_MOST_DOUBLINGS = 20
_OF_FORMER_ATTEMPT = (
    tags.ERROR,
    tags.RESULT_PATH,
    tags.ALERTED,
    tags.RECORDED,
    tags.RETRY_OWED,
    tags.CODE,
)


def submission_tags(run: DagsterRun, *, now_s: float) -> dict[str, str]:
    """What a run's config says by tags, and a beginning without what an earlier attempt has reported.

    Args:
        run: a run that is being submitted.
        now_s: seconds since 1970, from which a retry's wait counts.
    """
    run_tags = {
        tags.PROGRESS: "0.00",
        **descriptive_tags(run.run_config),
        **scheduling_tags(run.run_config, run.tags),
    }
    if tags.NOT_BEFORE in run.tags:
        run_tags[tags.NOT_BEFORE] = ""  # of an earlier attempt, or a client's invention
    return tags.fitting(run_tags | _attempt_tags(run, now_s))


def _attempt_tags(run: DagsterRun, now_s: float) -> dict[str, str]:
    number = int(tags.number(run.tags, tags.RETRY_NUMBER, 0))
    forgotten = dict.fromkeys(_OF_FORMER_ATTEMPT, "")
    if is_first(run):
        claimed = {name: "" for name in forgotten if name in run.tags}
        return {tags.STAGE: WAITING_STAGE, **claimed}
    if not number:  # executed again by hand, in the web UI: whoever does that asks for the server's code
        return {tags.STAGE: WAITING_STAGE, **forgotten, tags.SUBMITTED_CODE: "", tags.ANY_CODE: ""}
    wait_s = min(FIRST_RETRY_WAIT_S * 2 ** min(number - 1, _MOST_DOUBLINGS), LONGEST_RETRY_WAIT_S)
    stage = f"waiting {wait_s:g} s before attempt {number + 1}"
    return {**forgotten, tags.NOT_BEFORE: f"{now_s + wait_s:.3f}", tags.STAGE: stage}
