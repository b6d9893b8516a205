"""Tasks that run or wait, above the table of results."""

from __future__ import annotations

from dataclasses import dataclass, field

from backtest_pipeline.results.task_filter import TaskFilter
from backtest_pipeline.web.pages.html_document import name_of, outside, wide
from backtest_pipeline.web.pages.wording import Wording


@dataclass(frozen=True, slots=True)
class LiveTask:
    """A task that has not ended.

    Attributes:
        task_id: the task.
        run_id: its newest attempt.
        kind: `backtest`, `sweep` or `walk_forward`.
        state: `queued` or `running`.
        progress: share of the work done.
        stage: what is being done, for people.
        strategy: the strategy's name, empty where the request names none.
        symbols: those that the run's tags name.
        labels: of the request.
        user: who submitted it, empty where nobody had to say.
        submitted_at: ISO 8601 in UTC.
    """

    task_id: str
    run_id: str
    kind: str
    state: str
    progress: float
    stage: str
    strategy: str
    symbols: list[str]
    user: str
    submitted_at: str
    labels: dict[str, str] = field(default_factory=dict)

    def fits(self, wanted: TaskFilter) -> bool:
        """Whether a table's filters let it through, as far as they speak of what is known before the end."""
        entries = {f"{name}={value}" for name, value in self.labels.items()}
        return (
            wanted.kind in {"", self.kind}
            and wanted.strategy in {"", self.strategy}
            and (not wanted.symbol or wanted.symbol in self.symbols)
            and wanted.user in {"", self.user}
            and wanted.state in {"", self.state}
            and (not wanted.since or self.submitted_at[:10] >= wanted.since)
            and (not wanted.until or self.submitted_at[:10] <= wanted.until)
            and set(wanted.labels) <= entries
        )


def live_rows(tasks: list[LiveTask], words: Wording, prefix: str, *, may_act: bool) -> str:
    """The table's HTML, which the page's script fetches again and again."""
    if not tasks:
        return f'<p class="note">{words("Nothing runs or waits.")}</p>'
    rows = "".join(_row(task, words, prefix, may_act=may_act) for task in tasks)
    return wide(f"<table><tbody>{rows}</tbody></table>", words)


def _row(task: LiveTask, words: Wording, prefix: str, *, may_act: bool) -> str:
    cancel = (
        f'<button type="button" data-action="cancel" data-run="{outside(task.run_id)}">'
        f"{words('Cancel')}</button>"
        if may_act
        else ""
    )
    done = f'<progress max="1" value="{task.progress:.2f}">{task.progress:.0%}</progress>'
    return (
        f'<tr><th scope="row"><a href="{outside(prefix)}/runs/{outside(task.run_id)}">'
        f"{name_of(task.strategy or task.task_id)}</a></th><td>{words(task.kind)}</td>"
        f'<td class="long">{name_of(", ".join(task.symbols[:5]))}</td>'
        f"<td>{words(task.state)}</td><td>{done} {task.progress:.0%}</td>"
        f'<td class="long">{name_of(task.stage)}</td>'
        f"<td>{name_of(task.user)}</td><td>{cancel}</td></tr>"
    )
