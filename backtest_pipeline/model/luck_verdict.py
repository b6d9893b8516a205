"""The conclusion of the statistics, as templates and their values: it is said in two languages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backtest_pipeline.model.checks import looks_ahead
from backtest_pipeline.model.metric_catalog import shown_symbols
from backtest_pipeline.model.robustness import Robustness, WalkForwardRecord

SKILL, OPEN = 0.95, 0.8
"""Deflated Sharpe ratios from which on chance is an unlikely explanation, and from which on it is open."""
FITTED_FROM = 0.5
"""Probability of backtest overfitting above which a sweep's winner is worth less than a trial at random."""
MOST_SYMBOLS = 3

LOOKED_AHEAD = "Neither luck nor skill: the strategy looks ahead, and what it shows cannot be had in trading."
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
OUT_OF_SAMPLE = "Out of sample, over {0} folds: Sharpe {1} on {2}."
OUT_OF_SAMPLE_PATHS = "Out of sample, median of {0} paths: Sharpe {1} on {2}."
OUT_OF_SAMPLE_LOSING = (
    "Out of sample it earned nothing: Sharpe {0} on {1}, so there is no luck to tell from skill."
)
EFFICIENT = "It kept {0} of the annual return that its winners had shown in sample."
TRIED_BEFORE = "With {0} walk-forwards on these candles, the best of as many worthless ones would show {1}."
LUCK = "Probably luck (deflated Sharpe {0})."
EITHER = "Luck or skill, it is open (deflated Sharpe {0})."
HARDLY_LUCK = "Hardly luck (deflated Sharpe {0})."
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


def concluded(found: Robustness, symbols: Sequence[str], checks: Mapping[str, Any]) -> Robustness:
    """Return the statistics with their conclusion; arguments as for `verdict_sentences`."""
    said = " ".join(map(str, verdict_sentences(found, symbols, checks)))
    return found.model_copy(update={"verdict": said})


def verdict_sentences(found: Robustness, symbols: Sequence[str], checks: Mapping[str, Any]) -> list[Sentence]:
    """Return the conclusion of statistics, in one to three sentences.

    Args:
        found: the statistics.
        symbols: of the backtest.
        checks: of the backtest; where it looks ahead, no statistic is worth a word.
    """
    if looks_ahead(checks):
        return [Sentence(LOOKED_AHEAD)]
    if found.sharpe is None or found.deflated_sharpe is None or found.periods_per_year is None:
        return [Sentence(UNDEFINED)]
    root, named = math.sqrt(found.periods_per_year), shown_symbols(symbols, MOST_SYMBOLS).replace(",", ", ")
    sharpe = f"{found.sharpe * root:.2f}"
    if found.walk_forward is not None:
        return _out_of_sample(found, found.walk_forward, sharpe, named, root)
    if found.sharpe <= 0.0:
        said = [Sentence(LOSING, (sharpe, named))]
    else:
        said = [_head(found, sharpe, named, root), _conclusion(found.deflated_sharpe)]
    if found.pbo is not None and found.pbo > FITTED_FROM:
        said.append(Sentence(FITTED, (f"{found.pbo:.0%}",)))
    return said


def _out_of_sample(
    found: Robustness, walked: WalkForwardRecord, sharpe: str, named: str, root: float
) -> list[Sentence]:
    if (found.sharpe or 0.0) <= 0.0:
        return [Sentence(OUT_OF_SAMPLE_LOSING, (sharpe, named))]
    said = [Sentence(OUT_OF_SAMPLE, (f"{walked.folds:,}", sharpe, named))]
    if walked.paths is not None:
        said = [Sentence(OUT_OF_SAMPLE_PATHS, (f"{len(walked.paths.sharpe):,}", sharpe, named))]
    if walked.efficiency is not None:
        said.append(Sentence(EFFICIENT, (f"{walked.efficiency:.0%}",)))
    if found.trials > 1 and found.expected_best_sharpe is not None:
        best = f"{found.expected_best_sharpe * root:.2f}"
        said.append(Sentence(TRIED_BEFORE, (f"{found.trials:,}", best)))
    return [*said, _conclusion(found.deflated_sharpe or 0.0)]


def _head(found: Robustness, sharpe: str, named: str, root: float) -> Sentence:
    if found.trials == 1 or found.expected_best_sharpe is None:
        return Sentence(FIRST, (sharpe, named))
    month = "" if found.trials_since is None else f"{found.trials_since:%Y-%m}"
    best = f"{found.expected_best_sharpe * root:.2f}"
    values = (sharpe, f"{found.trials:,}", named, month, best)
    if found.effective_trials is None:
        return Sentence(CHOSEN, values)
    return Sentence(CHOSEN_ALIKE if month else CHOSEN_HERE, (*values, f"{found.effective_trials:,}"))


def _conclusion(probability: float) -> Sentence:
    """What a deflated Sharpe ratio means, two digits of it rounded down: none becomes 1 by rounding."""
    template = HARDLY_LUCK if probability >= SKILL else EITHER if probability >= OPEN else LUCK
    return Sentence(template, (f"{math.floor(probability * 100) / 100:.2f}",))
