"""Progress as run tags: what the runs list shows and clients poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from backtest_pipeline.model import tags

if TYPE_CHECKING:
    from dagster import DagsterInstance

MIN_INTERVAL_S = 1.0


class ProgressTags:
    """The only writer of a run's progress: once a second at most, as every write rewrites the run's row."""

    def __init__(
        self, instance: DagsterInstance, run_id: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._instance = instance
        self._run_id = run_id
        self._clock = clock
        self._written_at = float("-inf")

    def __call__(self, fraction: float, stage: str) -> None:
        """Reports a share of the whole task's work, unless the last report is less than a second old."""
        if self._clock() - self._written_at >= MIN_INTERVAL_S:
            self.write({tags.PROGRESS: f"{fraction:.2f}", tags.STAGE: stage})

    def write(self, values: dict[str, str]) -> None:
        """Writes tags at once."""
        self._instance.add_run_tags(self._run_id, tags.fitting(values))
        self._written_at = self._clock()

    def part(self, start: float, stop: float, bars: int) -> Callable[[float, str], None]:
        """A callback for one part of the work, whose 0 to 1 is `start` to `stop` of the whole.

        Args:
            start: share of the whole task's work that is done before.
            stop: share that is done afterwards.
            bars: what there is to do, for the stage's text.
        """
        began_at = self._clock()

        def report(fraction: float, stage: str) -> None:
            done = _bars_text(fraction * bars, bars, self._clock() - began_at)
            self(start + (stop - start) * fraction, f"{stage}{done}")

        return report


def _bars_text(done: float, bars: int, took_s: float) -> str:
    """How far and how fast, once there is something to show."""
    return f", {done:,.0f} of {bars:,} bars, {done / took_s:,.0f} a second" if done and took_s else ""
