"""Statistics of a search that tell luck from skill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from backtest_pipeline.model.luck_verdict import concluded
from backtest_pipeline.model.robustness import Logits, NeighbourhoodRecord, Robustness
from backtest_pipeline.research.effective_trials import effective_trials
from backtest_pipeline.research.overfitting import Overfitting, pbo
from backtest_pipeline.research.sharpe_confidence import deflated_sharpe, expected_best_sharpe
from backtest_pipeline.research.superior_ability import reality_check, spa
from backtest_pipeline.workflows.assess_backtest import SAMPLES, moments_of, statistics_of

if TYPE_CHECKING:
    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.reports.sweep_neighbourhood import Neighbourhood
    from backtest_pipeline.research.block_sharpe import TrialBlocks
    from backtest_pipeline.results.earlier_trials import EarlierTrials

_BINS = 24


def assessed_sweep(
    best: BacktestResult,
    blocks: TrialBlocks,
    trials: int,
    *,
    seed: int,
    known: EarlierTrials | None = None,
    around: Neighbourhood | None = None,
) -> Robustness:
    """Compute the statistics of a sweep and its best trial; the same sweep and ledger yield the same.

    Args:
        best: the trial of rank 1.
        blocks: of the completed trials.
        trials: how many were run, failed ones included.
        seed: of the draws.
        known: what the ledger knows of the strategy on these candles, this sweep included.
        around: the neighbourhood of the best trial, where it is known.
    """
    moments = moments_of(best)
    sharpes = blocks.varying().sharpe_per(best.metrics["periods_per_year"] or 1.0)
    variance = float(sharpes.var(ddof=1)) if len(sharpes) > 1 else 0.0
    unlike = max(1, effective_trials(blocks))
    everything = max(trials, known.trials if known else 0, 1)
    generator = np.random.default_rng(seed)
    cross_validated = pbo(blocks)
    found = statistics_of(best).model_copy(
        update={
            "trials": everything,
            "trials_since": known.since if known else None,
            "effective_trials": unlike,
            "sharpe_variance": variance if len(sharpes) > 1 else None,
            "expected_best_sharpe": expected_best_sharpe(variance, unlike) if moments else None,
            "deflated_sharpe": deflated_sharpe(moments, variance, unlike) if moments else None,
            "deflated_sharpe_of_all": deflated_sharpe(moments, variance, everything) if moments else None,
            "pbo": cross_validated.pbo if cross_validated else None,
            "logits": _histogram(cross_validated) if cross_validated else None,
            "reality_check": reality_check(blocks, SAMPLES, generator),
            "spa": spa(blocks, SAMPLES, generator),
            "neighbourhood": _recorded(around) if around else None,
        }
    )
    return concluded(found, best.request.symbols, best.checks)


def _histogram(found: Overfitting) -> Logits:
    counts, edges = np.histogram(found.logits, bins=_BINS)
    return Logits(edges=[round(float(edge), 4) for edge in edges], counts=counts.tolist())


def _recorded(around: Neighbourhood) -> NeighbourhoodRecord:
    return NeighbourhoodRecord(
        winner=around.winner,
        neighbours=around.neighbours,
        mean=around.mean if around.neighbours else None,
        kept=around.kept,
    )
