"""The GraphQL documents that the client sends. They can be copied into any other client."""

from __future__ import annotations

RUN_FIELDS = """
fragment RunFields on Run {
  runId
  rootRunId
  status
  creationTime
  startTime
  endTime
  tags { key value }
}
"""

LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PipelineNotFoundError { message }
    ... on InvalidSubsetError { message }
    ... on UnauthorizedError { message }
    ... on RunConflict { message }
    ... on NoModeProvidedError { message }
    ... on ConflictingExecutionParamsError { message }
    ... on PresetNotFoundError { message }
    ... on PythonError { message }
  }
}
"""

TASK = (
    RUN_FIELDS
    + """
query Task($taskId: ID!) {
  runGroupOrError(runId: $taskId) {
    __typename
    ... on RunGroup { rootRunId runs { ...RunFields } }
    ... on RunGroupNotFoundError { message }
    ... on PythonError { message }
  }
}
"""
)

TASKS = (
    RUN_FIELDS
    + """
query Tasks($filter: RunsFilter, $cursor: String, $limit: Int) {
  runsOrError(filter: $filter, cursor: $cursor, limit: $limit) {
    __typename
    ... on Runs { results { ...RunFields } }
    ... on InvalidPipelineRunsFilterError { message }
    ... on PythonError { message }
  }
}
"""
)

READY = """
query Ready($location: String!) {
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
  workspaceLocationEntryOrError(name: $location) {
    __typename
    ... on WorkspaceLocationEntry {
      loadStatus
      locationOrLoadError {
        __typename
        ... on PythonError { message }
      }
    }
    ... on PythonError { message }
  }
}
"""
