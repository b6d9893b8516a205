"""Workers on several machines, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from backtest_pipeline.model.errors.backtest_error import BacktestError


class WorkerUnfit(BacktestError):
    """A machine that would compute something else than the one that asks it.

    Attributes:
        host: the machine.
        differs: what is not the same there, in words.
    """

    retryable = True

    def __init__(self, host: str, differs: str) -> None:
        self.host = host
        self.differs = differs
        super().__init__(
            f"a worker on {host} would not compute the same, as {differs} there; bring its packages, its "
            "strategies and DATA_ROOT to what the others have, and start `backtest worker` there again"
        )


class BrokerUnusable(BacktestError):
    """What `BACKTEST_BROKER_URL` names cannot be used here.

    Attributes:
        problem: why, with what to do.
    """

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


class VolumeUnfit(BacktestError):
    """Results would not be safe on the volume.

    Attributes:
        root: the volume.
        problems: what is wrong with it, a sentence each.
    """

    def __init__(self, root: Path, problems: Sequence[str]) -> None:
        self.root = root
        self.problems = list(problems)
        super().__init__(
            f"results would not be safe in {root}: {'; '.join(self.problems)}; docs/deployment.md says what "
            "a shared volume must offer"
        )
