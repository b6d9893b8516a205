"""The folds of a walk-forward as its report shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from backtest_pipeline.model.metric_catalog import shown
from backtest_pipeline.reports.sweep_axes import value_text

if TYPE_CHECKING:
    from datetime import datetime

    from backtest_pipeline.model.walk_forward_request import WalkForwardRequest


@dataclass(frozen=True, slots=True)
class FoldRow:
    """One fold and test part.

    Attributes:
        fold: its number.
        train_start, train_end, test_start, test_end: UTC.
        trial: that was chosen; none where none ranks.
        chosen: what varies in it, for people, by name.
        in_sample, out_of_sample: the objective; none where there is none.
        total_return: of the test; none where nothing was traded.
        metrics: a few of the test, for people, by name.
    """

    fold: int
    train_start: datetime
    train_end: datetime
    test_start: datetime
    test_end: datetime
    trial: int | None
    chosen: dict[str, str]
    in_sample: float | None
    out_of_sample: float | None
    total_return: float | None
    metrics: dict[str, str]

    @property
    def outcome(self) -> str:
        """`win`, `lose`, or `flat` where nothing was traded."""
        if self.total_return is None:
            return "flat"
        return "win" if self.total_return > 0.0 else "lose"

    @property
    def train_text(self) -> str:
        """The training for people."""
        return f"fold {self.fold}: training {_days(self.train_start, self.train_end)}"

    @property
    def test_text(self) -> str:
        """The test for people."""
        earned = "nothing traded" if self.total_return is None else shown("total_return", self.total_return)
        chosen = "".join(f"; {name} {value}" for name, value in self.chosen.items())
        return f"fold {self.fold}: test {_days(self.test_start, self.test_end)}, {earned}{chosen}"


SHOWN_METRICS = ("total_return", "sharpe", "max_drawdown", "trades")


def fold_rows(folds: pd.DataFrame, request: WalkForwardRequest) -> Iterator[FoldRow]:
    """The rows of the table of folds."""
    for record in folds.to_dict("records"):
        row = {str(name): _plain(value) for name, value in record.items()}
        traded = row["trial"] is not None
        yield FoldRow(
            fold=row["fold"],
            train_start=row["train_start"].to_pydatetime(),
            train_end=row["train_end"].to_pydatetime(),
            test_start=row["test_start"].to_pydatetime(),
            test_end=row["test_end"].to_pydatetime(),
            trial=row["trial"],
            chosen={key: value_text(row[key]) for key in request.sweep.space} if traded else {},
            in_sample=row["in_sample_objective"],
            out_of_sample=row["out_of_sample_objective"],
            total_return=row["out_of_sample_total_return"],
            metrics={name: shown(name, row[f"out_of_sample_{name}"]) for name in SHOWN_METRICS},
        )


def _plain(value: Any) -> Any:
    if value is None or (not isinstance(value, list | tuple) and pd.isna(value)):
        return None
    return value.item() if hasattr(value, "item") else value


def _days(start: datetime, end: datetime) -> str:
    return f"{start:%Y-%m-%d} to {end:%Y-%m-%d}"
