"""A request as the run config of the job `backtest`, and back.

The config is the request itself; only the strategy differs, being a selector that holds its parameters:
`{"strategy": {NAME: PARAMS}, …}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.request import BacktestRequest


def to_run_config(request: BacktestRequest) -> dict[str, Any]:
    """The run config that asks for this backtest."""
    fields = request.to_dict()
    params = fields.pop("params")
    return {**fields, "strategy": {request.strategy: params}}


def as_asked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request as a run config has them, unchecked: for the record of a refused request.

    Raises:
        RequestInvalid: not exactly one strategy is selected.
    """
    selected = config.get("strategy")
    if not isinstance(selected, Mapping) or len(selected) != 1:
        raise RequestInvalid([("strategy", "select exactly one, as in {sma_cross: {fast: 10, slow: 20}}")])
    [(name, params)] = selected.items()
    return {**config, "strategy": name, "params": dict(params)}


def from_run_config(config: Mapping[str, Any]) -> BacktestRequest:
    """The request that a run config asks for.

    Raises:
        RequestInvalid: a field is wrong, or not exactly one strategy is selected.
    """
    return BacktestRequest(**as_asked(config))
