"""Refusals for `DagsterGraphQLClient`, which shows the sentence of typed answers alone.

Of an answer with `errors` its exception repeats the query and hides the sentence in its cause. Its operations
are named `GraphQLClient…` and ask one field each (dagster-graphql 1.13).
"""

from __future__ import annotations

from graphql import FieldNode

from backtest_pipeline.web.access.graphql_documents import GraphQLRequest
from backtest_pipeline.web.access.refusal import Refusal

_PREFIX = "GraphQLClient"
_FORBIDDEN = 403
_SEVERAL = "terminateRuns"
_WITHOUT_UNAUTHORIZED = "shutdownRepositoryLocation"


def typed_refusal(request: GraphQLRequest, refusal: Refusal) -> dict[str, object] | None:
    """The `data` of a refusal as that client reads it; None for all other clients, which read `errors`."""
    operations = list(request.operations)
    if len(operations) != 1:
        return None
    [operation] = operations
    selections = operation.selection_set.selections
    if operation.name is None or not operation.name.value.startswith(_PREFIX) or len(selections) != 1:
        return None
    [field] = selections
    if not isinstance(field, FieldNode) or field.alias is not None:
        return None
    name = field.name.value
    unauthorized = refusal.status == _FORBIDDEN and name != _WITHOUT_UNAUTHORIZED
    error = {
        "__typename": "UnauthorizedError" if unauthorized else "PythonError",
        "message": refusal.sentence,
    }
    if name == _SEVERAL:
        return {name: {"__typename": "TerminateRunsResult", "terminateRunResults": [error]}}
    return {name: error}
