"""Whatever a page tells people to type works as printed, and what is not run says why."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backtest_pipeline.web.monitoring.health_checks import Check
from backtest_pipeline.web.monitoring.prometheus import Figures, Metrics
from backtest_pipeline.web.monitoring.results_disk import LastCleanup
from backtest_pipeline_tests.acceptance.live import Pipeline
from backtest_pipeline_tests.docs.pages import PAGES, ROOT, Block, blocks, commands, name_of

PRINTED_URL = "http://127.0.0.1:3000"

# What the blocks of a language are: commands to run; a file for the commands after it; run by another test;
# or only looked at.
RUN = {"bash", "console", "python"}
FILES = {"csv": "prices.csv"}
RUN_ELSEWHERE = {"graphql": "test_graphql.py", "json variables": "test_graphql.py", "json example": "engine"}
SHOWN = {"", "text", "cron", "json", "yaml", "ini", "caddyfile", "promql", "dockerfile"}

# Pages whose blocks have a test of their own, which runs them all.
OWN_TESTS = {"docs/results.md": "docs/test_results_page.py"}

README_LANGUAGES = {"console", "python"}  # all of which test_readme runs


def _with_something_to_run() -> list[Path]:
    pages = [page for page in PAGES if name_of(page) not in OWN_TESTS]
    return [page for page in pages if any(_is_run(block) for block in blocks(page.read_text()))]


def _is_run(block: Block) -> bool:
    return block.language in RUN and not block.not_run


@pytest.mark.parametrize("page", _with_something_to_run(), ids=name_of)
def test_every_command_and_script_of_a_page_works(
    page: Path, live: Pipeline, programs: Path, exchange_urls: str, tmp_path: Path
) -> None:
    (tmp_path / "data").symlink_to(live.data_root)
    script = tmp_path / "page.sh"
    script.write_text(_script(page, live, tmp_path))
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**live.env, "PATH": path, "BROWSER": "true", "EXCHANGE_URLS": exchange_urls}
    done = subprocess.run(
        ["/bin/bash", str(script)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{name_of(page)}:\n{done.stdout[-2_000:]}\n{done.stderr[-4_000:]}"


def _script(page: Path, live: Pipeline, folder: Path) -> str:
    """A page as one shell script, so that what a block sets or writes is there for the next one."""
    lines = ["set -euo pipefail", "trap 'echo \"line $at of the page failed: $BASH_COMMAND\" >&2' ERR"]
    for block in blocks(page.read_text()):
        text = block.text.replace(PRINTED_URL, live.url)
        if block.language in FILES:
            (folder / f"{block.line}.file").write_text(text)
            lines.append(f"cp {block.line}.file {FILES[block.language]}")
        if not _is_run(block):
            continue
        lines.append(f"at={block.line}")
        if block.language == "python":
            (folder / f"line{block.line}.py").write_text(text)
            lines.append(f"run-python line{block.line}.py")
        else:
            lines.append(commands(block).replace(PRINTED_URL, live.url))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    known = {*RUN, *FILES, *RUN_ELSEWHERE, *SHOWN}
    for block in blocks(page.read_text()):
        assert block.language in known, f"{name_of(page)}:{block.line}: {block.language!r} is none of {known}"
        if block.language in RUN:
            assert block.not_run or commands(block).strip() or block.language == "python"
        if block.language in SHOWN:
            assert not re.search(r"^(\$ |backtest |curl |pip |docker |scripts/)", block.text, re.MULTILINE), (
                f"{name_of(page)}:{block.line} shows commands; put them into a block of bash or console"
            )


@pytest.mark.parametrize(("page", "module"), OWN_TESTS.items())
def test_a_page_with_a_test_of_its_own_is_run_by_it(page: str, module: str) -> None:
    test = (ROOT / "backtest_pipeline_tests" / module).read_text()
    used = {block.language for block in blocks((ROOT / page).read_text())} & RUN
    assert Path(page).name in test
    assert [language for language in used if f'_blocks("{language}")' not in test] == []


def test_the_readme_has_only_blocks_that_its_own_test_runs() -> None:
    found = {block.language for block in blocks((ROOT / "README.md").read_text())}
    assert found == README_LANGUAGES


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=name_of)
def test_every_file_that_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text())
    for target, anchor in links:
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), f"{name_of(page)} links to {target}, which is not there"
        if anchor and linked.suffix == ".md":
            assert anchor in _anchors(linked), f"{name_of(page)}: {linked.name} has no heading #{anchor}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readme_leads_to_every_page() -> None:
    """By a link of its own, or over one page that it links to."""
    seen = {ROOT / "README.md"}
    for _ in range(3):
        for page in list(seen):
            links = re.findall(r"\]\((?!https?:)([^)#\s]+\.md)", page.read_text())
            seen |= {target for link in links if (target := (page.parent / link).resolve()).exists()}
    assert sorted(name_of(page) for page in PAGES if page not in seen) == []


def test_what_deserves_an_alarm_is_measured() -> None:
    queries = [
        block.text for page in PAGES for block in blocks(page.read_text()) if block.language == "promql"
    ]
    wanted = set(re.findall(r"\bbacktest_\w+", " ".join(queries)))
    figures = Figures(
        tasks={"queued": 1},
        ended=[("failed", 2.0)],
        results=1,
        results_bytes=1,
        free_bytes=1,
        cleanup=LastCleanup(finished_at_s=1.0, deleted=0, freed_bytes=0),
        checks=[Check("disk", ok=True, detail="")],
    )
    told = set(re.findall(r"^(backtest_\w+)", Metrics().page(figures).decode(), re.MULTILINE))
    assert wanted
    assert wanted <= told
