"""Combinations that follow what has been good so far: Optuna's tree-structured Parzen estimator.

Trials are chosen in batches of one size, each with the results of all batches before, so that no choice hangs
on how many processes work or which of them is quicker. The first batch is drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.research.ranking import more_is_better, scores_of
from backtest_pipeline.research.space import Axis, Points, Space

if TYPE_CHECKING:
    import optuna
    import pyarrow as pa
    from optuna.distributions import BaseDistribution

    from backtest_pipeline.model.sweep_request import SweepRequest

BATCH_TRIALS = 50


class TreeParzen:
    """The estimator of Bergstra et al. (2011), "Algorithms for Hyper-Parameter Optimization".

    A trial that does not rank (invalid, failed, without an objective, outside a condition) counts as worse
    than all that do.

    Args:
        space: what varies.
        request: the sweep.
    """

    batch_trials: int | None = BATCH_TRIALS

    def __init__(self, space: Space, request: SweepRequest) -> None:
        self.trials = request.planned_trials
        self._space = space
        self._request = request
        self._study: optuna.Study | None = None
        self._chosen: dict[int, Points] = {}

    def points(self, start: int, stop: int, earlier: Sequence[pa.Table] = ()) -> Points:
        """See `Search`."""
        batch = start // BATCH_TRIALS
        first = batch * BATCH_TRIALS
        if batch not in self._chosen:
            self._chosen = {batch: self._choose(batch, first, earlier)}
        return self._chosen[batch].slice(start - first, stop - first)

    def _choose(self, batch: int, first: int, earlier: Sequence[pa.Table]) -> Points:
        import optuna  # noqa: PLC0415  heavy, and this search alone needs it

        study = self._told(first, earlier)
        study.sampler = optuna.samplers.TPESampler(seed=self._seed(batch), n_startup_trials=BATCH_TRIALS)
        distributions = {key: _distribution(axis) for key, axis in self._space.axes.items()}
        asked = [study.ask(distributions).params for _ in range(min(BATCH_TRIALS, self.trials - first))]
        return Points(
            first,
            {
                key: np.array(
                    [one[key] for one in asked], dtype=np.float64 if axis.count is None else np.int64
                )
                for key, axis in self._space.axes.items()
            },
        )

    def _told(self, first: int, earlier: Sequence[pa.Table]) -> optuna.Study:
        """The study that knows the results of all trials before `first`, and nothing of others."""
        import optuna  # noqa: PLC0415  as above

        study = self._study
        if study is None or len(study.get_trials(deepcopy=False)) > first:
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            rising = more_is_better(self._request)
            study = self._study = optuna.create_study(direction="maximize" if rising else "minimize")
        known = study.get_trials(deepcopy=False)
        finished = sum(trial.state.is_finished() for trial in known)
        for table in earlier:
            place = table.column("trial")[0].as_py()
            if place + len(table) > finished:
                _tell(
                    study, self._space, table, scores_of(self._request, table).tolist(), finished, len(known)
                )
        if sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False)) != first:
            raise ValueError(f"trial {first} is chosen by the results of all before it, and some are missing")
        return study

    def _seed(self, batch: int) -> int:
        seed = self._request.seed
        return int(np.random.SeedSequence([abs(seed), int(seed < 0), batch]).generate_state(1)[0])


def _tell(
    study: optuna.Study, space: Space, table: pa.Table, scores: list[float], finished: int, asked: int
) -> None:
    """Adds the trials from number `finished` on; those that this study has chosen itself get their result."""
    from optuna.trial import TrialState, create_trial  # noqa: PLC0415  as above

    points = space.points_of(table)
    distributions = {key: _distribution(axis) for key, axis in space.axes.items()}
    for row, score in enumerate(scores):
        number = points.first + row
        if number < finished:
            continue
        state = TrialState.PRUNED if np.isnan(score) else TrialState.COMPLETE
        value = None if np.isnan(score) else score
        if number < asked:
            study.tell(number, value, state)
            continue
        params = {key: points.places[key][row].item() for key in space.axes}
        study.add_trial(create_trial(state=state, value=value, params=params, distributions=distributions))


def _distribution(axis: Axis) -> BaseDistribution:
    """What Optuna is to choose of: places, in order where the values rise, or numbers."""
    from optuna import distributions  # noqa: PLC0415  as above

    values = axis.values
    if axis.count is None and not isinstance(values, tuple):
        return distributions.FloatDistribution(
            values.low, values.high, log=bool(getattr(values, "log", False))
        )
    if isinstance(values, tuple) and not _rise(values):
        return distributions.CategoricalDistribution(range(len(values)))
    return distributions.IntDistribution(0, (axis.count or 1) - 1)


def _rise(values: tuple[object, ...]) -> bool:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == len(values) and numbers == sorted(numbers)
