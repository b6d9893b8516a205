"""GraphQL requests, read once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from graphql import DocumentNode, GraphQLError, OperationDefinitionNode, OperationType, parse

from backtest_pipeline.model.plain_data import plain_data_problem
from backtest_pipeline.web.access.query_costs import MOST_TOKENS, refuse_costly
from backtest_pipeline.web.access.refusal import Refusal

_FORM = "send a JSON object with the GraphQL document in the field query"


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """One request: its document, parsed, and the variables' values."""

    document: DocumentNode
    variables: Mapping[str, Any]

    @property
    def operations(self) -> Iterator[OperationDefinitionNode]:
        """All operations of the document, whichever is to be run."""
        for definition in self.document.definitions:
            if isinstance(definition, OperationDefinitionNode):
                yield definition

    @property
    def changes_something(self) -> bool:
        """Whether a mutation is among the operations."""
        return any(one.operation == OperationType.MUTATION for one in self.operations)


def read_json(text: bytes | str) -> Any:
    """Reads JSON as the server behind will read it.

    Raises:
        Refusal: it is none, or holds something that could not be stored.
    """
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the body is no JSON; send a JSON object with the field query") from error
    if problem := plain_data_problem(content):
        raise Refusal(400, f"the body cannot be used: {problem}")
    return content


def read_request(content: Any) -> GraphQLRequest:
    """Reads one GraphQL request.

    Args:
        content: of a body, or the payload of a WebSocket's message.

    Raises:
        Refusal: its fields are of other types, its document cannot be read, or it would cost too much.
    """
    if not isinstance(content, dict):
        raise Refusal(400, f"{_FORM}, one request in each body")
    query, variables = content.get("query"), content.get("variables")
    if not isinstance(query, str):
        raise Refusal(400, _FORM)
    if variables is not None and not isinstance(variables, dict):
        raise Refusal(400, "send the variables as a JSON object, or leave them out")
    for name in ("operationName", "operation_name"):  # the second is what Dagster reads from WebSockets
        if not isinstance(content.get(name), str | None):
            raise Refusal(400, f"send {name} as text, or leave it out")
    document = parsed(query)
    refuse_costly(document)
    return GraphQLRequest(document, variables or {})


def parsed(query: str) -> DocumentNode:
    """The document of a query.

    Raises:
        Refusal: it is none, or too long.
    """
    try:
        return parse(query, no_location=True, max_tokens=MOST_TOKENS)
    except GraphQLError as error:
        problem = error.message.partition("\n")[0][:200]
        raise Refusal(
            400, f"the field query holds no GraphQL document that can be read: {problem}"
        ) from error
    except (RecursionError, ValueError) as error:
        raise Refusal(400, "the field query holds no GraphQL document that can be read") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
