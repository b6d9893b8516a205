"""The fields of a request that only some backtests need, by what they are about; shown after the others."""

from __future__ import annotations

from collections.abc import Mapping

FURTHER_FIELDS: Mapping[str, tuple[str, ...]] = {
    "One account and sizes": (
        "account",
        "max_positions",
        "sizing",
        "risk_frac",
        "target_volatility",
        "max_entries",
    ),
    "Leverage and its costs": ("leverage", "maintenance_margin_frac", "borrow_apr", "funding"),
    "Orders and exits in detail": (
        "good_for_bars",
        "limit_fills_on_touch",
        "detail_timeframe",
        "on_conflict",
        "trailing_activation_frac",
        "same_bar_trail",
        "take_profit_steps",
    ),
}


def group_of(field: str) -> str | None:
    """The group of a field; none for those that any backtest has."""
    return next((group for group, fields in FURTHER_FIELDS.items() if field in fields), None)


def simple_first(fields: list[str]) -> list[str]:
    """Fields in their order, those of a group behind the others and together."""
    grouped = [name for own in FURTHER_FIELDS.values() for name in own]
    return [*(name for name in fields if name not in grouped), *(name for name in grouped if name in fields)]
