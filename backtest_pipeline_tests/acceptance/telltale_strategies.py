"""A strategy that tells what a worker knows, for the tests of what it must not know."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from backtest_pipeline import Candles, Signals, Strategy, StrategyParams
from backtest_pipeline.settings import get_settings


class Telltale(Strategy):
    """Writes its environment and its settings into a file."""

    name = "telltale"

    class Params(StrategyParams):
        file: str

    def signals(self, candles: Candles, params: Params) -> Signals:
        settings = get_settings().model_dump(mode="json")
        Path(params.file).write_text(json.dumps({"environment": dict(os.environ), "settings": settings}))
        return Signals(entry=np.ones(len(candles), dtype=np.bool_))
