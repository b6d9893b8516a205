"""The kernel of accounts, and the engine around it, agree with the slow simulator in every bit.

`ACCOUNT_CASES=10000` in the environment looks at so many cases, in some minutes.
"""

from __future__ import annotations

import os

import pytest

from backtest_pipeline_tests.engine.account_cases import simulated
from backtest_pipeline_tests.engine.account_outcomes import differences, in_order
from backtest_pipeline_tests.engine.account_simulators import (
    computed_by_the_account_kernel,
    computed_by_the_engine,
)
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


def test_a_whole_run_equals_the_reference() -> None:
    """Steps, rows, the weights that are acted upon, finer candles and funding are found by the engine."""
    for seed in range(CASES // 5):
        case = generated_case(seed)
        expected, result = in_order(simulated(case)), computed_by_the_engine(case)
        for name in ("equity", "cash"):
            assert result.equity[name].tolist() == expected.of_rows(getattr(expected, name)), seed
        names = ["symbol", "side", "quantity", "entry_price", "exit_price", "fees", "pnl", "exit_reason"]
        found = sorted(result.trades[names].itertuples(index=False, name=None))
        assert found == sorted(tuple(getattr(trade, name) for name in names) for trade in expected.trades), (
            seed
        )
        assert result.positions is not None
        changes = result.positions[["symbol", "quantity", "value", "weight"]]
        assert list(changes.itertuples(index=False, name=None)) == [
            (change.symbol, change.quantity, change.value, change.weight) for change in expected.changes
        ], seed
