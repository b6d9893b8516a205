"""Combinations that follow what has been good so far: Optuna's tree-structured Parzen estimator.

Trials are chosen in batches of one size, each with the results of all batches before, so that no choice hangs
on how many processes work or which of them is quicker. The first batch is drawn at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from backtest_pipeline.research.ranking import more_is_better, scores_of
from backtest_pipeline.research.space import Axis, Points, Space

if TYPE_CHECKING:
    import optuna
    from numpy.typing import NDArray
    from optuna.distributions import BaseDistribution

    from backtest_pipeline.model.sweep_request import SweepRequest

BATCH_TRIALS = 50
BEST_KNOWN, LATEST_KNOWN = 100, 900
"""How many trials a choice looks at: its time grows with them, and it tells at most 25 of them good."""


class TreeParzen:
    """The estimator of Bergstra et al. (2011), "Algorithms for Hyper-Parameter Optimization".

    A choice looks at the best trials and the latest. A trial that does not rank (invalid, failed, without an
    objective, outside a condition) counts as worse than all that do.

    Args:
        space: what varies.
        request: the sweep.
    """

    batch_trials: int | None = BATCH_TRIALS

    def __init__(self, space: Space, request: SweepRequest) -> None:
        self.trials = request.planned_trials
        self._space = space
        self._request = request
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

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=self._seed(batch), n_startup_trials=BATCH_TRIALS, multivariate=True
        )
        direction = optuna.study.StudyDirection(2 if more_is_better(self._request) else 1)
        study = optuna.create_study(direction=direction, sampler=sampler)
        distributions = {key: _distribution(axis) for key, axis in self._space.axes.items()}
        if first > 0:
            study.add_trials(self._known(first, earlier, distributions))
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

    def _known(
        self, first: int, earlier: Sequence[pa.Table], distributions: dict[str, BaseDistribution]
    ) -> list[optuna.trial.FrozenTrial]:
        """What the study learns of the trials before `first`."""
        from optuna.trial import TrialState, create_trial  # noqa: PLC0415  as above

        table = pa.concat_tables(earlier).slice(0, first) if earlier else None
        if table is None or not np.array_equal(table.column("trial"), np.arange(first)):
            raise ValueError(f"trial {first} is chosen by the results of all before it, and some are missing")
        points, scores = self._space.points_of(table), scores_of(self._request, table)
        trials = []
        for row in _telling(scores, rising=more_is_better(self._request)).tolist():
            ranks = not np.isnan(scores[row])
            trials.append(
                create_trial(
                    state=TrialState.COMPLETE if ranks else TrialState.PRUNED,
                    value=float(scores[row]) if ranks else None,
                    params={key: points.places[key][row].item() for key in distributions},
                    distributions=distributions,
                )
            )
        return trials

    def _seed(self, batch: int) -> int:
        seed = self._request.seed
        return int(np.random.SeedSequence([abs(seed), int(seed < 0), batch]).generate_state(1)[0])


def _telling(scores: NDArray[np.float64], *, rising: bool) -> NDArray[np.int64]:
    """Rows of the best trials and of the latest others, in their order."""
    best = np.argsort(-scores if rising else scores, kind="stable")[:BEST_KNOWN]
    others = np.setdiff1d(np.arange(len(scores)), best)[-LATEST_KNOWN:]
    rows: NDArray[np.int64] = np.sort(np.concatenate([best, others]))
    return rows


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
