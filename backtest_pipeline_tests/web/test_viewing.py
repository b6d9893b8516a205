"""What a viewer may send."""

from __future__ import annotations

import json

import pytest

from backtest_pipeline.web.refusal import Refusal
from backtest_pipeline.web.viewing import refuse_mutation_message, refuse_mutations

READ = "query Q { version }"
CHANGE = "mutation M { reloadWorkspace { __typename } }"


@pytest.mark.parametrize(
    "query", [READ, "{ version }", "subscription S { logs }", "fragment F on X { a } " + READ]
)
def test_reading_documents_pass(query: str) -> None:
    refuse_mutations(json.dumps({"query": query}).encode())
    refuse_mutations(json.dumps([{"query": query}, {"query": query}]).encode())


@pytest.mark.parametrize(
    "content",
    [
        {"query": CHANGE},
        {"query": f"{READ} {CHANGE}", "operationName": "Q"},
        {"query": "# query\n" + CHANGE},
        {"query": "mutation{a}"},
        {"query": "\ufeff,,mutation\n@x\n{a}"},
        [{"query": READ}, {"query": CHANGE}],
    ],
)
def test_a_mutation_is_found_wherever_it_stands(content: object) -> None:
    with pytest.raises(Refusal, match="viewers only read") as refused:
        refuse_mutations(json.dumps(content).encode())
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"mutation { a }",
        b"{}",
        b"[1]",
        b'{"query": 1}',
        b'{"query": ["mutation {a}"]}',
        b'{"query": "muta"}',
        b'{"query": "' + b"{a" * 9_000 + b'"}',  # deeper than Python's stack
        b"[" * 100_000,
    ],
)
def test_what_cannot_be_read_is_refused_rather_than_passed_on(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        refuse_mutations(body)
    assert refused.value.status == 400


def test_the_last_of_two_fields_counts_as_it_does_for_the_server() -> None:
    with pytest.raises(Refusal, match="viewers only read"):
        refuse_mutations(f'{{"query": "{READ}", "query": "{CHANGE}"}}'.encode())


def test_documents_in_other_encodings_of_json_are_read_as_the_server_reads_them() -> None:
    with pytest.raises(Refusal, match="viewers only read"):
        refuse_mutations(json.dumps({"query": CHANGE}).encode("utf-16"))


def test_messages_of_a_websocket_are_looked_at_where_they_carry_a_document() -> None:
    refuse_mutation_message('{"type": "connection_init"}')
    refuse_mutation_message(json.dumps({"type": "start", "payload": {"query": "subscription { a }"}}))
    for kind in ("start", "subscribe"):
        with pytest.raises(Refusal, match="viewers only read"):
            refuse_mutation_message(json.dumps({"type": kind, "payload": {"query": CHANGE}}))
    with pytest.raises(Refusal):
        refuse_mutation_message("[]")
