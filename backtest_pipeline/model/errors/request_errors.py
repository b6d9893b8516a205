"""A request, or the strategy that it names, cannot be run as it stands."""

from __future__ import annotations

from collections.abc import Sequence

from backtest_pipeline.model.errors.backtest_error import BacktestError
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.model.source_place import SourcePlace


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

    def as_problems(self) -> list[tuple[str, str]]:
        """The problems for another `RequestInvalid`, which has the usual heading."""
        return self.problems


class StrategyUnknown(RequestInvalid):
    """No strategy has this name."""

    def __init__(self, name: str, known: Sequence[str], *, problem: str = "") -> None:
        self.name = name
        self.known = sorted(known)
        problem = problem or f"there is no {name!r}{did_you_mean(name, self.known)}"
        super().__init__([("strategy", f"{problem}; choose one of {', '.join(self.known)}")])


class StrategyNotOnServer(StrategyUnknown):
    """The service that would run a strategy does not have it, whoever else has."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(
            name,
            known,
            problem=f"the server has no {name!r}{did_you_mean(name, known)}; name its module in "
            "BACKTEST_STRATEGIES where the service runs, and start that again; `backtest strategies` says "
            "which the server has",
        )


class ParamsInvalid(RequestInvalid):
    """A strategy's parameters break its parameter model."""

    def __init__(self, strategy: str, problems: Sequence[tuple[str, str]], known: Sequence[str]) -> None:
        self.strategy = strategy
        self.known = list(known)
        takes = ", ".join(self.known) or "no parameters"
        super().__init__(problems, heading=f"{strategy} cannot use these parameters (it takes {takes})")

    def as_problems(self) -> list[tuple[str, str]]:
        """One problem, which says whose parameters these are."""
        return [("", str(self))]


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
    """A strategy returned something else than signals as long as its candles, or raised.

    Attributes:
        strategy: the strategy's name.
        problem: what it did.
        place: the line of its source that raised; None where it did not raise, or the line is not known.
    """

    def __init__(self, strategy: str, problem: str, place: SourcePlace | None = None) -> None:
        self.strategy = strategy
        self.problem = problem
        self.place = place
        super().__init__(f"strategy {strategy}: {problem}" + (f"; {place}" if place else ""))


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
