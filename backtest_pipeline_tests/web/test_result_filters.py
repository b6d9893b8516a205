"""Finding results: users, dates and states in the address, sweeps in the table and side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from backtest_pipeline.model.errors import ResultDamaged
from backtest_pipeline.web.pages.table_query import TableQuery
from backtest_pipeline_tests.results.published import OTHER, TASK, publish, rewrite, wandering
from backtest_pipeline_tests.web.served_results import HOSTILE, RUNNING, Elements, get, server


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    publish(tmp_path, wandering(start="2020-01-01"), user="ann")
    publish(tmp_path, wandering(start="2021-01-01"), task_id=OTHER, user="bob")
    return tmp_path


def _as_sweep(manifest: dict[str, Any]) -> None:
    """Turns the manifest of a backtest into that of a sweep whose best trial it was."""
    manifest["kind"] = "sweep"
    manifest["request"] = {"backtest": manifest["request"], "objective": "sharpe", "space": {}}
    manifest["metrics"]["sharpe"] = 1.25
    manifest["summary"]["trials"] = {"completed": 1_190, "invalid": 7, "failed": 3, "ranked": 1_100}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("user=ann", {TASK}),
        ("user=nobody", set()),
        ("first_day=2020-06-01", {OTHER}),
        ("last_day=2020-12-31", {TASK}),
        ("first_day=2020-01-01&last_day=2021-12-31", {TASK, OTHER}),
        ("since=2026-01-02&until=2026-01-02&symbol=acme", {TASK, OTHER}),
        ("since=2026-01-03", set()),
    ],
)
def test_users_and_dates_choose_tasks(data_root: Path, query: str, found: set[str]) -> None:
    page = get(server(data_root), f"/results?{query}").body
    assert {one["data-task"] for tag, one in Elements(page).tags if "data-task" in one} == found


def test_the_form_keeps_every_filter_of_the_address_and_the_order(data_root: Path) -> None:
    query = "user=ann&first_day=2019-01-01&metric=trades+%3E+0&metric=sharpe+%3E+-9&sort=skew&direction=up"
    page = get(server(data_root), f"/results?{query}")
    elements = Elements(page.body).tags
    typed = [(one["name"], one["value"]) for tag, one in elements if tag == "input" and one.get("value")]
    assert ("first_day", "2019-01-01") in typed
    assert [value for name, value in typed if name == "metric"] == ["trades > 0", "sharpe > -9"]
    chosen = {one["value"] for tag, one in elements if tag == "option" and "selected" in one}
    assert {"ann", "skew", "up"} <= chosen
    assert re.search(r'aria-sort="ascending"><a [^>]*>Skew', page.body.decode())


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "<summary>Filters</summary>"),
        ("sort=sharpe&direction=up&page=2", "<summary>Filters</summary>"),
        (
            "kind=sweep&metric=sharpe>1&metric=trades>3&sort=sharpe&symbol=",
            "<summary>Filters · 3 active</summary>",
        ),
    ],
)
def test_the_folded_filters_say_how_many_are_active(data_root: Path, query: str, said: str) -> None:
    assert said in get(server(data_root), f"/results?{query}").body.decode()


@pytest.mark.parametrize(
    ("language", "one", "two"), [("en", "1 task ", "2 tasks "), ("ko", "작업 1개 ", "작업 2개 ")]
)
def test_what_is_counted_is_said_as_people_say_it(data_root: Path, language: str, one: str, two: str) -> None:
    app, asked = server(data_root), ("accept-language", language)
    assert f"<span>{one}" in get(app, "/results?user=ann", asked).body.decode()
    assert f"<span>{two}" in get(app, "/results", asked).body.decode()


def test_where_nobody_says_who_they_are_users_are_not_asked_for(tmp_path: Path) -> None:
    publish(tmp_path, wandering())
    names = [one.get("name") for _, one in Elements(get(server(tmp_path), "/results").body).tags]
    assert "user" not in names


@pytest.mark.parametrize(
    ("query", "fits"),
    [("user=ann", True), ("user=bob", False), ("state=queued", False), ("state=running", True),
     ("since=2026-01-02", False), ("until=2026-01-01&kind=backtest&symbol=AAPL", True)],
)  # fmt: skip
def test_what_runs_is_filtered_as_far_as_it_is_known(query: str, fits: bool) -> None:
    assert RUNNING.fits(TableQuery.parse(query.encode()).wanted) is fits


def test_what_a_sweep_varies_is_shown_and_found_by_its_name(data_root: Path) -> None:
    def searched(manifest: dict[str, Any]) -> None:
        _as_sweep(manifest)
        manifest["request"]["space"] = {"params.fast": {"low": 5, "high": 50, "step": 5}}

    rewrite(data_root, searched)
    for name in ("fast", "params.fast"):
        text = get(server(data_root), f"/results?varied={name}").body.decode()
        assert "fast: 5 to 50 by 5" in text
        assert TASK in text
        assert OTHER not in text
    assert "No task fits" in get(server(data_root), "/results?varied=slow").body.decode()
    assert 'name="varied" value="slow"' in get(server(data_root), "/results?varied=slow").body.decode()


def test_a_sweep_in_the_table_says_its_trials_its_best_and_whether_that_passed(data_root: Path) -> None:
    rewrite(data_root, _as_sweep)
    text = get(server(data_root), "/results?kind=sweep").body.decode()
    assert OTHER not in text
    for said in ("1,200 trials", "Sharpe ratio 1.25", "passed its checks"):  # 1,190 + 7 + 3
        assert f"<small>{said}</small>" in text
    assert f'name="task" value="{TASK}"' in text


def test_ticked_sweeps_are_compared_by_the_page_of_sweeps_which_runs_in_a_sandbox(data_root: Path) -> None:
    asked: list[Sequence[str]] = []

    def compare(task_ids: Sequence[str]) -> str:
        asked.append(task_ids)
        return "<p>two sweeps"

    app = server(data_root, compare_sweeps=compare)
    ticked = f"/results/compare?task={TASK}&task={OTHER}"
    rewrite(data_root, _as_sweep)
    mixed = get(app, ticked)
    assert mixed.status == 400
    assert "Backtests and sweeps do not stand side by side" in mixed.body.decode()
    rewrite(data_root, _as_sweep, OTHER)
    page = get(app, ticked)
    assert (page.status, page.body) == (200, b"<p>two sweeps")
    assert "sandbox allow-scripts" in page.headers["content-security-policy"]
    assert asked == [[TASK, OTHER]]


def test_sweeps_that_cannot_be_compared_say_why_and_nothing_in_it_is_run(data_root: Path) -> None:
    def compare(task_ids: Sequence[str]) -> str:
        raise ResultDamaged(task_ids[0], Path("trials.parquet"), HOSTILE)

    rewrite(data_root, _as_sweep)
    page = get(server(data_root, compare_sweeps=compare), f"/results/compare?task={TASK}")
    assert page.status == 400
    assert "alert(1)" in page.body.decode()
    assert "img" not in [tag for tag, _ in Elements(page.body).tags]


def test_hostile_users_and_objectives_are_inert(data_root: Path) -> None:
    def spoil(manifest: dict[str, Any]) -> None:
        _as_sweep(manifest)
        manifest["user"] = HOSTILE
        manifest["request"]["objective"] = HOSTILE
        manifest["request"]["space"] = {
            f"params.{HOSTILE}": [HOSTILE, {HOSTILE: [HOSTILE]}],
            HOSTILE: HOSTILE,
        }

    rewrite(data_root, spoil)
    for language in ("en", "ko"):
        page = get(server(data_root), "/results", ("accept-language", language))
        assert page.status == 200
        assert page.body.decode().count("alert(1)") >= 2  # among the users to choose from, and in the row
        tags = Elements(page.body).tags
        assert "img" not in [tag for tag, _ in tags]
        assert not [one for _, one in tags if any(name.startswith("on") for name in one)]
