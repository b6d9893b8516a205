"""Returns of an account in even blocks of time, of one trial at a time."""

from __future__ import annotations

from typing import Any

from backtest_pipeline.engine.compiled import FloatsIn, FloatsOut, IntsOut, compiled, sources_digest, types
from backtest_pipeline.engine.metrics import curve_kernels
from backtest_pipeline.engine.metrics.curve_kernels import bar_returns
from backtest_pipeline.research import trial_passes
from backtest_pipeline.research.trial_passes import write_blocks


def _kernel_of(sources: str) -> Any:
    """Makes the kernel, which closes over the digest of what it calls and so is renewed with it."""

    @compiled(types.unicode_type(FloatsIn, types.float64, FloatsOut, IntsOut, FloatsOut, FloatsOut))
    def write_account_blocks(
        equity: Any, initial_cash: float, returns: Any, counts: Any, sums: Any, squares: Any
    ) -> str:
        """Writes an account's bar returns, and their number, sum and sum of squares in each block.

        Args:
            equity: shape (n,).
            initial_cash: against which the first bar's return is.
            returns: shape (n,), written.
            counts: shape (16,), written; as the next two.
            sums: of the returns.
            squares: of the returns' squares.

        Returns:
            The digest of the sources that it calls.
        """
        bar_returns(equity, initial_cash, returns)
        write_blocks(returns, counts, sums, squares)
        return sources

    return write_account_blocks


write_account_blocks = _kernel_of(sources_digest(curve_kernels, trial_passes))
