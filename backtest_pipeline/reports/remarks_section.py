"""What a reader should know before trusting a result."""

from __future__ import annotations

from collections.abc import Iterable

from backtest_pipeline.model.remark_texts import recognised
from backtest_pipeline.reports.bilingual import said
from backtest_pipeline.reports.markup import escaped


def remarks_section(remarks: Iterable[str]) -> str:
    """The remarks of a result, as its manifest has them; empty where there are none.

    Those whose template this version knows are said in the reader's language, others as they are.
    """
    lines = "".join(map(_line, remarks))
    return (
        f'<section class="remarks"><h2 data-said>Before you trust this</h2><ul>{lines}</ul></section>'
        if lines
        else ""
    )


def _line(remark: str) -> str:
    sentence = recognised(remark)
    if sentence is None:
        return f"<li>{escaped(remark)}</li>"
    return said(sentence.template, *sentence.values, element="li")
