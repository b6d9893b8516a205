"""What a viewer may send: GraphQL documents that only read."""

from __future__ import annotations

import json
from typing import Any

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

from backtest_pipeline.web.refusal import Refusal

_MOST_TOKENS = 20_000
_READ_ONLY = "viewers only read; ask the operator for a token of the role full to start or change something"


def refuse_mutations(body: bytes) -> None:
    """Looks at every operation of every document of a GraphQL request.

    The name of the operation to run is ignored: a mutation is refused wherever it stands.

    Raises:
        Refusal: one of them would change something, or cannot be read at all.
    """
    _refuse_in(_json(body))


def refuse_mutation_message(text: str) -> None:
    """The same for one message of a GraphQL WebSocket.

    Raises:
        Refusal: as above.
    """
    message = _json(text)
    if not isinstance(message, dict):
        raise Refusal(400, "send GraphQL messages as JSON objects")
    if message.get("type") in {"start", "subscribe"}:
        _refuse_in(message.get("payload"))


def _refuse_in(content: Any) -> None:
    for one in content if isinstance(content, list) else [content]:
        query = one.get("query") if isinstance(one, dict) else None
        if not isinstance(query, str):
            raise Refusal(400, "send a JSON object with the GraphQL document in the field query")
        try:
            document = parse(query, no_location=True, max_tokens=_MOST_TOKENS)
        except (GraphQLError, RecursionError) as error:
            raise Refusal(400, "the field query holds no GraphQL document that can be read") from error
        for definition in document.definitions:
            if (
                isinstance(definition, OperationDefinitionNode)
                and definition.operation == OperationType.MUTATION
            ):
                raise Refusal(403, _READ_ONLY)


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the body is no JSON; send a JSON object with the field query") from error
