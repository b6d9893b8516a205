"""What reports say of luck and skill, in both languages, and what the verdict follows from."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline.model import luck_verdict
from backtest_pipeline.model.luck_verdict import concluded
from backtest_pipeline.model.robustness import Logits, Robustness
from backtest_pipeline.reports.charts.luck_svg import logits_svg
from backtest_pipeline.reports.korean_luck import KOREAN_LUCK
from backtest_pipeline.reports.luck_statistics import luck_statistics
from backtest_pipeline.reports.report import report_html
from backtest_pipeline.workflows.assess_backtest import assessed_backtest
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk

TEMPLATES = [text for name, text in vars(luck_verdict).items() if name.isupper() and isinstance(text, str)]


@pytest.fixture(scope="module")
def assessed() -> Robustness:
    return assessed_backtest(backtest({"AAPL": candles_of(walk(300), "AAPL")}))


def _said(assessed: Robustness, **facts: Any) -> str:
    """The verdict of a daily Sharpe ratio of 1.31 a year, deflated to 0.559."""
    daily = 1.31 / math.sqrt(252)
    known: dict[str, Any] = {"sharpe": daily, "periods_per_year": 252.0, "deflated_sharpe": 0.559}
    checks = facts.pop("checks", {})
    return concluded(assessed.model_copy(update=known | facts), ["AAPL"], checks).verdict


def test_the_verdict_names_the_search_and_what_chance_would_show(assessed: Robustness) -> None:
    chance = {
        "trials": 4_211,
        "trials_since": datetime(2026, 3, 9, tzinfo=UTC),
        "expected_best_sharpe": 1.27 / math.sqrt(252),
    }
    assert _said(assessed, **chance) == (
        "Sharpe 1.31 after 4,211 trials on AAPL since 2026-03: the best of that many worthless ones would "
        "show 1.27. Probably luck (deflated Sharpe 0.55)."
    )
    assert "Hardly luck (deflated Sharpe 0.99)." in _said(assessed, **chance, deflated_sharpe=0.999)
    assert "they are as good as 12 unlike ones" in _said(assessed, **chance, effective_trials=12)
    assert _said(assessed, **chance, pbo=0.62).endswith("below the middle in the other.")
    assert "Overfitted" not in _said(assessed, **chance, pbo=0.5)


def test_a_loss_and_an_account_at_rest_have_verdicts_of_their_own(assessed: Robustness) -> None:
    assert _said(assessed, sharpe=-0.01).startswith("Sharpe -0.16 on AAPL: it earned nothing")
    assert _said(assessed, sharpe=None).startswith("No Sharpe ratio")


def test_a_strategy_that_looks_ahead_is_neither_lucky_nor_skilled(assessed: Robustness) -> None:
    said = _said(assessed, deflated_sharpe=0.999, checks={"look_ahead": {"passed": False}})
    assert said.startswith("Neither luck nor skill: the strategy looks ahead")


def test_everything_has_a_korean_text_with_the_same_values(assessed: Robustness) -> None:
    for template in TEMPLATES:
        values = [f"{{{place}}}" for place in range(6) if f"{{{place}}}" in template]
        assert all(value in KOREAN_LUCK[template] for value in values), template
    swept = assessed.model_copy(update={"effective_trials": 3})
    for one in luck_statistics(swept):
        assert one.title in KOREAN_LUCK, one
        assert one.words in KOREAN_LUCK, one


def test_a_report_begins_with_the_verdict_and_explains_it(assessed: Robustness) -> None:
    candles = {"AAPL": candles_of(walk(300), "AAPL")}
    page = report_html(backtest(candles), candles, robustness=assessed)
    verdict, section = page.index('class="verdict"'), page.index('id="luck"')
    assert page.index("</header>") < verdict < page.index('class="tiles"') < section
    assert "Probabilistic Sharpe" in page[section:]
    assert 'class="band"' in page[section:]
    assert 'class="verdict"' not in report_html(backtest(candles), candles)


def test_a_result_of_the_engine_alone_draws_it_too(tmp_path: Path) -> None:
    file = backtest({"AAPL": candles_of(walk(300), "AAPL")}).plot(tmp_path / "page.html", show=False)
    assert 'class="verdict"' in file.read_text("utf-8")


def test_logits_at_and_below_zero_are_drawn_as_failures() -> None:
    drawn = logits_svg(Logits(edges=[-2.0, -1.0, 0.0, 1.0, 2.0], counts=[4, 0, 3, 1]))
    assert (drawn.count('class="lower"'), drawn.count('class="upper"')) == (2, 2)
