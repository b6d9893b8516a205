"""The pages of results: the table, one task, a comparison, what can be done, and hostile text in all."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.types import Receive, Scope, Send

from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.web.pages.live_rows import LiveTask
from backtest_pipeline.web.pages.results_app import ResultsApp
from backtest_pipeline.web.pages.wording import Wording
from backtest_pipeline_tests.results.published import OTHER, TASK, publish, rewrite, wandering
from backtest_pipeline_tests.web.asgi import HOST, JSON, ask, post
from backtest_pipeline_tests.web.served_results import FULL, HOSTILE, RUNNING, VIEWER, Elements, get, server


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    publish(tmp_path, wandering(), request={"labels": {"team": "blue"}})
    publish(tmp_path, wandering(seed=2), task_id=OTHER, request={"params": {"fast": 5, "slow": 20}})
    return tmp_path


def test_the_table_shows_every_task_with_a_curve_and_a_link(data_root: Path) -> None:
    page = get(server(data_root), "/results")
    assert page.status == 200
    text = page.body.decode()
    assert text.count('class="spark"') == 2
    for task_id in (TASK, OTHER):
        assert f'href="/results/{task_id}"' in text
    assert "fast=3, slow=8" in text
    assert "team=blue" in text


def test_filters_in_the_address_choose_tasks_and_are_kept_in_every_link(data_root: Path) -> None:
    text = get(server(data_root), "/results?param=fast%3D5&sort=sharpe").body.decode()
    assert OTHER in text
    assert TASK not in text
    heads = re.findall(r'<th scope="col"[^>]*><a href="\?([^"]+)"', text)
    assert heads
    assert all("param=fast%3D5" in head for head in heads)
    assert 'value="fast=5"' in text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("metric=beauty%20%3E%201", "there is no metric"),
        ("since=yesterday", "is no day"),
        ("sort=1%3BDROP%20TABLE%20tasks", "nothing is sorted by"),
        ("page=%00&symbol=%00%ff&sort=", "2 tasks"),
        ("page=99999999999999999999", "2 tasks"),
    ],
)
def test_an_address_that_makes_no_sense_is_answered_in_words(data_root: Path, query: str, said: str) -> None:
    page = get(server(data_root), f"/results?{query}")
    assert page.status == 200
    assert said in page.body.decode() or "0 tasks" in page.body.decode()


def test_what_runs_is_shown_with_its_progress_and_only_who_may_launch_can_cancel_it(data_root: Path) -> None:
    app = server(data_root, live=lambda: [RUNNING])
    full, viewer = (get(app, "/results/live", as_=one).body.decode() for one in (FULL, VIEWER))
    assert "42%" in full
    assert 'data-run="r"' in full
    assert "42%" in viewer
    assert "data-action" not in viewer
    assert "momentum" not in get(app, "/results/live?strategy=sma_cross").body.decode()


def test_every_page_has_one_strict_policy_and_no_script_or_style_of_its_own(data_root: Path) -> None:
    app = server(data_root)
    for path in (
        "/results",
        f"/results/{TASK}",
        f"/results/compare?task={TASK}&task={OTHER}",
        "/results/none",
    ):
        page = get(app, path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        elements = Elements(page.body).tags
        assert [attributes for tag, attributes in elements if tag == "script"] == [
            {"src": "/results/results.js", "defer": None}
        ]
        for tag, attributes in elements:
            assert tag != "style"
            assert not [name for name in attributes if name.startswith("on") or name == "style"]
    for name in ("results.css", "results.js"):
        assert get(app, f"/results/{name}").status == 200


def test_hostile_text_is_inert_on_every_page(data_root: Path) -> None:
    def spoil(manifest: dict[str, Any]) -> None:
        manifest["strategy_id"] = HOSTILE
        manifest["params"] = {HOSTILE: HOSTILE}
        manifest["request"]["labels"] = {HOSTILE: HOSTILE}
        manifest["error"] = {"type": "E", "message": HOSTILE, "retryable": False, "stage": HOSTILE}

    rewrite(data_root, spoil)
    live = LiveTask(
        HOSTILE, HOSTILE, "backtest", "running", 0.0, HOSTILE, HOSTILE, [HOSTILE], HOSTILE, HOSTILE
    )
    app = server(data_root, live=lambda: [live])
    paths = (
        "/results",
        f"/results/{TASK}",
        f"/results/compare?task={TASK}&task=%3Cscript%3E",
        "/results/live",
    )
    for path in paths:
        page = get(app, path)
        text = page.body.decode()
        assert "alert(1)" in text or "compare" in path, path
        tags = Elements(page.body).tags
        assert not [one for one in tags if one[0] == "img" or (one[0] == "script" and "src" not in one[1])], (
            path
        )
        assert not [attributes for _, attributes in tags if any(name.startswith("on") for name in attributes)]
        assert "\u202e" not in text
        assert "\u2066" not in text
    echoed = get(
        app, "/results?strategy=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&metric=%3Cimg%20src%3Dx%3E"
    ).body
    assert [
        tag for tag, attributes in Elements(echoed).tags if tag == "script" and "src" not in attributes
    ] == []
    assert [tag for tag, _ in Elements(echoed).tags if tag == "img"] == []


def test_a_result_whose_check_failed_is_marked_and_never_the_best(data_root: Path) -> None:
    def looks_ahead(manifest: dict[str, Any]) -> None:
        manifest["checks"]["look_ahead"] = {"passed": False}
        manifest["metrics"]["sharpe"] = 99.0

    rewrite(data_root, looks_ahead)
    app = server(data_root)
    assert get(app, "/results").body.decode().count("a check failed") == 1
    assert "a check failed" in get(app, f"/results/{TASK}").body.decode()
    third = "2f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
    publish(data_root, wandering(seed=3), task_id=third)
    text = get(app, f"/results/compare?task={TASK}&task={OTHER}&task={third}").body.decode()
    sharpe = re.search(r'<th scope="row">Sharpe ratio</th>(.*?)</tr>', text)
    assert sharpe is not None
    cells = re.findall(r"<td class=\"([^\"]*)\">(.*?)</td>", sharpe[1])
    assert "best" not in cells[0][0]
    assert "99.00" in cells[0][1]
    assert ["best" in kind for kind, _ in cells].count(True) == 1


def test_a_comparison_says_first_what_differs_and_draws_the_benchmark(data_root: Path) -> None:
    app = server(data_root, benchmark=lambda result: result.equity["equity"].to_numpy() * 1.1)
    text = get(app, f"/results/compare?task={TASK}&task={OTHER}").body.decode()
    differences = text.index("What differs")
    assert differences < text.index("params.fast") < text.index("<h2>Metrics")
    assert text.count("<polyline") == 4
    assert text.count('class="dashed"') == 2
    assert "2020-03" in text
    months = text[text.index("Monthly returns") :]
    assert "difference to the first" in months
    assert get(app, "/results/compare").status == 400


def test_a_benchmark_that_all_have_is_drawn_once(data_root: Path) -> None:
    app = server(data_root, benchmark=lambda result: 2.0 * np.arange(1, len(result.equity) + 1))
    text = get(app, f"/results/compare?task={TASK}&task={OTHER}").body.decode()
    assert text.count("<polyline") == 3
    assert text.count('class="dashed shared"') == 1


def test_pinning_keeps_a_task_and_is_refused_to_viewers_and_foreign_pages(data_root: Path) -> None:
    app, asked = server(data_root), {"task_id": TASK, "pinned": True}
    store = TaskStore(data_root)
    for headers, status in [
        ((HOST, JSON, VIEWER), 403),
        ((HOST, JSON), 401),
        ((HOST, JSON, FULL, ("origin", "http://evil.example")), 403),
        ((HOST, JSON, FULL, ("sec-fetch-site", "cross-site")), 403),
        ((HOST, ("content-type", "text/plain"), FULL), 415),
    ]:
        assert post(app, "/results/pin", asked, headers=headers).status == status
        assert not store.manifest(TASK).pinned
    assert ask(app, "GET", "/results/pin", headers=(HOST, FULL)).status == 404
    own = (HOST, JSON, FULL, ("origin", "http://localhost:3000"))
    assert post(app, "/results/pin", asked, headers=own).json() == asked
    assert store.manifest(TASK).pinned
    assert post(app, "/results/pin", {**asked, "pinned": False}, headers=own).status == 200
    assert not store.manifest(TASK).pinned
    assert post(app, "/results/pin", {"task_id": "../..", "pinned": True}, headers=own).status == 404
    assert post(app, "/results/pin", [1], headers=own).status == 400


@pytest.mark.parametrize("may_write", [True, False])
def test_a_pin_is_offered_where_the_results_can_be_written(
    data_root: Path, monkeypatch: pytest.MonkeyPatch, *, may_write: bool
) -> None:
    # A mount that is read-only refuses root as well, whom rights do not stop.
    monkeypatch.setattr(os, "access", lambda _, mode: may_write or mode != os.W_OK)
    page = get(server(data_root), f"/results/{TASK}").body
    offered = [one["data-action"] for _, one in Elements(page).tags if "data-action" in one]
    assert offered == (["pin", "rerun"] if may_write else ["rerun"])


def test_pins_need_a_user_even_where_no_guard_stands_before(data_root: Path) -> None:
    async def unguarded(scope: Scope, receive: Receive, send: Send) -> None:
        await ResultsApp(Layout(data_root))("/results/pin", scope, receive, send)

    assert post(unguarded, "/results/pin", {"task_id": TASK, "pinned": True}).status == 403


def test_a_task_can_be_launched_again_and_opened_in_the_launchpad(data_root: Path) -> None:
    full, viewer = (get(server(data_root), f"/results/{TASK}", as_=one).body for one in (FULL, VIEWER))
    [button] = [one for tag, one in Elements(full).tags if one.get("data-action") == "rerun"]
    launch = json.loads(button["data-launch"] or "")
    assert launch["selector"]["jobName"] == "backtest"
    assert launch["runConfigData"]["strategy"] == {"sma_cross": {"fast": 3, "slow": 8}}
    assert "/jobs/backtest/playground/setup?config=strategy" in full.decode()
    assert [one for _, one in Elements(viewer).tags if "data-action" in one] == []
    assert "You may look only." in viewer.decode()


def test_every_listed_file_can_be_taken_and_nothing_else(data_root: Path) -> None:
    app = server(data_root)
    links = re.findall(r'href="([^"]+)" download', get(app, f"/results/{TASK}").body.decode())
    assert [link.rpartition("/")[2] for link in links] == [
        "signals.parquet", "trades.parquet", "equity.parquet", "manifest.json",
    ]  # fmt: skip
    for link in links:
        answer = get(app, link)
        assert answer.status == 200
        assert answer.body == (Layout(data_root).task(TASK) / link.rpartition("/")[2]).read_bytes()
        assert answer.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in answer.headers["content-security-policy"]
    (Layout(data_root).task(TASK) / "private.txt").write_text("secret")
    for name in ("private.txt", "../../../etc/passwd", ".hidden", "", "%2e%2e/x"):
        assert get(app, f"/results/{TASK}/files/{name}").status == 404


def test_links_keep_the_prefix_of_the_server(data_root: Path) -> None:
    page = get(server(data_root, prefix="/lab"), "/lab/results").body
    addresses = [
        one[name] for _, one in Elements(page).tags for name in ("href", "action", "src") if one.get(name)
    ]
    assert addresses
    assert all(str(one).startswith(("/lab/", "?")) for one in addresses)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("en-US,ko;q=0.5", "en"),
        ("", "en"),
        ("de, ko;q=x", "en"),
        ("fr", "en"),
    ],
)
def test_pages_speak_korean_to_who_prefers_it(data_root: Path, accepted: str, language: str) -> None:
    assert Wording(accepted).language == language
    page = get(server(data_root), f"/results/{TASK}", ("accept-language", accepted)).body.decode()
    assert f'<html lang="{language}">' in page
    assert ("다시 실행" in page) == (language == "ko")


def test_every_page_has_all_its_words_in_korean(data_root: Path) -> None:
    app = server(data_root, live=lambda: [RUNNING])
    korean = ("accept-language", "ko")
    for query in ("", "?page=2", "?strategy=nothing", "?since=x"):
        assert get(app, f"/results{query}", korean).status == 200
    assert "월별 수익률" in get(app, f"/results/compare?task={TASK}&task={OTHER}", korean).body.decode()
    assert get(app, "/results/compare", korean).status == 400
    assert get(app, "/results/nothing", korean, as_=VIEWER).status == 404
