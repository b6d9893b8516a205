"""What GraphQL requests must be before Dagster sees them, over HTTP and WebSockets alike."""

from __future__ import annotations

from typing import Any

from graphql import OperationType

from backtest_pipeline.web.access.graphql_documents import GraphQLRequest, parsed, read_json, read_request
from backtest_pipeline.web.access.identity import Role
from backtest_pipeline.web.access.launch_requests import KnowsRun, refuse_bad_launch
from backtest_pipeline.web.access.refusal import Refusal
from backtest_pipeline.web.access.typed_refusals import typed_refusal

_READ_ONLY = "viewers only read; ask the operator for a token of the role full to start or change something"


class GraphQLGate:
    """Lets requests through that Dagster can answer and their sender may make."""

    def __init__(self, knows_run: KnowsRun | None = None) -> None:
        """Notes who knows whether there is a run of an id; `None`: nobody."""
        self._knows_run = knows_run

    def check_body(self, body: bytes, role: Role) -> None:
        """Looks at the body of an HTTP request.

        Raises:
            Refusal: it is no JSON object with one request, costs too much, would change something though its
                sender only reads, or asks for a run that cannot be.
        """
        content = read_json(body)
        if isinstance(content, list) and role == "viewer":  # which is refused in any case
            for one in content:
                _refuse_mutation_among(one)
        self._check(content, role, over_http=True)

    def check_message(self, text: str, role: Role) -> None:
        """Looks at one message of a WebSocket in the protocol `graphql-ws`.

        Raises:
            Refusal: it is no message of that protocol, or its request is refused as above.
        """
        message = read_json(text)
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Refusal(400, "send GraphQL messages as JSON objects with the field type, see graphql-ws")
        if not isinstance(message.get("id"), str | int | None):
            raise Refusal(400, "send the id of a message as text")
        if message["type"] in {"start", "subscribe"}:
            self._check(message.get("payload"), role, over_http=False)

    def _check(self, content: Any, role: Role, *, over_http: bool) -> None:
        request = read_request(content)
        if over_http and any(one.operation == OperationType.SUBSCRIPTION for one in request.operations):
            raise Refusal(400, "send subscriptions over a WebSocket (graphql-ws), or ask with a query")
        try:
            if role == "viewer":
                refuse_mutations(request)
            refuse_bad_launch(request, self._knows_run)
        except Refusal as refusal:
            data = typed_refusal(request, refusal)
            raise Refusal(refusal.status, refusal.sentence, refusal.headers, data) from refusal


def refuse_mutations(request: GraphQLRequest) -> None:
    """Looks at every operation; the name of the one to run is ignored.

    Raises:
        Refusal: one of them would change something.
    """
    if request.changes_something:
        raise Refusal(403, _READ_ONLY)


def _refuse_mutation_among(content: Any) -> None:
    query = content.get("query") if isinstance(content, dict) else None
    if isinstance(query, str):
        refuse_mutations(GraphQLRequest(parsed(query), {}))
