"""What is known of a sweep's trials without keeping their rows: states, ranks, the first failure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from backtest_pipeline.model import remark_texts
from backtest_pipeline.model.errors import TrialsFailed
from backtest_pipeline.model.trial_states import COMPLETED, FAILED, TRIAL_STATES
from backtest_pipeline.research.ranking import Ranking, more_is_better, scores_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.sweep_request import SweepRequest


def facts_of(request: SweepRequest, trials: pa.Table) -> pa.Table:
    """The columns of a table of trials that a tally needs; of errors only the first failure's."""
    metrics = [condition.metric for condition in request.conditions]
    facts = trials.select(list(dict.fromkeys(["trial", "state", "objective", *metrics])))
    failed = np.flatnonzero(pc.equal(trials.column("state"), FAILED).to_numpy())[:1]
    error = trials.column("error")[int(failed[0])].as_py() if len(failed) else ""
    return facts.replace_schema_metadata({"error": error})


class TrialTally:
    """Takes in what chunks have yielded, in whatever order they come.

    Attributes:
        states: how many trials have completed, were invalid and have failed.

    Args:
        request: the sweep.
    """

    def __init__(self, request: SweepRequest) -> None:
        self.states: Counter[str] = Counter(dict.fromkeys(TRIAL_STATES, 0))
        self._request = request
        self._ranking = Ranking(request)
        self._best_score = np.nan
        self._first_failed: tuple[int, str] | None = None

    def add(self, facts: pa.Table) -> None:
        """Takes note of some trials, as `facts_of` has them."""
        for state in pc.value_counts(facts.column("state").combine_chunks()).to_pylist():
            self.states[state["values"]] += state["counts"]
        self._ranking.add(facts)
        scores = scores_of(self._request, facts)
        if not np.isnan(scores).all():
            best, choose = ([self._best_score, np.nanmax(scores)], np.nanmax)
            if not more_is_better(self._request):
                best, choose = ([self._best_score, np.nanmin(scores)], np.nanmin)
            self._best_score = choose(best)
        self._note_failure(facts)

    def _note_failure(self, facts: pa.Table) -> None:
        failed = facts.filter(pc.equal(facts.column("state"), FAILED)).column("trial")
        if len(failed) and (self._first_failed is None or failed[0].as_py() < self._first_failed[0]):
            message = (facts.schema.metadata or {}).get(b"error", b"").decode()
            self._first_failed = failed[0].as_py(), message

    @property
    def done(self) -> int:
        """How many trials have been added."""
        return self.states.total()

    @property
    def best_objective(self) -> float | None:
        """The best objective of those that rank; none where none does."""
        return None if np.isnan(self._best_score) else float(self._best_score)

    @property
    def best_trials(self) -> list[int]:
        """The best trials, as many as the request keeps, the very best first."""
        return self._ranking.best(self._request.keep_best)

    @property
    def ranked(self) -> int:
        """How many trials rank."""
        return self._ranking.ranked

    def ranks(self) -> NDArray[np.int64]:
        """Rank of every trial, from 1; 0 where it has none."""
        return self._ranking.ranks()

    def refuse_failed(self) -> None:
        """Makes sure that the sweep has not failed as a whole.

        Raises:
            TrialsFailed: trials were run, and every one failed.
        """
        if self._first_failed is not None and not self.states[COMPLETED]:
            raise TrialsFailed(self.states[FAILED], *self._first_failed)


def sweep_remarks(request: SweepRequest, tally: TrialTally) -> list[str]:
    """What a reader of the numbers should know."""
    remarks = []
    if not tally.ranked:
        where = " and ".join(request.where)
        template = remark_texts.NONE_RANKS_WHERE if where else remark_texts.NONE_RANKS
        remarks.append(template.format(request.objective, where))
    if failed := tally.states[FAILED]:
        template = remark_texts.TRIAL_FAILED if failed == 1 else remark_texts.TRIALS_FAILED
        remarks.append(template.format(f"{failed:,}"))
    return remarks
