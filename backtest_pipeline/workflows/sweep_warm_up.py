"""How many candles before `start` the trials of a sweep need at most."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

from backtest_pipeline.engine.inputs import strategy_warmup_bars
from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.model.space_values import PARAM, count_of, value_at
from backtest_pipeline.model.strategy import AnyStrategy, checked_params
from backtest_pipeline.strategies.sweep_resolution import resolve_sweep

if TYPE_CHECKING:
    from backtest_pipeline.model.sweep_request import SweepRequest

MOST_ASKED = 20_000
"""Combinations of parameters for which strategies are asked, which takes some hundredths of a second."""


def most_warmup_bars(request: SweepRequest) -> int | None:
    """The longest warm-up of any trial; `None` where there are too many combinations to ask for each.

    Each trial sees its own number of bars, whatever else is loaded, so nothing but time hangs on this.
    """
    asked = request.space.get("warmup_bars", (request.backtest.warmup_bars,))
    if not isinstance(asked, tuple):  # a range
        return asked.at(asked.count - 1) if asked.count else None
    stated = max((bars for bars in asked if bars is not None), default=0)
    if None not in asked:
        return stated
    said = _said_by_strategies(request)
    return None if said is None else max(stated, said)


def _said_by_strategies(request: SweepRequest) -> int | None:
    resolved = resolve_sweep(request)
    strategies = list(resolved.strategies.values())
    if all(type(one).warmup_bars is AnyStrategy.warmup_bars for one in strategies):
        return 0
    varied = {key: values for key, values in resolved.request.space.items() if key.startswith(PARAM)}
    counts = [count_of(values) for values in varied.values()]
    finite = [count for count in counts if count is not None]
    if len(finite) < len(counts) or math.prod(finite) * len(strategies) > MOST_ASKED:
        return None
    names = [key.removeprefix(PARAM) for key in varied]
    choices = [[value_at(own, at) for at in range(count_of(own) or 0)] for own in varied.values()]
    fixed = dict(resolved.request.backtest.params)
    return max(
        _said(strategy, fixed | dict(zip(names, values, strict=True)))
        for strategy in strategies
        for values in product(*choices)
    )


def _said(strategy: AnyStrategy, params: dict[str, Any]) -> int:
    """What a strategy says for some parameters; 0 for a trial that will be invalid or fail."""
    try:
        return strategy_warmup_bars(strategy, checked_params(strategy, params))
    except BacktestError:
        return 0
