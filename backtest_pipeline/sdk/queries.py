"""The GraphQL documents that the client sends. They can be copied into any other client."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backtest_pipeline.model import tags

RUN_FIELDS = """
fragment RunFields on Run {
  runId
  rootRunId
  jobName
  status
  creationTime
  startTime
  endTime
  tags { key value }
}
"""

LAUNCH = (
    RUN_FIELDS
    + """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { ...RunFields } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PipelineNotFoundError { message }
    ... on InvalidSubsetError { message }
    ... on UnauthorizedError { message }
    ... on RunConflict { message }
    ... on NoModeProvidedError { message }
    ... on ConflictingExecutionParamsError { message }
    ... on PresetNotFoundError { message }
    ... on PythonError { message className }
  }
}
"""
)

TERMINATE = """
mutation Terminate($runId: String!, $policy: TerminateRunPolicy) {
  terminateRun(runId: $runId, terminatePolicy: $policy) {
    __typename
    ... on TerminateRunFailure { message }
    ... on RunNotFoundError { message }
    ... on UnauthorizedError { message }
    ... on PythonError { message }
  }
}
"""

PAGE = """
query Page($filter: RunsFilter, $cursor: String, $limit: Int) {
  runsOrError(filter: $filter, cursor: $cursor, limit: $limit) {
    __typename
    ... on Runs { results { runId rootRunId jobName creationTime } }
    ... on InvalidPipelineRunsFilterError { message }
    ... on PythonError { message }
  }
}
"""

_RUNS = """{
    __typename
    ... on Runs { results { ...RunFields } }
    ... on InvalidPipelineRunsFilterError { message }
    ... on PythonError { message }
  }"""

JOB = """
query Job($selector: PipelineSelector!) {
  pipelineOrError(params: $selector) {
    __typename
    ... on Pipeline { metadataEntries { label ... on JsonMetadataEntry { jsonString } } }
    ... on PipelineNotFoundError { message }
    ... on InvalidSubsetError { message }
    ... on PythonError { message }
  }
}
"""

READY = """
query Ready($location: String!) {
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  workspaceLocationEntryOrError(name: $location) {
    __typename
    ... on WorkspaceLocationEntry {
      loadStatus
      locationOrLoadError {
        __typename
        ... on PythonError { className message }
      }
    }
    ... on PythonError { message }
  }
}
"""


def attempts(task_ids: Sequence[str], tried_again: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """The document that asks for many tasks' runs at once, and its variables.

    Dagster finds later attempts by the tag of their root run, of which a filter takes one value, so each of
    `tried_again` has a field of its own (a few milliseconds each). Which tasks have been tried again is
    answered in `retried`: all values of that tag.

    Args:
        task_ids: the tasks; their root runs are answered in `roots`.
        tried_again: those whose later attempts are wanted, answered in `again0`, `again1`, ….
    """
    parameters = ["$taskIds: [String]", "$rootTag: String!"]
    parameters += [f"$task{number}: String!" for number in range(len(tried_again))]
    later = [
        f"  again{number}: runsOrError(filter: {{tags: [{{key: $rootTag, value: $task{number}}}]}}) {_RUNS}"
        for number in range(len(tried_again))
    ]
    document = [
        RUN_FIELDS,
        f"query Attempts({', '.join(parameters)}) {{",
        f"  roots: runsOrError(filter: {{runIds: $taskIds}}) {_RUNS}",
        *later,
        "  retried: runTagsOrError(tagKeys: [$rootTag]) {",
        "    __typename",
        "    ... on RunTags { tags { values } }",
        "    ... on PythonError { message }",
        "  }",
        "}",
    ]
    variables = {f"task{number}": task_id for number, task_id in enumerate(tried_again)}
    return "\n".join(document), {"taskIds": list(task_ids), "rootTag": tags.ROOT_RUN, **variables}
