"""All runs of many tasks, in as few requests as can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backtest_pipeline.sdk import queries
from backtest_pipeline.sdk.refusals import refusal_of_answer
from backtest_pipeline.sdk.states import Run
from backtest_pipeline.sdk.transport import GraphQL

MOST_TASKS = 200


class TaskRuns:
    """Finds the runs of tasks: one request for up to 200 of them.

    It remembers which tasks have been tried again; only where it learns that from an answer, it has to ask
    once more for those tasks.
    """

    def __init__(self, graphql: GraphQL) -> None:
        """Prepares; nothing is sent yet."""
        self._graphql = graphql
        self._retried: frozenset[str] = frozenset()

    def of(self, task_ids: Iterable[str]) -> dict[str, list[Run]]:
        """The runs of each task that the server knows; the id of any attempt stands for its task.

        Raises:
            ServiceError: the server did not answer, or not with runs.
        """
        wanted = list(dict.fromkeys(task_ids))
        found: dict[str, list[Run]] = {}
        for first in range(0, len(wanted), MOST_TASKS):
            batch = wanted[first : first + MOST_TASKS]
            found |= self._batch(batch, [task_id for task_id in batch if task_id in self._retried])
        return found

    def _batch(self, task_ids: Sequence[str], again: Sequence[str]) -> dict[str, list[Run]]:
        data = self._graphql.ask_patiently(*queries.attempts(task_ids, again))
        self._retried = retried = self._tasks_with_retries(data["retried"])
        roots = {run["runId"]: run for run in self.runs(data["roots"])}
        found = {task_id: [roots[task_id]] for task_id in task_ids if task_id in roots}
        for number, task_id in enumerate(again):
            if task_id in found:
                found[task_id] += self.runs(data[f"again{number}"])
        news = [task_id for task_id in found if task_id in retried and task_id not in again]
        if news:
            found |= self._batch(news, news)
        return found | self._of_later_attempts(roots)

    def _of_later_attempts(self, runs: Mapping[str, Run]) -> dict[str, list[Run]]:
        """Where the id of a later attempt was asked for: its task's runs."""
        task_of = {run_id: str(run["rootRunId"]) for run_id, run in runs.items() if run["rootRunId"]}
        if not task_of:
            return {}
        tasks = self.of(task_of.values())
        return {run_id: tasks[task_id] for run_id, task_id in task_of.items() if task_id in tasks}

    def runs(self, answer: Mapping[str, Any]) -> list[Run]:
        """The runs in an answer.

        Raises:
            ServerRefused: it holds none.
        """
        if answer["__typename"] != "Runs":
            raise refusal_of_answer(self._graphql.url, answer)
        return list(answer["results"])

    def _tasks_with_retries(self, answer: Mapping[str, Any]) -> frozenset[str]:
        if answer["__typename"] != "RunTags":
            raise refusal_of_answer(self._graphql.url, answer)
        return frozenset(value for tag in answer["tags"] for value in tag["values"])
