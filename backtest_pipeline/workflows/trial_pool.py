"""Trials of one or several sweeps in this process, or in several that are forked from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backtest_pipeline.compute.local_processes import LocalProcesses
from backtest_pipeline.research.search.kinds import Search, batch_end

if TYPE_CHECKING:
    import pyarrow as pa

    from backtest_pipeline.research.space import Points
    from backtest_pipeline.research.trial_table import TrialChunk
    from backtest_pipeline.research.trials import TrialRunner

    RunAll = Callable[[int, Iterable[Points]], Iterator[TrialChunk]]

CHUNK_BARS = 10_000_000
MOST_CHUNK_TRIALS = 10_000


def chunk_trials(bars: int) -> int:
    """How many trials of so many bars are worked on together: a second's work or less for most strategies."""
    return max(1, min(CHUNK_BARS // max(bars, 1), MOST_CHUNK_TRIALS))


def chunk_size(runner: TrialRunner, search: Search, processes: int) -> int:
    """How many trials of a sweep to work on together, so that every process has some."""
    return min(chunk_trials(runner.most_bars), -(-(search.batch_trials or search.trials) // processes))


@contextmanager
def trial_pool(runners: Sequence[TrialRunner], processes: int) -> Iterator[RunAll]:
    """What runs points of one of the runners, named by its place, and yields their chunks in the same order.

    Args:
        runners: of each sweep.
        processes: how many work at once; 1 is this one.
    """
    if processes == 1:
        yield lambda which, points: map(runners[which].run, points)
        return
    with LocalProcesses(processes, initializer=_enter_worker, initargs=(runners,)) as workers:
        yield lambda which, points: workers.map(_run_in_worker, ((which, one) for one in points))


def chunks_of_search(
    search: Search, size: int, run_all: Callable[[Iterable[Points]], Iterator[TrialChunk]]
) -> Iterator[TrialChunk]:
    """All chunks of one sweep in the order of their trials."""
    start = 0
    known: list[pa.Table] = []
    while start < search.trials:
        stop = batch_end(search, start)
        spans = [(first, min(first + size, stop)) for first in range(start, stop, size)]
        earlier = tuple(known)
        for chunk in run_all(search.points(*span, earlier) for span in spans):
            if search.batch_trials is not None:
                known.append(chunk.trials)
            yield chunk
        start = stop


_worker: list[TrialRunner] = []
"""The runners of this process, where it is one of several."""
_latest: list[int] = []
"""Which of them it has run last."""


def _enter_worker(runners: Sequence[TrialRunner]) -> None:
    _worker[:] = runners


def _run_in_worker(asked: tuple[int, Points]) -> TrialChunk:
    which, points = asked
    for other in _latest:
        if other != which:
            _worker[other].forget()  # all of whose trials are given out by now
    _latest[:] = [which]
    return _worker[which].run(points)
