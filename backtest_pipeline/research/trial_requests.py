"""The backtest that each trial is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.space_values import PARAM

if TYPE_CHECKING:
    from backtest_pipeline.model.sweep_request import SweepRequest


def trial_request(request: SweepRequest, values: Mapping[str, Any]) -> BacktestRequest:
    """The backtest of one trial, as somebody would ask for it alone.

    Args:
        request: the sweep.
        values: of the trial, by key of the space.

    Raises:
        RequestInvalid: the values do not fit together.
    """
    fields = {name: getattr(request.backtest, name) for name in BacktestRequest.model_fields}
    fields |= {key: value for key, value in values.items() if not key.startswith(PARAM)}
    return BacktestRequest(**fields | {"params": trial_params(request, values)})


def trial_params(request: SweepRequest, values: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of one trial."""
    varied = {key.removeprefix(PARAM): value for key, value in values.items() if key.startswith(PARAM)}
    return {**request.backtest.params, **varied}
