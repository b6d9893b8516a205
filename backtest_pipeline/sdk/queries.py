"""The GraphQL documents that the client sends. They can be copied into any other client."""

from __future__ import annotations

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

_LAUNCHED = """{
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
  }"""

LAUNCH = f"""{RUN_FIELDS}
mutation Launch($params: ExecutionParams!) {{
  launchRun(executionParams: $params) {_LAUNCHED}
}}
"""

LAUNCH_MANY = f"""{RUN_FIELDS}
mutation LaunchMany($params: [ExecutionParams!]!) {{
  launchMultipleRuns(executionParamsList: $params) {{
    __typename
    ... on LaunchMultipleRunsResult {{ launchMultipleRunsResult {_LAUNCHED} }}
    ... on PythonError {{ message className }}
  }}
}}
"""

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

TASK_RUNS = """
query TaskRuns($taskIds: [String!]!) {
  taskRuns(taskIds: $taskIds)
}
"""
