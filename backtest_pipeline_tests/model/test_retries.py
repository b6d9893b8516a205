"""Whether a failed attempt is its task's last one."""

from __future__ import annotations

import pytest

from backtest_pipeline.model import tags
from backtest_pipeline.model.retries import UNDECIDED_S, retries_left, retry_is_coming


@pytest.mark.parametrize(("decided", "coming"), [("true", True), ("false", False)])
def test_what_dagster_has_decided_is_so_whatever_the_rest_says(decided: str, coming: bool) -> None:
    for most in ("0", "2"):
        for age_s in (None, 0.0, 1e9):
            run_tags = {tags.WILL_RETRY: decided, tags.MAX_RETRIES: most}
            assert retry_is_coming(run_tags, attempt=1, failed_for_s=age_s) is coming


@pytest.mark.parametrize("age_s", [None, 0.0, UNDECIDED_S - 0.1])
def test_a_fresh_failure_without_a_decision_is_open(age_s: float | None) -> None:
    assert retry_is_coming({}, attempt=1, failed_for_s=age_s) is None
    assert retry_is_coming({tags.MAX_RETRIES: "2"}, attempt=2, failed_for_s=age_s) is None


def test_an_older_failure_without_a_decision_is_final() -> None:
    assert retry_is_coming({tags.MAX_RETRIES: "2"}, attempt=1, failed_for_s=UNDECIDED_S) is False


@pytest.mark.parametrize("age_s", [None, 0.0])
def test_the_last_attempt_that_is_allowed_is_final_at_once(age_s: float | None) -> None:
    two_more = {tags.MAX_RETRIES: "2"}
    assert [retry_is_coming(two_more, attempt=number, failed_for_s=age_s) for number in (1, 2, 3)] == [
        None,
        None,
        False,
    ]
    assert retry_is_coming(two_more, attempt=None, failed_for_s=age_s) is None, "its number is not known"


@pytest.mark.parametrize(
    ("most", "left"),
    [("2", [True, True, False]), ("0", [False] * 3), ("many", [False] * 3), ("-1", [False] * 3)],
)
def test_two_retries_make_three_attempts(most: str, left: list[bool]) -> None:
    assert [retries_left({tags.MAX_RETRIES: most}, number) for number in (1, 2, 3)] == left


def test_without_the_tag_nobody_knows() -> None:
    assert retries_left({}, 1) is None
