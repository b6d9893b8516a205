"""The conclusion of the statistics, as a template and its values, so that it can be said in two languages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

SKILL, OPEN = 0.95, 0.8
"""Deflated Sharpe ratios from which on chance is an unlikely explanation, and from which on it is open."""
OVERFITTED = 0.5

UNDEFINED = "No Sharpe ratio: the account's returns do not vary, so nothing here tells luck from skill."
LOSING = "Sharpe {0} on {1}: it earned nothing, so there is no luck to tell from skill."
FIRST = "Sharpe {0} on {1}, the first trial that is known of."
CHOSEN = "Sharpe {0} after {1} trials on {2} since {3}: the best of that many worthless ones would show {4}."
CHOSEN_ALIKE = (
    "Sharpe {0} after {1} trials on {2} since {3}: they are as good as {5} unlike ones, the best of which "
    "would show {4} if all were worthless."
)
CHOSEN_HERE = (
    "Sharpe {0} after {1} trials on {2}: they are as good as {5} unlike ones, the best of which would show "
    "{4} if all were worthless."
)
CONCLUSIONS = {
    "luck": "Probably luck (deflated Sharpe {0}).",
    "open": "Luck or skill, it is open (deflated Sharpe {0}).",
    "skill": "Hardly luck (deflated Sharpe {0}).",
}
FITTED = (
    "Overfitted: in {0} of the splits of its time, the best half's winner was below the middle in the other."
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A text whose `{0}`, `{1}` stand for values."""

    template: str
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.template.format(*self.values)


def luck_verdict(
    *,
    sharpe: float | None,
    expected_best: float | None,
    probability: float | None,
    trials: int,
    unlike: int | None,
    since: datetime | None,
    symbols: str,
    pbo: float | None,
) -> list[Sentence]:
    """Return the conclusion, one sentence or two.

    Args:
        sharpe: of the backtest or the best trial, annualised.
        expected_best: that chance would show, annualised.
        probability: the deflated Sharpe ratio.
        trials: how many were run on these candles.
        unlike: of a sweep, how many clusters of trials there are.
        since: when the first of them ended.
        symbols: as people read them.
        pbo: of a sweep, the probability of backtest overfitting.
    """
    if sharpe is None or probability is None:
        return [Sentence(UNDEFINED)]
    level = "skill" if probability >= SKILL else "open" if probability >= OPEN else "luck"
    shown = f"{sharpe:.2f}"
    if sharpe <= 0.0:
        said = [Sentence(LOSING, (shown, symbols))]
    else:
        said = [
            _head(shown, symbols, expected_best, trials, unlike, since),
            Sentence(CONCLUSIONS[level], (_rounded(probability),)),
        ]
    fitted = [Sentence(FITTED, (f"{pbo:.0%}",))] if pbo is not None and pbo > OVERFITTED else []
    return [*said, *fitted]


def _head(
    sharpe: str,
    symbols: str,
    expected_best: float | None,
    trials: int,
    unlike: int | None,
    since: datetime | None,
) -> Sentence:
    if trials == 1 or expected_best is None:
        return Sentence(FIRST, (sharpe, symbols))
    month = "" if since is None else f"{since:%Y-%m}"
    values = (sharpe, f"{trials:,}", symbols, month, f"{expected_best:.2f}", f"{unlike or trials:,}")
    return Sentence(CHOSEN_HERE if since is None else CHOSEN_ALIKE if unlike else CHOSEN, values)


def _rounded(probability: float) -> str:
    """Two digits, rounded down: nothing becomes certain by rounding."""
    return f"{math.floor(probability * 100) / 100:.2f}"
