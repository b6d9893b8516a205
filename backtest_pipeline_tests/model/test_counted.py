"""Counts as sentences say them."""

from __future__ import annotations

import pytest

from backtest_pipeline.model.counted import counted


@pytest.mark.parametrize(
    ("count", "nouns", "said"),
    [
        (0, ("task",), "0 tasks"),
        (1, ("task",), "1 task"),
        (1_200, ("task",), "1,200 tasks"),
        (1, ("entry", "entries"), "1 entry"),
        (2, ("entry", "entries"), "2 entries"),
    ],
)
def test_a_count_agrees_with_its_noun(count: int, nouns: tuple[str, ...], said: str) -> None:
    assert counted(count, *nouns) == said
