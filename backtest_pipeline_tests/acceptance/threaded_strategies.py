"""A strategy module that starts a thread when it is imported, so that nobody may fork after it."""

from __future__ import annotations

import threading
import time

import numpy as np

from backtest_pipeline import Candles, Signals, Strategy, StrategyParams

threading.Thread(target=lambda: time.sleep(3_600), daemon=True).start()


class Threaded(Strategy):
    """Buys at the first bar, after a pause."""

    name = "threaded"

    def signals(self, candles: Candles, params: StrategyParams) -> Signals:
        time.sleep(0.7)
        return Signals(entry=np.arange(len(candles)) == 0)
