"""Runs the trainings of a walk-forward in worker processes: each a sweep, whose chunks are kept."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from backtest_pipeline.model.trial_states import TRIAL_STATES
from backtest_pipeline.research.fold_choice import winner_of
from backtest_pipeline.research.ranking import more_is_better
from backtest_pipeline.results.sweep_parts import SweepParts
from backtest_pipeline.workflows.execution_data import ExecutionData
from backtest_pipeline.workflows.run_sweep import trial_runner
from backtest_pipeline.workflows.sweep_chunks import (
    TRIALS,
    SweepWork,
    begin_all,
    chunk_of,
    chunks_of,
    run_trials,
    span_of_chunk,
)
from backtest_pipeline.workflows.sweep_progress import SweepProgress
from backtest_pipeline.workflows.walked_folds import Winner

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.walk_forward_request import WalkForwardRequest
    from backtest_pipeline.research.fold_plan import FoldPlan
    from backtest_pipeline.workflows.trial_tally import TrialTally


@dataclass(frozen=True, eq=False)
class WalkForwardWork:
    """What each process that works on a walk-forward has to know; forked and never pickled.

    Attributes:
        plan: what there is to do.
        candles: by symbol.
        parts: where the parts of the trainings lie, each training's in a folder of its own.
        timezone: what a moment without a zone means.
        data: finer candles and funding rates.
    """

    plan: FoldPlan
    candles: Mapping[str, Candles]
    parts: SweepParts
    timezone: str = "UTC"
    data: ExecutionData = field(default_factory=ExecutionData)

    @cached_property
    def trainings(self) -> list[SweepWork]:
        """The sweep of each training."""
        return [
            SweepWork(
                trial_runner(self.candles, self.plan.sweep(number), self.data, timezone=self.timezone),
                self.candles,
                SweepParts(self.parts.folder / f"{number:04d}"),
                self.timezone,
                self.data,
            )
            for number in range(len(self.plan.trainings))
        ]

    def begin(self) -> None:
        """Makes this the work of this process."""
        begin_all(self.trainings)

    def winners(self) -> list[Winner | None]:
        """The trial that each fold chooses, none where none ranks; after all trainings.

        Raises:
            PartDamaged: a part has been taken away meanwhile.
        """
        scores = [_scores(work) for work in self.trainings]
        return [self._winner(list(fold.trainings), scores) for fold in self.plan.folds]

    def _winner(self, trainings: list[int], scores: list[pa.Table]) -> Winner | None:
        bars = [self.plan.trainings[number].bars for number in trainings]
        best = winner_of(self.plan.request.sweep, [scores[number] for number in trainings], bars)
        if best is None:
            return None
        return Winner(best, [_row(self.trainings[number].parts, best) for number in trainings])


@dataclass(frozen=True, eq=False, slots=True)
class TrainingTally:
    """What is known of the trials of all trainings.

    Attributes:
        tallies: of each training.
    """

    tallies: list[TrialTally]

    @property
    def done(self) -> int:
        """How many trials were run or found invalid."""
        return sum(own.done for own in self.tallies)

    @property
    def ranked(self) -> int:
        """How many of them rank in their training."""
        return sum(own.ranked for own in self.tallies)

    @property
    def states(self) -> Counter[str]:
        """How many are of each state."""
        states = Counter(dict.fromkeys(TRIAL_STATES, 0))
        for own in self.tallies:
            states.update(own.states)
        return states


def run_trainings(
    work: WalkForwardWork,
    executor: Executor,
    processes: int,
    progress_callback: Callable[[SweepProgress], None] = lambda _: None,
    *,
    most_chunk_trials: int | None = None,
) -> TrainingTally:
    """Runs all trials of all trainings that no part holds yet, one training after another.

    Args:
        work: the walk-forward; each process of the executor has begun it.
        executor: what runs chunks.
        processes: how many chunks it runs at once.
        progress_callback: called after each chunk; whatever it raises stops the work and passes through.
        most_chunk_trials: as for `sweep_chunks.run_trials`.

    Raises:
        TrialsFailed, PartDamaged, WorkersDied, OSError: as `sweep_chunks.run_trials`.
    """
    held = [_held_trials(training.parts) for training in work.trainings]
    progress = _ProgressOfAll(work.plan.request, held, progress_callback)
    tallies = []
    for number, training in enumerate(work.trainings):
        tally = run_trials(
            training,
            executor,
            processes,
            progress.of_training,
            most_chunk_trials=most_chunk_trials,
            which=number,
            with_equity=False,
        )
        progress.next_training()
        tallies.append(tally)
    return TrainingTally(tallies)


class _ProgressOfAll:
    """Adds the progress of one training to that of those before, and to what is held of those after it."""

    def __init__(
        self, request: WalkForwardRequest, held: Sequence[int], callback: Callable[[SweepProgress], None]
    ) -> None:
        self._callback = callback
        self._choose = np.nanmax if more_is_better(request.sweep) else np.nanmin
        self._trials = request.sweep.planned_trials * len(held)
        self._held_after = deque(held)
        self._done = self._resumed = 0
        self._best = np.nan
        self._now = SweepProgress(0, 0, 0, None)

    def of_training(self, now: SweepProgress) -> None:
        self._now = now
        if now.best is not None:
            self._best = float(self._choose([self._best, now.best]))
        best = None if np.isnan(self._best) else self._best
        after = sum(islice(self._held_after, 1, None))
        done, resumed = self._done + now.done + after, self._resumed + now.resumed + after
        self._callback(SweepProgress(done, self._trials, resumed, best))

    def next_training(self) -> None:
        self._done, self._resumed = self._done + self._now.done, self._resumed + self._now.resumed
        self._held_after.popleft()


def _held_trials(parts: SweepParts) -> int:
    """How many trials lie in the parts of a training."""
    return sum(last - first for first, last in map(span_of_chunk, chunks_of(parts)))


def _scores(work: SweepWork) -> pa.Table:
    """Of all trials of a training, by number, what their choice hangs on."""
    metrics = [condition.metric for condition in work.runner.request.conditions]
    names = list(dict.fromkeys(["trial", "objective", *metrics]))
    return pa.concat_tables([work.parts.read(name, TRIALS).select(names) for name in chunks_of(work.parts)])


def _row(parts: SweepParts, trial: int) -> pa.Table:
    chunk = chunk_of(chunks_of(parts), trial)
    return parts.read(chunk, TRIALS).slice(trial - span_of_chunk(chunk)[0], 1)
