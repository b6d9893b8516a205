"""How the fields of a request that speak of accounts, sizes and orders have to fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backtest_pipeline.model.timeframe import BAR_SECONDS

if TYPE_CHECKING:
    from backtest_pipeline.model.request import BacktestRequest

SIZED_BY = {"slots": "max_positions", "risk": "risk_frac", "volatility": "target_volatility"}
"""Sizings, and the field that each of them needs."""


def account_problem(request: BacktestRequest) -> str | None:
    """What does not fit together, in a sentence that says what to write instead; `None` where all does."""
    return next(
        (problem for check in (_sizing, _leverage, _exits, _detail) if (problem := check(request))), None
    )


def _sizing(request: BacktestRequest) -> str | None:
    if request.max_positions is not None and request.account != "shared":
        return "max_positions counts the positions of one account: it needs account shared"
    needed = SIZED_BY.get(request.sizing)
    if needed is not None and getattr(request, needed) is None:
        return f"sizing {request.sizing} needs {needed}"
    for sizing in ("risk", "volatility"):
        if getattr(request, SIZED_BY[sizing]) is not None and request.sizing != sizing:
            return f"{SIZED_BY[sizing]} needs sizing {sizing}, not {request.sizing}"
    return None


def _leverage(request: BacktestRequest) -> str | None:
    margin = request.maintenance_margin_frac
    if request.leverage > 1 and margin is None:
        return "leverage above 1 needs maintenance_margin_frac, below which the account is liquidated"
    if margin is not None and margin * request.leverage >= 1:
        return (
            f"maintenance_margin_frac {margin:.12g} would liquidate at once at leverage "
            f"{request.leverage:.12g}: it should be less than {1 / request.leverage:.6g}"
        )
    if request.position_frac > request.leverage:
        most = "1" if request.leverage == 1 else f"the leverage, {request.leverage:.12g}"
        return f"position_frac should be at most {most}, not {request.position_frac:.12g}"
    return None


def _exits(request: BacktestRequest) -> str | None:
    if request.trailing_activation_frac is not None and request.trailing_stop_frac is None:
        return "trailing_activation_frac needs trailing_stop_frac, the distance once it is reached"
    if request.same_bar_trail != "proven" and request.trailing_stop_frac is None:
        return "same_bar_trail needs trailing_stop_frac"
    if request.direction != "long" and any(frac >= 1 for _, frac in request.take_profit_steps):
        return "take_profit_steps should be below 1 with shorts, whose price would have to reach zero"
    if request.direction != "long" and (request.trailing_activation_frac or 0) >= 1:
        return "trailing_activation_frac should be below 1 with shorts, whose price would have to reach zero"
    return None


def _detail(request: BacktestRequest) -> str | None:
    detail = request.detail_timeframe
    if detail is not None and BAR_SECONDS[detail] >= BAR_SECONDS[request.timeframe]:
        return f"detail_timeframe should be finer than {request.timeframe}, not {detail}"
    return None
