"""The records that kernels and Python share: settings in, account state between chunks, trades out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.request import BacktestRequest

SETTINGS = np.dtype(
    [
        ("fee_rate", "f8"),
        ("fee_fixed", "f8"),
        ("slippage", "f8"),
        ("position_frac", "f8"),
        ("quantity_step", "f8"),
        ("stop_loss", "f8"),  # fractions of the price; 0 is none
        ("take_profit", "f8"),
        ("trailing_stop", "f8"),
        ("max_hold", "i8"),  # bars; 0 is none
        ("at_close", "i8"),  # 1: fills at the signal's own close
        ("allow_long", "i8"),
        ("allow_short", "i8"),
    ]
)

ACCOUNT = np.dtype(
    [
        ("cash", "f8"),
        ("side", "i8"),  # 1 long, -1 short, 0 flat
        ("quantity", "f8"),
        ("entry_bar", "i8"),
        ("entry_price", "f8"),
        ("entry_fee", "f8"),
        ("slippage_cost", "f8"),
        ("stop_level", "f8"),
        ("stop_reach", "f8"),  # the first price that counts as touching the level; as for the other two
        ("target_level", "f8"),
        ("target_reach", "f8"),
        ("liquidation_level", "f8"),
        ("liquidation_reach", "f8"),
        ("highest", "f8"),  # best and worst price seen since entry
        ("lowest", "f8"),
        ("exit_order", "i8"),  # reason of the exit due at the next open, 0 for none
        ("entry_order", "i8"),  # side of the entry due at the next open, 0 for none
        ("skipped_entries", "i8"),
    ]
)

TRADE = np.dtype(
    [
        ("side", "i8"),
        ("reason", "i8"),
        ("entry_bar", "i8"),
        ("exit_bar", "i8"),
        ("quantity", "f8"),
        ("entry_price", "f8"),
        ("exit_price", "f8"),
        ("fees", "f8"),
        ("slippage_cost", "f8"),
        ("pnl", "f8"),
        ("return_frac", "f8"),
        ("mae_frac", "f8"),
        ("mfe_frac", "f8"),
    ]
)


def settings_of(request: BacktestRequest, max_hold_bars: int | None) -> NDArray[Any]:
    """The request's money and fill rules as the kernel's record, shape (1,)."""
    settings = np.zeros(1, dtype=SETTINGS)
    settings["fee_rate"] = request.fee_bps / 10_000
    settings["fee_fixed"] = request.fee_fixed
    settings["slippage"] = request.slippage_bps / 10_000
    settings["position_frac"] = request.position_frac
    settings["quantity_step"] = request.quantity_step
    settings["stop_loss"] = request.stop_loss_frac or 0.0
    settings["take_profit"] = request.take_profit_frac or 0.0
    settings["trailing_stop"] = request.trailing_stop_frac or 0.0
    settings["max_hold"] = max_hold_bars or 0
    settings["at_close"] = request.fill == "close"
    settings["allow_long"] = request.direction in {"long", "both"}
    settings["allow_short"] = request.direction in {"short", "both"}
    return settings


def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """All parts in one array; an only part itself."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def opening_account(cash: float) -> NDArray[Any]:
    """A flat account before its first bar, shape (1,)."""
    account = np.zeros(1, dtype=ACCOUNT)
    account["cash"] = cash
    return account
