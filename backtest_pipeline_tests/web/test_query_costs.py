"""What a query may cost: Dagster's own pages and our client pass, what would take long does not."""

from __future__ import annotations

import time
from functools import cache

import pytest
from graphql import get_introspection_query, parse

from backtest_pipeline.sdk import queries
from backtest_pipeline.web.access.graphql_documents import parsed
from backtest_pipeline.web.access.query_costs import MOST_OF_ONE_FIELD, MOST_TOKENS, refuse_costly
from backtest_pipeline.web.access.refusal import Refusal
from backtest_pipeline_tests.web.shipped_queries import shipped_queries

shipped = cache(shipped_queries)


def _refused(query: str) -> str:
    with pytest.raises(Refusal) as refused:
        refuse_costly(parsed(query))
    assert refused.value.status == 400
    return str(refused.value)


def test_every_query_of_dagsters_pages_passes() -> None:
    assert len(shipped()) > 150
    assert {"RunLogsQuery", "PipelineRunLogsSubscription", "LaunchPipelineExecution"} <= set(shipped())
    for query in shipped().values():
        refuse_costly(parsed(query))


def test_what_our_client_asks_for_at_most_passes() -> None:
    documents = [
        value for name, value in vars(queries).items() if name.isupper() and not name.startswith("_")
    ]
    assert len(documents) > 5
    for document in documents:
        refuse_costly(parsed(document))


@pytest.mark.parametrize(
    "query", [get_introspection_query(), get_introspection_query(input_value_deprecation=True)]
)
def test_tools_that_read_the_schema_pass(query: str) -> None:
    refuse_costly(parsed(query))


def test_a_field_is_asked_for_a_limited_number_of_times() -> None:
    def asked(times: int) -> str:
        return "{" + " ".join(f"a{number}: runsOrError {{ __typename }}" for number in range(times)) + "}"

    refuse_costly(parsed(asked(MOST_OF_ONE_FIELD)))
    assert "asks 251 times for runsOrError" in _refused(asked(MOST_OF_ONE_FIELD + 1))
    within = f"{{ runsOrError {asked(1_000)} }}"
    assert "asks 1,000 times for runsOrError" in _refused(within)
    spread = "{" + " ".join(f"...F{n}" for n in range(150)) + "}"
    fragments = " ".join(f"fragment F{n} on Query {{ a{n}: runs b{n}: runs }}" for n in range(150))
    assert "asks 300 times for runs" in _refused(f"{spread} {fragments}")


def test_fields_are_counted_wherever_a_fragment_is_spread() -> None:
    """Ten fields in each of ten in each of ten … : a short document, a long answer."""
    levels = " ".join(
        f"fragment F{n} on Q {{ " + " ".join(f"f{i}: x {{ ...F{n + 1} }}" for i in range(10)) + " }"
        for n in range(5)
    )
    assert "more than 10,000 fields" in _refused(f"{{ ...F0 }} {levels} fragment F5 on Q {{ y }}")


@pytest.mark.parametrize("last", ["", "fragment F40 on Q { ...Z }", "fragment F40 on Q { ... { ...Z } }"])
def test_fragments_that_hold_nothing_are_counted_too(last: str) -> None:
    levels = " ".join(f"fragment F{n} on Q {{ ...F{n + 1} ...F{n + 1} }}" for n in range(40))
    started_s = time.process_time()
    _refused(f"{{ ...F0 }} {levels} {last}")
    assert time.process_time() - started_s < 1


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("{a" * 41 + "}" * 41, "nested more than 40 levels deep"),
        ("{ ...A } fragment A on Q { ...B } fragment B on Q { x { ...A } }", "contains itself"),
        ("{ ...A } fragment A on Q { ...A }", "contains itself"),
        ("{ " + "a " * 300 + "}", "same fields too often"),
        (
            "{ " + "a { " + "b " * 60 + "} " * 1 + ("a { " + "b " * 60 + "} ") * 10 + "}",
            "same fields too often",
        ),
        ("{ " + " ".join(f"...F{n}" for n in range(250)) + " }", "same fields too often"),
        (" ".join(f"query Q{n} {{ a }}" for n in range(51)), "at most 50 operations"),
        ("{ a } " + " ".join(f"fragment F{n} on Q {{ a }}" for n in range(301)), "and 300 fragments"),
    ],
)
def test_what_would_take_long_to_validate_or_to_answer_is_refused(query: str, says: str) -> None:
    started_s = time.process_time()
    assert says in _refused(query)
    assert time.process_time() - started_s < 1


def test_documents_have_a_limited_number_of_tokens() -> None:
    with pytest.raises(Refusal, match="token"):
        parsed("{" + "a " * MOST_TOKENS + "}")


def test_a_query_of_an_ordinary_client_costs_little_to_look_at() -> None:
    query = shipped()["RunLogsQuery"]
    document = parse(query, no_location=True)
    started_s = time.process_time()
    for _ in range(10):
        refuse_costly(document)
    assert (time.process_time() - started_s) / 10 < 0.1
