"""The texts of reports in English and Korean: marked in the HTML, chosen by the page's script."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

from backtest_pipeline.model.metric_catalog import METRICS, shown, shown_with_unit
from backtest_pipeline.model.metric_korean import korean_of_metrics
from backtest_pipeline.reports.korean import KOREAN_TEXTS, KOREAN_TRADES
from backtest_pipeline.reports.korean_luck import KOREAN_LUCK
from backtest_pipeline.reports.korean_remarks import KOREAN_REMARKS
from backtest_pipeline.reports.korean_sweeps import KOREAN_SWEEPS
from backtest_pipeline.reports.markup import escaped

SWITCH = (
    '<p class="language" id="language" hidden><button lang="en" data-language="en">English</button> / '
    '<button lang="ko" data-language="ko">한국어</button></p>'
)


@cache
def korean_texts() -> dict[str, str]:
    """Every text of the reports in Korean by the English one."""
    return korean_of_metrics() | KOREAN_TRADES | KOREAN_TEXTS | KOREAN_SWEEPS | KOREAN_LUCK | KOREAN_REMARKS


def texts_for(body: str, scripts: Sequence[str]) -> dict[str, str]:
    """The Korean that a page needs: of what its HTML and its own scripts say, and of what its data name."""
    named = {facts.title for facts in METRICS.values()} | KOREAN_TRADES.keys()
    said_here = (body, *scripts)
    return {
        english: korean
        for english, korean in korean_texts().items()
        if english in named or escaped(english) in body or any(english in text for text in said_here)
    }


def said(template: str, *values: object, element: str = "span") -> str:
    """A text of ours as an element that the page's script can translate.

    Args:
        template: a key of `korean_texts`; `{0}`, `{1}` stand for the values.
        values: numbers, and texts of ours that are translated themselves where they have a Korean.
        element: its name.
    """
    return f"<{element}{mark(template, *values)}>{escaped(template.format(*values))}</{element}>"


def mark(template: str, *values: object) -> str:
    """The attributes of an element that has such a text and nothing else."""
    if not values:
        return " data-said"
    texts = json.dumps([str(value) for value in values], ensure_ascii=False)
    return f' data-said="{escaped(template)}" data-with="{escaped(texts)}"'


def mark_of_metric(name: str, value: float | None) -> str:
    """The attributes of an element that shows a metric with its unit; none for units that are signs."""
    text = shown(name, value)
    unit = shown_with_unit(name, value).removeprefix(text)
    return mark(f"{{0}}{unit}", text) if unit else ""
