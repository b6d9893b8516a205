"""Trials that are run together: what they share, and what each of them asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from backtest_pipeline.model.errors import RequestInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.request import BacktestRequest
    from backtest_pipeline.model.strategy import AnyStrategy, StrategyParams
    from backtest_pipeline.research.trial_settings import TrialSetting

    Rows = NDArray[np.int64]


class AskedTrials(NamedTuple):
    """Trials that have the same signals, and what to ask for these."""

    trials: Rows
    request: BacktestRequest
    strategy: AnyStrategy
    params: StrategyParams
    warmup_bars: int


class ChosenSettings(NamedTuple):
    """The settings of some trials.

    Attributes:
        settings: each once.
        setting_of: shape (trials,), which of them each trial has.
        records: shape (trials,), dtype `SETTINGS`.
        cash: shape (trials,), initial cash.
    """

    settings: Sequence[TrialSetting]
    setting_of: Rows
    records: NDArray[Any]
    cash: NDArray[np.float64]

    def request_of(self, trial: int) -> BacktestRequest:
        """The request of a trial that has one."""
        request: BacktestRequest | RequestInvalid = self.settings[self.setting_of[trial]].request
        if isinstance(request, RequestInvalid):
            raise request
        return request

    def are_simple(self, trials: Rows) -> NDArray[np.bool_]:
        """Which trials need nothing that only the kernel of accounts has."""
        simple = np.array([setting.is_simple for setting in self.settings], dtype=np.bool_)
        return simple[self.setting_of[trials]]
