"""A request, or the strategy that it names, cannot be run as it stands."""

from __future__ import annotations

from collections.abc import Sequence

from backtest_pipeline.model.errors.backtest_error import BacktestError


class RequestInvalid(BacktestError):
    """A request breaks one or more rules.

    Attributes:
        problems: `(field, what is wrong with it)` pairs, at least one.
    """

    def __init__(
        self, problems: Sequence[tuple[str, str]], *, heading: str = "this request cannot be run"
    ) -> None:
        self.problems = list(problems)
        lines = "; ".join(f"{field}: {problem}" if field else problem for field, problem in self.problems)
        super().__init__(f"{heading}: {lines}")


class StrategyUnknown(RequestInvalid):
    """No strategy has this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = sorted(known)
        super().__init__([("strategy", f"there is no {name!r}; choose one of {', '.join(self.known)}")])


class ParamsInvalid(RequestInvalid):
    """A strategy's parameters break its parameter model."""

    def __init__(self, strategy: str, problems: Sequence[tuple[str, str]], known: Sequence[str]) -> None:
        self.strategy = strategy
        self.known = list(known)
        takes = ", ".join(self.known) or "no parameters"
        super().__init__(problems, heading=f"{strategy} cannot use these parameters (it takes {takes})")


class CodeDiffers(BacktestError):
    """A strategy's code here is not the submitter's, or no longer what is on disk; nothing was run.

    Attributes:
        strategy: the strategy's name.
        ours: digest of the code that would have run.
        wanted: digest of the submitter's code, or of what is on disk; `None` where that is not known.
    """

    def __init__(self, strategy: str, ours: str | None, wanted: str | None, problem: str) -> None:
        self.strategy = strategy
        self.ours = ours
        self.wanted = wanted
        super().__init__(f"{strategy}: {problem}")


class StrategyFaulty(BacktestError):
    """A strategy returned something else than signals as long as its candles, or raised."""

    def __init__(self, strategy: str, problem: str) -> None:
        self.strategy = strategy
        self.problem = problem
        super().__init__(f"strategy {strategy}: {problem}")


class TrialsFailed(BacktestError):
    """Trials of a sweep were run, and every one failed.

    Attributes:
        trials: how many failed.
        first: number of the first of them.
        problem: its message.
    """

    def __init__(self, trials: int, first: int, problem: str) -> None:
        self.trials = trials
        self.first = first
        self.problem = problem
        super().__init__(
            f"all {trials:,} trials that were run failed, the first of them trial {first}: {problem}"
        )
