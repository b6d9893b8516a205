"""Draws the pictures of docs/robustness.md into docs/images, from the statistics themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from backtest_pipeline.research.block_sharpe import TrialBlocks
from backtest_pipeline.research.bootstrap import bootstrap
from backtest_pipeline.research.effective_trials import effective_trials
from backtest_pipeline.research.overfitting import pbo
from backtest_pipeline.research.sharpe_confidence import (
    SharpeMoments,
    expected_best_sharpe,
    minimum_track_record_bars,
    probabilistic_sharpe,
)

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
YEAR = 252
_BLUE, _RED, _GREY = "#2468b2", "#c0392b", "#777777"


def probabilistic(axes: Any) -> None:
    """How sure a ratio is, by the years that it has been seen."""
    years = np.linspace(0.25, 10, 60)
    for sharpe, colour in ((0.5, _GREY), (1.0, _BLUE), (2.0, _RED)):
        shares = [
            probabilistic_sharpe(SharpeMoments(sharpe / YEAR**0.5, -0.5, 6.0, int(one * YEAR)))
            for one in years
        ]
        axes.plot(years, shares, color=colour, label=f"annual Sharpe {sharpe}")
    axes.axhline(0.95, color=_GREY, lw=0.8, ls=":")
    axes.set(xlabel="years of daily bars", ylabel="probabilistic Sharpe")
    axes.legend(frameon=False)


def track_record(axes: Any) -> None:
    """How many years a ratio has to be seen."""
    sharpes = np.linspace(0.4, 3, 60)
    for skewness, colour in ((0.0, _BLUE), (-2.0, _RED)):
        bars = [
            minimum_track_record_bars(SharpeMoments(one / YEAR**0.5, skewness, 10.0, YEAR)) for one in sharpes
        ]
        years = np.array(bars, dtype=float) / YEAR
        axes.plot(sharpes, years, color=colour, label=f"skewness {skewness:g}")
    axes.set(xlabel="annual Sharpe", ylabel="years needed", ylim=(0, 18))
    axes.legend(frameon=False)


def expected_best(axes: Any) -> None:
    """What the best of so many worthless trials shows."""
    trials = np.geomspace(2, 1e6, 60)
    for years, colour in ((2, _RED), (5, _BLUE), (20, _GREY)):
        best = [expected_best_sharpe(1 / years, float(one)) for one in trials]
        axes.semilogx(trials, best, color=colour, label=f"{years} years of data")
    axes.set(xlabel="trials", ylabel="annual Sharpe of the best")
    axes.legend(frameon=False)


def unlike(axes: Any) -> None:
    """How many trials are left when those that are alike count once."""
    generator = np.random.default_rng(1)
    ideas, copies = generator.normal(size=(1_600, 20)), (1, 2, 5, 10, 20)
    counts = []
    for each in copies:
        near = np.repeat(ideas, each, axis=1)
        near = near + 0.1 * generator.normal(size=near.shape)
        counts.append(effective_trials(TrialBlocks.of_returns(near, 16)))
    asked = [20 * each for each in copies]
    axes.plot(asked, asked, color=_GREY, ls=":", label="trials")
    axes.plot(asked, counts, color=_BLUE, marker="o", label="unlike trials")
    axes.set(xlabel="trials of twenty ideas", ylabel="counted")
    axes.legend(frameon=False)


def overfitting(axes: Any) -> None:
    """Logits of a search in noise and of one with an edge."""
    generator = np.random.default_rng(3)
    noise = generator.normal(size=(1_600, 60))
    edge = noise.copy()
    edge[:, 7] += 0.08
    for returns, colour, name in ((noise, _RED, "noise"), (edge, _BLUE, "with an edge")):
        found = pbo(TrialBlocks.of_returns(returns, 16))
        if found is not None:
            label = f"{name}: overfitting {found.pbo:.0%}"
            axes.hist(found.logits, bins=30, color=colour, alpha=0.55, label=label)
    axes.axvline(0, color=_GREY, lw=0.8)
    axes.set(xlabel="logit of the winner's rank out of sample", ylabel="splits")
    axes.legend(frameon=False)


def best_of_worthless(axes: Any) -> None:
    """Distribution of the best of worthless trials, and what a real one has to beat."""
    generator = np.random.default_rng(5)
    best = generator.normal(size=(4_000, 200)).max(axis=1)
    axes.hist(best, bins=40, color=_GREY, alpha=0.7)
    for value, colour in ((2.6, _RED), (4.3, _BLUE)):
        axes.axvline(value, color=colour, label=f"best of the sweep {value}: p = {(best > value).mean():.2f}")
    axes.set(xlabel="best t-value of 200 worthless trials", ylabel="samples")
    axes.legend(frameon=False)


def bands(axes: Any) -> None:
    """An account within the bands of its bootstrap."""
    generator = np.random.default_rng(8)
    returns = 0.0006 + 0.01 * generator.standard_t(5, size=1_000) / 1.29
    found = bootstrap(returns, 1_000, np.random.default_rng(0))
    if found is not None:
        axes.fill_between(found.band_bars, found.bands[0], found.bands[2], color=_BLUE, alpha=0.2)
        axes.plot(found.band_bars, found.bands[1], color=_GREY, ls="--", label="median")
    axes.plot(np.concatenate([[1], np.cumprod(1 + returns)]), color=_BLUE, label="account")
    axes.set(xlabel="bars", ylabel="equity over initial", yscale="log")
    axes.legend(frameon=False)


def shuffled(axes: Any) -> None:
    """Two orders of the same trades."""
    generator = np.random.default_rng(2)
    profits = generator.normal(40, 300, 120)
    for order, colour, name in (
        (profits, _BLUE, "as it was"),
        (np.sort(profits)[::-1], _RED, "losses last"),
        (generator.permutation(profits), _GREY, "shuffled"),
    ):
        axes.plot(10_000 + np.cumsum(order), color=colour, label=name)
    axes.set(xlabel="trades", ylabel="equity")
    axes.legend(frameon=False)


def neighbours(axes: Any) -> None:
    """A plateau and a spike."""
    place = np.arange(2, 40)
    axes.plot(place, 0.4 + 0.9 * np.exp(-(((place - 20) / 8) ** 2)), color=_BLUE, label="plateau")
    axes.plot(place, 0.4 + 0.9 * (place == 30), color=_RED, label="spike")
    axes.set(xlabel="parameter", ylabel="objective")
    axes.legend(frameon=False)


PICTURES: dict[str, Callable[[Any], None]] = {
    "probabilistic-sharpe": probabilistic,
    "track-record": track_record,
    "expected-best": expected_best,
    "unlike-trials": unlike,
    "overfitting": overfitting,
    "best-of-worthless": best_of_worthless,
    "bootstrap-bands": bands,
    "trade-shuffle": shuffled,
    "neighbourhood": neighbours,
}


def main() -> None:
    """Draws all of them; the same code draws the same bytes."""
    mpl.rcParams["svg.hashsalt"] = "luck"
    for name, draw in PICTURES.items():
        figure = Figure(figsize=(6.4, 2.8), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        figure.savefig(FOLDER / f"luck-{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
