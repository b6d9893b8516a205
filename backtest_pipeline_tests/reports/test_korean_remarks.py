"""Remarks and outcomes, which manifests have in English, are said in Korean by reports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from backtest_pipeline import IntRange
from backtest_pipeline.model import remark_texts
from backtest_pipeline.model.remark_texts import recognised, templates
from backtest_pipeline.model.sentence import Sentence
from backtest_pipeline.reports.bilingual import korean_texts
from backtest_pipeline.reports.outcome_texts import ranking_template
from backtest_pipeline.reports.remarks_section import remarks_section
from backtest_pipeline.reports.report import report_html
from backtest_pipeline.workflows.render_sweep_report import sweep_report
from backtest_pipeline_tests.chromium import chromium
from backtest_pipeline_tests.reports.made import backtest, candles_of, walk
from backtest_pipeline_tests.reports.made_sweep import noise, stored, sweep_of, table_of

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def test_every_template_has_a_korean_one() -> None:
    ranking = [
        ranking_template(one=one, where=where, more=True) for one in (False, True) for where in (False, True)
    ]
    assert [one for one in (*templates(), *ranking) if one not in korean_texts()] == []


def test_every_remark_is_found_again_with_its_values() -> None:
    for template in templates():
        count = len(set(re.findall(r"\{\d\}", template)))
        values = tuple(f"value, of {place}" for place in range(count))
        assert recognised(template.format(*values)) == Sentence(template, values), template


def test_the_values_of_a_remark_stand_in_the_order_of_their_numbers() -> None:
    for template in templates():
        numbers = re.findall(r"\{(\d)\}", template)
        assert numbers == sorted(set(numbers)), template


@pytest.mark.parametrize(
    ("remark", "template", "values"),
    [
        (
            "AAPL ends in an open position, marked to the last close (1 time).",
            "{0} ends in an open position, marked to the last close ({1} time).",
            ("AAPL", "1"),
        ),
        (
            "A, B and C have fills on bars without volume (1,204 times).",
            "{0} have fills on bars without volume ({1} times).",
            ("A, B and C", "1,204"),
        ),
        ("12 trades are too few to distinguish skill from luck; look for 30 or more.", None, ("12", "30")),
        (
            "no trial has a sharpe with trades >= 3, so none ranks and there is no best",
            None,
            ("sharpe", "trades >= 3"),
        ),
    ],
)
def test_remarks_of_manifests_are_recognised(
    remark: str, template: str | None, values: tuple[str, ...]
) -> None:
    found = recognised(remark)
    assert found is not None
    assert found.values == values
    assert str(found) == remark
    assert template in {None, found.template}


def test_a_remark_of_another_version_is_shown_as_it_is_and_none_makes_an_element() -> None:
    unknown = "Something that only a later version says."
    spoiled = remark_texts.NOT_CHECKED.format(HOSTILE)
    html = remarks_section([unknown, spoiled, HOSTILE])
    assert f"<li>{unknown}</li>" in html
    assert "<img" not in html
    assert html.count("<li") == 3
    assert remarks_section([]) == ""


def _english_left(page: Page) -> list[str]:
    """Visible text of two English words or more, beside names, codes and papers."""
    texts: list[str] = page.evaluate(
        """() => {
          const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walk.nextNode()) {
            const inside = walk.currentNode.parentElement;
            if (!inside.closest("script, style, noscript, code, small, .details, .bk-Figure, #language")) {
              found.push(walk.currentNode.textContent.trim());
            }
          }
          for (const name of ["title", "aria-label"]) {
            for (const one of document.querySelectorAll(`[${name}]`)) found.push(one.getAttribute(name));
          }
          return found;
        }"""
    )
    return [
        text for text in texts if re.search(r"[a-z]{2,} [a-z]{2,}", text) and not re.search("[가-힣]", text)
    ]


def _opened(browser: Browser, path: Path) -> Page:
    page = browser.new_page(locale="ko-KR")
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-drawn]")
    return page


def test_no_sentence_of_a_report_stays_english(browser: Browser, tmp_path: Path) -> None:
    candles = {name: candles_of(walk(150, place), name) for place, name in enumerate(["AAPL", "IBM"])}
    result = backtest(candles)
    result.diagnostics.append(
        "AAPL, IBM and MSFT end in an open position, marked to the last close (3 times)."
    )
    path = tmp_path / "report.html"
    path.write_text(report_html(result, candles), encoding="utf-8")
    page = _opened(browser, path)
    remarks = page.locator("section.remarks li").all_inner_texts()
    assert "AAPL, IBM, MSFT: 청산되지 않은 포지션으로 끝나 마지막 종가로 평가했습니다 (3회)." in remarks
    assert _english_left(page) == []
    page.close()


@pytest.mark.slow
def test_no_sentence_or_tip_of_a_sweep_s_report_stays_english(browser: Browser, tmp_path: Path) -> None:
    asked = sweep_of(
        {"params.fast": IntRange(2, 12), "params.slow": [20, 30], "stop_loss_frac": [None, 0.1]},
        where=["trades >= -9"],
    )
    table = table_of(asked, noise(missing=0.0), {4: ("invalid", "no"), 5: ("failed", "raised")})
    path = tmp_path / "sweep.html"
    path.write_bytes(sweep_report(tmp_path, stored(tmp_path, asked, table)))
    page = _opened(browser, path)
    page.wait_for_selector("html[data-swept]")
    outcome = page.locator("#outcome").inner_text()
    assert outcome.startswith("격자 탐색 44회 시행: 완료 42, 무효 1, 실패 1.")  # 11 windows, 2 and 2
    assert "trades >= -9 조건에서 샤프 지수 기준으로 42회가 순위에 들었습니다 (클수록 좋음)." in outcome
    tip = page.locator("#heat td.winner").get_attribute("title")
    assert tip is not None
    assert re.search("시행 2회, 완료 [12]회", tip)
    page.locator("#heat td.winner").click()
    assert "실행" in page.locator("#cell .run").first.inner_text()
    assert _english_left(page) == []
    page.close()
