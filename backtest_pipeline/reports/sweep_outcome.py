"""What came of a sweep, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from backtest_pipeline.model.metric_catalog import facts_of, shown
from backtest_pipeline.model.sentence import Sentence
from backtest_pipeline.model.trial_states import TRIAL_STATES
from backtest_pipeline.reports.outcome_texts import (
    BEST,
    NO_WINNER,
    NO_WINNER_WHERE,
    ONE_TRIAL,
    TRIALS,
    ranking_template,
)
from backtest_pipeline.reports.sweep_axes import value_text

if TYPE_CHECKING:
    from backtest_pipeline.model.sweep_request import SweepRequest
    from backtest_pipeline.reports.sweep_axes import SweepAxis
    from backtest_pipeline.reports.sweep_summary import SweepSummary
    from backtest_pipeline.reports.sweep_trials import TrialBatch


def outcome(summary: SweepSummary, request: SweepRequest, counts: Mapping[str, int]) -> list[Sentence]:
    """Return what came of the sweep: how many trials, by what they rank, who won."""
    facts = facts_of(request.objective)
    trials, ranked, where = summary.survey.trials, counts.get("ranked", 0), " and ".join(request.where)
    states = [f"{counts.get(state, 0):,}" for state in TRIAL_STATES]
    head = Sentence(ONE_TRIAL if trials == 1 else TRIALS, (f"{trials:,}", request.search, *states))
    if summary.survey.winner is None:
        lost = (NO_WINNER_WHERE, (facts.title, where)) if where else (NO_WINNER, (facts.title,))
        return [head, Sentence(*lost)]
    template = ranking_template(one=ranked == 1, where=bool(where), more=facts.better == "more")
    winner = summary.survey.winner
    value = shown(request.objective, float(winner.objective[0]))
    values = ", ".join(f"{key} {text}" for key, text in values_of(summary.axes, winner, 0).items())
    return [
        head,
        Sentence(template, (f"{ranked:,}", facts.title, *([where] if where else []))),
        Sentence(BEST, (str(int(winner.trial[0])), value, values)),
    ]


def values_of(axes: Sequence[SweepAxis], batch: TrialBatch, row: int) -> dict[str, str]:
    """What varies in a trial, for people, by name."""
    return {axis.key: value_text(axis.value(batch.places[axis.key][row])) for axis in axes}
