"""Serving a task's report and chart, and nothing else of the volume."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from backtest_pipeline.storage.layout import Layout
from backtest_pipeline.web.pages.own_pages import OwnPages
from backtest_pipeline.web.pages.result_pages import ResultPages
from backtest_pipeline_tests.web.asgi import Answer, Recorder, ask, sent_until_hung_up

TASK = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
OTHER = "1f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
REPORT = b"<html>" + b"r" * 600_000 + b"</html>"


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    folder = Layout(tmp_path).task(TASK)
    folder.mkdir(parents=True)
    (folder / "report.html").write_bytes(REPORT)
    (folder / "equity.png").write_bytes(b"\x89PNG")
    (folder / "manifest.json").write_text("{}")
    (tmp_path / "secret").write_text("secret")
    return tmp_path


def _pages(data_root: Path, prefix: str = "") -> OwnPages:
    return OwnPages(
        Recorder(answer=b"behind"),
        prefix=prefix,
        results=ResultPages(Layout(data_root)),
        checks=list,
        figures=lambda checks: pytest.fail("nobody asked for metrics"),
    )


def _get(data_root: Path, path: str, *, method: str = "GET", prefix: str = "") -> Answer:
    """Asks for a path as it stands in a URL; the web server decodes it once."""
    return ask(_pages(data_root, prefix), method, unquote(path))


def test_a_report_is_served_in_a_sandbox(data_root: Path) -> None:
    answer = _get(data_root, f"/tasks/{TASK}/report.html")
    assert (answer.status, answer.body) == (200, REPORT)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    policy = [part.strip() for part in answer.headers["content-security-policy"].split(";")]
    assert "sandbox allow-scripts allow-downloads" in policy  # without allow-same-origin: no access to ours
    for part in ("default-src 'none'", "form-action 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
        assert part in policy


def test_a_report_comes_whole_to_a_client_that_stays_and_ends_for_one_that_hangs_up(data_root: Path) -> None:
    (Layout(data_root).task(TASK) / "report.html").write_bytes(bytes(5_000_000))
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    path = f"/tasks/{TASK}/report.html"
    sent = sent_until_hung_up(_pages(data_root), path, after_messages=1_000)
    assert sum(len(message.get("body", b"")) for message in sent) == 5_000_000
    cut = sent_until_hung_up(_pages(data_root), path, after_messages=3)
    assert sum(len(message.get("body", b"")) for message in cut) < 5_000_000
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_of_a_file_that_grows_no_more_is_sent_than_was_announced(data_root: Path) -> None:
    report = Layout(data_root).task(TASK) / "report.html"

    async def growing(scope: Any, receive: Any, send: Any) -> None:
        async def grow(message: Any) -> None:
            with report.open("ab") as file:
                file.write(b"more")
            await send(message)

        await _pages(data_root)(scope, receive, grow)

    answer = ask(growing, "GET", f"/tasks/{TASK}/report.html")
    assert answer.body == REPORT
    assert answer.headers["content-length"] == str(len(REPORT))


@pytest.mark.parametrize("name", ["equity.png", "heatmap.png"])
def test_a_chart_is_served_as_a_picture(data_root: Path, name: str) -> None:
    (data_root / "tasks" / TASK / name).write_bytes(b"\x89PNG")
    answer = _get(data_root, f"/tasks/{TASK}/{name}")
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"\x89PNG", "image/png")


def test_the_path_prefix_stands_before_them(data_root: Path) -> None:
    assert _get(data_root, f"/view/tasks/{TASK}/report.html", prefix="/view").status == 200


def test_head_says_the_size_without_the_page(data_root: Path) -> None:
    missing = _get(data_root, f"/tasks/{OTHER}/report.html", method="HEAD")
    page = _get(data_root, f"/tasks/{OTHER}/report.html")
    assert (missing.status, missing.body) == (404, b"")
    assert missing.headers["content-length"] == str(len(page.body))
    answer = _get(data_root, f"/tasks/{TASK}/report.html", method="HEAD")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", str(len(REPORT)))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_results_are_only_read(data_root: Path, method: str) -> None:
    assert _get(data_root, f"/tasks/{TASK}/report.html", method=method).status == 405
    assert (Layout(data_root).task(TASK) / "report.html").exists()


@pytest.mark.parametrize(
    "path",
    [
        f"/tasks/{TASK}/",
        f"/tasks/{TASK}",
        "/tasks/",
        f"/tasks/{TASK}/manifest.json",
        f"/tasks/{TASK}/trades.parquet",
        f"/tasks/{TASK}/report.html/",
        f"/tasks/{TASK}/./report.html",
        f"/tasks/{TASK}//report.html",
        f"/tasks/{TASK}/REPORT.HTML",
        f"/tasks/{TASK}/report.html%00.png",
        f"/tasks/{TASK.upper()}/report.html",
        f"/tasks/{TASK}%0a/report.html",
        "/tasks/../secret",
        "/tasks/../../secret/report.html",
        "/tasks/%2e%2e/secret",
        "/tasks/%2e%2e%2fsecret",
        "/tasks/%252e%252e%252fsecret",
        f"/tasks/{TASK}/..%2f..%2fsecret",
        f"/tasks/{TASK}/..%252f..%252fsecret",
        f"/tasks/{TASK}/../{TASK}/report.html",
        "/tasks/.staging/report.html",
        "/tasks/.trash/report.html",
        "/tasks//etc/passwd",
        "/tasks/%2fetc%2fpasswd",
    ],
)
def test_no_other_path_leads_anywhere(data_root: Path, path: str) -> None:
    answer = _get(data_root, path)
    assert answer.status == 404
    assert b"secret" not in answer.body.replace(b"secret/", b"")
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("kind", ["file", "folder", "pipe", "directory"])
def test_only_regular_files_in_real_folders_are_read(data_root: Path, kind: str) -> None:
    other = Layout(data_root).task(OTHER)
    if kind == "folder":
        other.symlink_to(Layout(data_root).task(TASK))
    else:
        other.mkdir()
        report = other / "report.html"
        if kind == "file":
            report.symlink_to(data_root / "secret")
        elif kind == "pipe":
            os.mkfifo(report)  # opening one waits for a writer, for ever
        else:
            report.mkdir()
    assert _get(data_root, f"/tasks/{OTHER}/report.html").status == 404


def test_a_missing_report_is_told_with_what_to_do(data_root: Path) -> None:
    answer = _get(data_root, f"/tasks/{OTHER}/report.html")
    assert answer.status == 404
    assert f"task {OTHER} has no report.html: wait until it has completed".encode() in answer.body


def test_a_missing_report_or_chart_is_drawn_where_it_can_be(data_root: Path) -> None:
    asked: list[tuple[str, str]] = []

    def render(task_id: str, name: str) -> bytes | None:
        asked.append((task_id, name))
        return f"made {name}".encode() if task_id == OTHER else None

    pages = OwnPages(
        Recorder(),
        prefix="",
        results=ResultPages(Layout(data_root), render),
        checks=list,
        figures=lambda checks: pytest.fail("nobody asked for metrics"),
    )
    made = ask(pages, "GET", f"/tasks/{OTHER}/report.html")
    assert (made.status, made.body) == (200, b"made report.html")
    picture = ask(pages, "GET", f"/tasks/{OTHER}/equity.png")
    assert (picture.status, picture.body, picture.headers["content-type"]) == (
        200,
        b"made equity.png",
        "image/png",
    )
    assert "scripts" not in picture.headers["content-security-policy"]
    assert "sandbox allow-scripts" in made.headers["content-security-policy"]
    assert ask(pages, "GET", f"/tasks/{OTHER[:-1]}1/report.html").status == 404
    assert ask(pages, "GET", f"/tasks/{TASK}/report.html").body == REPORT
    assert ask(pages, "GET", f"/tasks/{TASK}/manifest.json").status == 404
    assert asked == [(OTHER, "report.html"), (OTHER, "equity.png"), (f"{OTHER[:-1]}1", "report.html")]


def test_everything_else_is_left_to_the_app_behind(data_root: Path) -> None:
    for path in ("/", "/runs", "/tasksfoo", "/tasks", "/view/tasks/x"):
        assert _get(data_root, path).body == b"behind"
