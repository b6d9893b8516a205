"""All runs of many tasks, in as few requests as can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backtest_pipeline.sdk import queries
from backtest_pipeline.sdk.refusals import refusal_of_answer
from backtest_pipeline.sdk.states import Run, task_of
from backtest_pipeline.sdk.transport import GraphQL

MOST_TASKS = 200


class TaskRuns:
    """Finds the runs of tasks: one request for up to 200 of them."""

    def __init__(self, graphql: GraphQL) -> None:
        """Prepares; nothing is sent yet."""
        self._graphql = graphql

    def of(self, task_ids: Iterable[str]) -> dict[str, list[Run]]:
        """The runs of each task that the server knows; the id of any attempt stands for its task.

        Raises:
            ServiceError: the server did not answer.
        """
        wanted = list(dict.fromkeys(task_ids))
        found: dict[str, list[Run]] = {}
        for first in range(0, len(wanted), MOST_TASKS):
            batch = wanted[first : first + MOST_TASKS]
            answer = self._graphql.ask_patiently(queries.TASK_RUNS, {"taskIds": batch})
            found |= _by_id(batch, answer["taskRuns"])
        return found

    def runs(self, answer: Mapping[str, Any]) -> list[Run]:
        """The runs in an answer.

        Raises:
            ServerRefused: it holds none.
        """
        if answer["__typename"] != "Runs":
            raise refusal_of_answer(self._graphql.url, answer)
        return list(answer["results"])


def _by_id(task_ids: Iterable[str], runs: Sequence[Run]) -> dict[str, list[Run]]:
    """All runs of the task of each id; of one whose root is gone, nothing is known."""
    of_task: dict[str, list[Run]] = {}
    for run in runs:
        of_task.setdefault(task_of(run), []).append(run)
    task_by_id = {str(run["runId"]): task_of(run) for run in runs}
    tasks = {task_id: task_by_id.get(task_id) for task_id in task_ids}
    return {task_id: of_task[task] for task_id, task in tasks.items() if task in task_by_id}
