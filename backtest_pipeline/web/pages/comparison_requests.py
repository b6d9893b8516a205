"""`/results/compare`: which page stands some ticked tasks side by side, or why none can."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.responses import Response

from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.results.completed_walk_forwards import account_of
from backtest_pipeline.web.pages.comparison_page import comparison_page
from backtest_pipeline.web.pages.html_document import document, outside
from backtest_pipeline.web.pages.result_pages import report_answer
from backtest_pipeline.web.pages.wording import Wording

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backtest_pipeline.model.result import BacktestResult
    from backtest_pipeline.results.task_store import TaskStore

    Benchmark = Callable[[BacktestResult], NDArray[np.float64] | None]

CompareSweeps = Callable[[Sequence[str]], str]
MOST_COMPARED = 8


def comparison_answer(
    query_string: bytes,
    store: TaskStore,
    words: Wording,
    prefix: str,
    *,
    benchmark: Benchmark | None,
    compare_sweeps: CompareSweeps | None,
) -> Response:
    """The page that compares the tasks of an address, eight at most.

    Backtests are compared on a page of ours; sweeps by the same page as `backtest compare` makes.

    Args:
        query_string: `task=ID` for each.
        store: of the tasks.
        words: the reader's language.
        prefix: the path prefix of the server.
        benchmark: as `ResultsApp` has it.
        compare_sweeps: likewise.
    """
    asked = [value for name, value in parse_qsl(query_string.decode("latin-1")) if name == "task"]
    task_ids = list(dict.fromkeys(asked))[:MOST_COMPARED]
    kinds, problems = _kinds(store, task_ids)
    if set(kinds.values()) == {"sweep"} and compare_sweeps is not None:
        try:
            return report_answer(compare_sweeps(list(kinds)))
        except (BacktestError, OSError, ValueError) as error:
            return _refusal([str(error)], words("These sweeps cannot be compared:"), words, prefix)
    if len(set(kinds.values())) > 1 and "sweep" in kinds.values():
        hint = words("Backtests and sweeps do not stand side by side: tick one kind.")
        return _refusal(problems, hint, words, prefix)
    results: dict[str, BacktestResult] = {}
    for task_id in kinds:
        try:
            results[task_id] = account_of(store, task_id)
        except (BacktestError, OSError, ValueError) as error:
            problems.append(f"{task_id}: {error}")
    if not results:
        hint = words("Tick two to eight completed backtests, or sweeps, to compare them.")
        return _refusal(problems, hint, words, prefix)
    curves = {task_id: benchmark(one) for task_id, one in results.items()} if benchmark else {}
    known = {task_id: curve for task_id, curve in curves.items() if curve is not None}
    return document(words("Compare"), comparison_page(results, known, problems, words, prefix), words, prefix)


def _kinds(store: TaskStore, task_ids: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The kind of each task that there is, and what is wrong with the others."""
    kinds, problems = dict[str, str](), list[str]()
    for task_id in task_ids:
        try:
            kinds[task_id] = store.manifest(task_id).kind
        except (BacktestError, OSError, ValueError) as error:
            problems.append(f"{task_id[:36]}: {error}")
    return kinds, problems


def _refusal(problems: Sequence[str], hint: str, words: Wording, prefix: str) -> Response:
    notes = "".join(f'<p class="note warning">{outside(problem)}</p>' for problem in problems)
    return document(words("Compare"), f"<p>{hint}</p>{notes}", words, prefix, 400)
