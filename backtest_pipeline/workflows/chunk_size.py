"""How many trials a chunk has, learnt from what those before have taken."""

from __future__ import annotations

_FIRST_CHUNK_TRIALS, _CHUNK_S, _MOST_GROWTH = 64, 1.0, 8


class ChunkSize:
    """How many trials to put into the next chunk: about a second's work, as far as is known by then.

    No byte of the sweep depends on it; but a chunk is what an interruption costs, and the step of progress.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.trials = min(most, _FIRST_CHUNK_TRIALS)

    def learn(self, trials: int, took_s: float) -> None:
        """Takes note of what a chunk took."""
        by_time = int(trials / took_s * _CHUNK_S) if took_s > 0 else self._most
        self.trials = max(1, min(self._most, by_time, self.trials * _MOST_GROWTH))
