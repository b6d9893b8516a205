"""Whether a failed attempt is its task's last one, as its run's tags say."""

from __future__ import annotations

from collections.abc import Mapping

from backtest_pipeline.model import tags

UNDECIDED_S = 10.0
"""Dagster tells by a tag whether it will retry a failed run, a moment after the failure can be seen; for so
long after a failure without that tag it is left open."""


def retry_is_coming(
    run_tags: Mapping[str, str], *, attempt: int | None, failed_for_s: float | None
) -> bool | None:
    """Whether another attempt follows a failed one, or none while Dagster may still decide.

    Args:
        run_tags: of the failed run.
        attempt: its number in its task, from 1; none where that is not known.
        failed_for_s: seconds since its failure; none where that moment is not known.
    """
    decided = run_tags.get(tags.WILL_RETRY)
    if decided is not None:
        return decided == "true"
    if attempt is not None and retries_left(run_tags, attempt) is False:
        return False
    return None if failed_for_s is None or failed_for_s < UNDECIDED_S else False


def retries_left(run_tags: Mapping[str, str], attempt: int) -> bool | None:
    """Whether a task may have another attempt after this one, the first being 1; none where no tag says."""
    most = run_tags.get(tags.MAX_RETRIES)
    if most is None:
        return None
    return most.isdecimal() and int(most) >= attempt
