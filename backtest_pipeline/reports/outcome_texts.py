"""What came of a sweep, as templates: `reports.sweep_outcome` fills them in."""

from __future__ import annotations

from backtest_pipeline.model.trial_states import TRIAL_STATES

_STATES = ", ".join(f"{{{place}}} {state}" for place, state in enumerate(TRIAL_STATES, 2))
ONE_TRIAL, TRIALS = f"{{0}} trial by {{1}}: {_STATES}.", f"{{0}} trials by {{1}}: {_STATES}."
NO_WINNER = "None ranks by {0}, so there is no winner."
NO_WINNER_WHERE = "None ranks by {0} among those with {1}, so there is no winner."
BEST = "The best is trial {0} with {1}: {2}."


def ranking_template(*, one: bool, where: bool, more: bool) -> str:
    """Return how many trials rank: `{0}` by `{1}`, where there are conditions among those with `{2}`."""
    among = " among those with {2}" if where else ""
    return f"{{0}} {'ranks' if one else 'rank'} by {{1}}{among}, {'more' if more else 'less'} being better."
