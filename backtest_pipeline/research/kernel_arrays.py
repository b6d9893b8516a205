"""What the kernel of trials takes and writes: types of its arrays, and what stands where in them."""

from __future__ import annotations

from backtest_pipeline.engine.compiled import (
    AccountOut,
    FloatsIn,
    FloatsOut,
    IntsIn,
    TradesOut,
    types,
)
from backtest_pipeline.engine.metrics.curve_kernels import CURVE_FIGURES
from backtest_pipeline.engine.metrics.list_kernels import SIGNAL_FIGURES, TRADE_FIGURES

FIGURES = (*CURVE_FIGURES, "value_at_risk_95", *TRADE_FIGURES, *SIGNAL_FIGURES)
"""Names of a row's figures, in their order."""

BLOCKS = 16
CURVE, SIGNALS = len(CURVE_FIGURES), len(SIGNAL_FIGURES)
BEFORE_SIGNALS = len(FIGURES) - SIGNALS

Table = types.Array(types.float64, 2, "C")
FlagsTable = types.Array(types.boolean, 2, "C")
Sides = types.Array(types.int8, 1, "C")
Ints = types.Array(types.int64, 1, "C")
MarketArrays = types.Tuple(
    (
        IntsIn,  # offsets: shape (k + 1,), where each symbol's bars begin and end in what is flat
        FloatsIn,  # open, flat, as the next three
        FloatsIn,  # high
        FloatsIn,  # low
        FloatsIn,  # close
        IntsIn,  # moments of the bars, flat, microseconds since 1970
        IntsIn,  # slots of the bars on the joint grid, flat
        IntsIn,  # the joint grid's slots
        IntsIn,  # the joint grid's moments
        IntsIn,  # elapsed time: of each symbol, then of all, microseconds
        FloatsIn,  # bars a year: of each symbol, then of the account
        FloatsIn,  # exponents of `curve_figures`
        FloatsIn,  # what each symbol's account is measured against, flat
        FloatsIn,  # the same of the joint account; empty: what was bought of each symbol, added up
    )
)
SpareArrays = types.Tuple(
    (
        AccountOut,  # shape (1,)
        AccountOut,  # shape (1,), flat, without cash
        TradesOut,  # room for every trade there can be
        Ints,  # bars of signals, shape (2 * bars,)
        Ints,  # bars of their exits
        Ints,  # moments of signals
        Sides,  # sides of signals
        FloatsOut,  # returns of signals
        Table,  # at least `SPARE_ROWS` rows of the longest account's bars, and 2 * bars
    )
)
SPARE_ROWS = 9
EQUITY, CASH, GROSS, RETURNS, KEPT, CHANGES, JOINT_EQUITY, JOINT_GROSS, JOINT_CHANGES = range(9)
"""What each row of the table is for."""
