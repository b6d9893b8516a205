"""Rotation into what has risen most."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from backtest_pipeline.engine.indicators import before, carried
from backtest_pipeline.model.panel import Panel
from backtest_pipeline.model.portfolio_strategy import PortfolioStrategy, RebalanceParams, Weights


class MomentumRotation(PortfolioStrategy):
    """Holds equal parts of the symbols that have risen most, and rotates from time to time.

    A symbol's momentum is its return from `lookback` rows before to `skip` rows before, twelve months without
    the last one by default (Jegadeesh and Titman, 1993). The `top` ones are held, each with an equal part;
    the part of one that has fallen stays in cash, unless `only_rising` is off. Of equals, the request's order
    decides.
    """

    name = "momentum_rotation"

    class Params(RebalanceParams):
        """What counts as momentum, how many are held, and how often they are chosen."""

        lookback: int = Field(252, ge=1, le=10_000, description="rows back at which the return begins")
        skip: int = Field(21, ge=0, le=10_000, description="rows back at which it ends; less than lookback")
        top: int = Field(3, ge=1, le=500, description="how many symbols are held")
        only_rising: bool = Field(True, description="keep the part of a symbol that has fallen in cash")

        @model_validator(mode="after")
        def _ends_after_it_begins(self) -> Self:
            if self.skip >= self.lookback:
                raise ValueError(f"skip ({self.skip} rows) must be less than lookback ({self.lookback} rows)")
            return self

    def warmup_bars(self, params: Params) -> int:
        """The rows back at which the return begins."""
        return params.lookback

    def weights(self, panel: Panel, params: Params) -> Weights:
        """See the class."""
        close = carried(panel.close)
        rise = before(close, params.skip) / before(close, params.lookback) - 1.0
        is_known = ~np.isnan(rise)
        order = np.argsort(-np.where(is_known, rise, -np.inf), axis=1, kind="stable")
        held = np.zeros(rise.shape, dtype=np.bool_)
        np.put_along_axis(held, order[:, : params.top], values=True, axis=1)
        held &= (rise > 0.0) if params.only_rising else is_known
        weights = held / params.top
        weights[~is_known.any(axis=1)] = np.nan
        return Weights(weights, params.rebalance, params.drift_frac)
