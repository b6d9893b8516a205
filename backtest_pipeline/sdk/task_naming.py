"""Which of the server's tasks somebody means who writes the beginning of an id, or `last`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from backtest_pipeline.model.errors import TaskAmbiguous, TaskUnknown
from backtest_pipeline.model.status import TaskStatus
from backtest_pipeline.model.task_names import LAST, beginning_of, may_begin_id, written_name
from backtest_pipeline.results.stored_ids import stored_id
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.sdk.listing import pages
from backtest_pipeline.sdk.states import task_of
from backtest_pipeline.sdk.task_runs import MOST_TASKS, TaskRuns
from backtest_pipeline.sdk.transport import GraphQL

_MOST_PAGES = 50


def whole_id(
    graphql: GraphQL,
    task_runs: TaskRuns,
    store: TaskStore,
    text: str,
    newest: Callable[..., list[TaskStatus]],
) -> str:
    """Return the whole id of the task that `text` names; what is no beginning of an id is handed back.

    A folder of results that has the one task is believed without asking the server.

    Args:
        graphql: speaks to the server.
        task_runs: reads its answers.
        store: the client's own folder of results.
        text: what somebody wrote.
        newest: lists the newest tasks.

    Raises:
        TaskUnknown, TaskAmbiguous: no task, or more than one, is named so.
        RequestInvalid: `text` is none.
        ServiceError: the server did not answer.
    """
    if written_name(text) == LAST:
        tasks = newest(limit=1)
        if not tasks:
            raise TaskUnknown(text, f" on the server at {graphql.url}")
        return tasks[0].task_id
    if not may_begin_id(text):
        return text
    found = stored_id(store.layout, text) or id_on_server(graphql, task_runs, text)
    if found is None:
        raise TaskUnknown(text, f" on the server at {graphql.url}")
    return found


def id_on_server(graphql: GraphQL, task_runs: TaskRuns, text: str) -> str | None:
    """Return the id of the newest task that has an attempt whose id begins with `text`; None without any.

    Runs come newest first, and looking ends with the page (of 200) that has one, or after 10,000 runs.

    Raises:
        TaskUnknown: `text` cannot be the beginning of an id.
        TaskAmbiguous: several tasks' are on that page.
        ServiceError: the server did not answer.
    """
    beginning = beginning_of(text)
    for page in islice(pages(graphql, task_runs, {}, MOST_TASKS), _MOST_PAGES):
        found = sorted({task_of(run) for run in page if str(run["runId"]).startswith(beginning)})
        if len(found) > 1:
            raise TaskAmbiguous(text, found)
        if found:
            return found[0]
    return None
