"""Progress of a run: weighed work in, a throttled callback out."""

from __future__ import annotations

from collections.abc import Callable

ProgressCallback = Callable[[float, str], None]

MOST_CALLS = 90
UNWATCHED_CHUNK_BARS = 32_768
SMALLEST_CHUNK_BARS = 4_096


class Progress:
    """Calls back with a fraction that rises from 0 to 1, about a hundred times at most.

    Args:
        callback: takes fraction and stage; what it raises stops the run. None: nobody watches.
        total_bars: bars of all symbols together.
    """

    def __init__(self, callback: ProgressCallback | None, total_bars: int) -> None:
        self._callback = callback
        self._total = max(2 * total_bars, 1)
        self._done = 0
        self._told = 0.0
        if callback is not None:
            callback(0.0, "signals")
        watched_chunk = max(SMALLEST_CHUNK_BARS, -(-total_bars // MOST_CALLS))
        self.chunk_bars = UNWATCHED_CHUNK_BARS if callback is None else watched_chunk

    def advance(self, bars: int, stage: str) -> None:
        """Takes note that `stage` has dealt with that many more bars."""
        self._done += bars
        fraction = self._done / self._total
        if self._callback is not None and fraction < 1.0 and fraction - self._told >= 1 / MOST_CALLS:
            self._told = fraction
            self._callback(fraction, stage)

    def finish(self) -> None:
        """Says that everything is done."""
        if self._callback is not None:
            self._callback(1.0, "metrics")
