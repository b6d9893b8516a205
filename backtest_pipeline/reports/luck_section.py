"""Luck or skill: the verdict at the head of a report, and the section that it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from backtest_pipeline.model.luck_verdict import verdict_sentences
from backtest_pipeline.reports.bilingual import korean_texts, said
from backtest_pipeline.reports.charts.luck_svg import bands_svg, logits_svg
from backtest_pipeline.reports.luck_statistics import Statistic, luck_statistics
from backtest_pipeline.reports.markup import escaped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from backtest_pipeline.model.robustness import Robustness


def luck_verdict(found: Robustness | None, symbols: Sequence[str], checks: Mapping[str, Any]) -> str:
    """The conclusion, as `verdict_sentences` has it; nothing where there are no statistics."""
    if found is None:
        return ""
    sentences = " ".join(said(one.template, *one.values) for one in verdict_sentences(found, symbols, checks))
    return f'<p class="verdict">{sentences}</p>'


def luck_section(found: Robustness | None, equity: NDArray[np.float64], initial_cash: float) -> str:
    """Every statistic with what it says and where it is from, and their pictures.

    Args:
        found: the statistics; without them there is no section.
        equity: shape (bars,), of the account that they are of; empty where it is not known.
        initial_cash: what it began with.
    """
    if found is None:
        return ""
    rows = "".join(map(_row, luck_statistics(found)))
    parts = [f'<table class="metrics luck">{rows}</table>']
    if found.bootstrap is not None and len(equity):
        bands = found.bootstrap.bands
        values = np.concatenate([[initial_cash], equity]) / initial_cash
        parts.append(
            _figure(
                "Equity within the bands that nine in ten histories of its own pieces stay in",
                bands_svg(bands, values[np.array(bands.bars)].tolist()),
            )
        )
    if found.logits is not None:
        parts.append(
            _figure(
                "Logits of cross-validation: left of the line, the winner of one half failed in the other",
                logits_svg(found.logits),
            )
        )
    return f'<section id="luck"><h2 data-said>Luck or skill</h2>{"".join(parts)}</section>'


def _row(one: Statistic) -> str:
    title = f"<span data-said>{escaped(one.title)}</span><code>{escaped(one.name)}</code>"
    return (
        f'<tr><th scope="row">{title}</th>'
        f"<td>{escaped(one.value)}</td><td><span data-said>{escaped(one.words)}</span> "
        f"<small{_mark_of_source(one.source)}>{escaped(one.source)}</small></td></tr>"
    )


def _mark_of_source(source: str) -> str:
    """Papers are cited by their authors in every language."""
    return " data-said" if source in korean_texts() else ""


def _figure(title: str, drawing: str) -> str:
    return f"<figure>{drawing}<figcaption data-said>{escaped(title)}</figcaption></figure>"
