"""The kernel of accounts agrees with the slow simulator in every bit, whatever the case.

`ACCOUNT_CASES=10000` in the environment looks at so many cases, in some minutes.
"""

from __future__ import annotations

import os

import pytest

from backtest_pipeline_tests.engine.account_cases import simulated
from backtest_pipeline_tests.engine.account_outcomes import differences
from backtest_pipeline_tests.engine.account_simulators import computed_by_the_account_kernel
from backtest_pipeline_tests.engine.generated_accounts import generated_case

CASES, PARTS = int(os.environ.get("ACCOUNT_CASES", "500")), 10

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("part", range(PARTS))
def test_kernel_equals_reference_on_generated_accounts(part: int) -> None:
    for seed in range(part, CASES, PARTS):
        case = generated_case(seed)
        assert differences(simulated(case), computed_by_the_account_kernel(case)) == [], seed


@pytest.mark.parametrize("chunk_steps", [1, 7])
def test_the_size_of_chunks_changes_no_digit(chunk_steps: int) -> None:
    for seed in range(CASES // 5):
        case = generated_case(seed)
        whole, parts = (computed_by_the_account_kernel(case, steps) for steps in (0, chunk_steps))
        assert differences(whole, parts) == [], seed
