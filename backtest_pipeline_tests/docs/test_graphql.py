"""Every GraphQL document that a page shows is answered as the page says, and the states are the client's."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from backtest_pipeline import BacktestRequest
from backtest_pipeline.model.status import STATE_OF
from backtest_pipeline_tests.acceptance.live import Pipeline
from backtest_pipeline_tests.docs.pages import PAGES, ROOT, blocks, name_of

STATES = ROOT / "docs" / "state-and-status.md"
SENSIBLE = {"completed", "failed", "cancelled", "queued", "running"}


def _documents(page: Path) -> list[tuple[str, str]]:
    """Each GraphQL block of a page with the block of variables behind it."""
    found = [block for block in blocks(page.read_text()) if block.language in {"graphql", "json variables"}]
    assert [block.language for block in found] == ["graphql", "json variables"] * (len(found) // 2)
    return [(found[at].text, found[at + 1].text) for at in range(0, len(found), 2)]


DOCUMENTS = [(name_of(page), *pair) for page in PAGES for pair in _documents(page)]


def test_the_state_page_shows_how_to_submit_to_watch_and_to_cancel() -> None:
    operations = [re.findall(r"^(?:query|mutation) (\w+)", document)[0] for _, document, _ in DOCUMENTS]
    assert {"Submit", "SubmitMany", "Status", "Attempts", "Many", "Newest", "Events", "Cancel"} <= set(
        operations
    )


@pytest.fixture(scope="module")
def tasks(live: Pipeline) -> Iterator[dict[str, str]]:
    """A task that has completed, one that runs, and a key that no submission has."""
    with live.client() as client:
        request = BacktestRequest(strategy="buy_and_hold", symbols=["IBM"], labels={"desk": "rates"})
        completed = client.wait(client.submit(request).task_id).task_id
        other = client.submit(request, reuse=False).task_id
        yield {"RUNNING_TASK_ID": other, "TASK_ID": completed, "IDEMPOTENCY_KEY": str(uuid.uuid4())}


@pytest.mark.parametrize(
    ("document", "variables"),
    [pair[1:] for pair in DOCUMENTS],
    ids=[document.partition("(")[0].partition("{")[0].strip() for _, document, _ in DOCUMENTS],
)
def test_a_document_of_a_page_is_answered(
    live: Pipeline, tasks: dict[str, str], document: str, variables: str
) -> None:
    for placeholder, value in tasks.items():
        variables = variables.replace(placeholder, value)
    body = {"query": document, "variables": json.loads(variables)}
    answer = httpx.post(f"{live.url}/graphql", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert "errors" not in told
    kinds = {kind for kind in _kinds(told["data"]) if re.search("Error|Invalid|NotFound", kind)}
    assert not kinds, told


def _kinds(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "__typename" in value:
            yield value["__typename"]
        for part in value.values():
            yield from _kinds(part)
    elif isinstance(value, list):
        for part in value:
            yield from _kinds(part)


def test_the_pages_table_of_states_is_the_one_that_clients_go_by() -> None:
    section = STATES.read_text().partition("## States")[2].partition("```")[0]
    rows = re.findall(r"^\| `([A-Z_]+)` \| `(\w+)` \|", section, re.MULTILINE)
    assert dict(rows) == dict(STATE_OF)
    assert set(dict(rows).values()) == SENSIBLE


def test_the_pages_transitions_lead_from_a_state_to_a_state() -> None:
    section = STATES.read_text().partition("## Transitions")[2].partition("\n\nFor")[0]
    rows = re.findall(r"^\| (`\w+`|) ?\| `(\w+)` \|", section, re.MULTILINE)
    assert len(rows) == 7
    assert {state.strip("`") for pair in rows for state in pair} - {""} == SENSIBLE
    final = {"completed", "failed", "cancelled"}
    assert not final & {start.strip("`") for start, _ in rows}  # nothing leads out of a final state
