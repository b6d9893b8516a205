"""The command line's client, and what it prints while it works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from backtest_pipeline.cli.asking import ANSWERED
from backtest_pipeline.cli.output import stderr
from backtest_pipeline.model.errors import ServiceError
from backtest_pipeline.sdk.client import BacktestClient
from backtest_pipeline.sdk.reachable import FIRST_CONTACT_S


def connected(*, patience_s: float = 10.0) -> BacktestClient:
    """A client that says once on stderr when it has to try again, which it does for so many seconds.

    A server that has not answered yet is mostly one that was not started, which is said within two seconds.
    """
    reported: list[ServiceError] = []

    def report(error: ServiceError) -> None:
        if not reported:
            reported.append(error)
            stderr.print(f"trying again: {error}", highlight=False, markup=False, soft_wrap=True)

    return BacktestClient(
        on_retry=report, patience_s=patience_s, first_patience_s=min(patience_s, FIRST_CONTACT_S)
    )


@contextmanager
def told_that_they_go_on(task_ids: Sequence[str]) -> Iterator[None]:
    """Says, when Ctrl-C ends the waiting, that the tasks go on and how to cancel them."""
    try:
        yield
    except KeyboardInterrupt:
        goes = "goes" if len(task_ids) == 1 else "go"
        lines = [
            f"task {task_id} {goes} on; cancel it with: backtest cancel {task_id}" for task_id in task_ids
        ]
        stderr.print("\n" + "\n".join(lines), highlight=False, markup=False, soft_wrap=True)
        raise KeyboardInterrupt(ANSWERED) from None
