"""The values that a field has in a task: the backtest's own, or in a search those of its trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.sweep_request import SweepRequest
from backtest_pipeline.model.walk_forward_request import WalkForwardRequest

if TYPE_CHECKING:
    from backtest_pipeline.model.task_request import TaskRequest


def choices_of(request: TaskRequest, field: str) -> Sequence[Any]:
    """The values of a field that the backtests of a task may have."""
    if isinstance(request, WalkForwardRequest):
        return choices_of(request.sweep, field)
    if not isinstance(request, SweepRequest):
        return (getattr(request, field),)
    varied = request.space.get(field)
    return varied if isinstance(varied, tuple) else (getattr(request.backtest, field),)


def traded_symbols(request: TaskRequest) -> tuple[str, ...]:
    """All symbols that the backtests of a task may trade, each once."""
    return tuple(dict.fromkeys(symbol for one in choices_of(request, "symbols") for symbol in one))
