"""Which strategies a server has, as its job tells."""

from __future__ import annotations

import json

from backtest_pipeline.model import tags
from backtest_pipeline.sdk import queries
from backtest_pipeline.sdk.refusals import refusal_of_answer
from backtest_pipeline.sdk.transport import GraphQL


def server_strategies(graphql: GraphQL) -> dict[str, str | None]:
    """Names with the digests of their code as the code server has loaded it; none where it has no sources.

    Raises:
        ServiceError: the server did not answer, has not loaded its code, or is too old to say.
    """
    selector = {
        "repositoryLocationName": tags.CODE_LOCATION,
        "repositoryName": tags.REPOSITORY,
        "pipelineName": tags.JOB,
    }
    answer = graphql.ask_patiently(queries.JOB, {"selector": selector})["pipelineOrError"]
    for entry in answer.get("metadataEntries", []):
        if entry["label"] == tags.STRATEGIES_OF_JOB and entry.get("jsonString"):
            return dict(json.loads(entry["jsonString"]))
    raise refusal_of_answer(graphql.url, answer)
