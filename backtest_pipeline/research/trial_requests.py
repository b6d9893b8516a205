"""The backtest that each trial is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.request import BacktestRequest
from backtest_pipeline.model.space_values import PARAM
from backtest_pipeline.research.space import Space

if TYPE_CHECKING:
    import pyarrow as pa

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


def request_of_row(request: SweepRequest, row: pa.Table) -> BacktestRequest:
    """The backtest of the trial in a row of a sweep's table, a table of one row.

    Raises:
        RequestInvalid: its values do not fit together, as those of an invalid trial.
    """
    space = Space.of(request.space)
    return trial_request(request, space.values(space.points_of(row), 0))
