"""The record of a task: what was asked, on which candles, by which code, with what outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, PlainSerializer

from backtest_pipeline.model.market import CalendarsUsed
from backtest_pipeline.model.robustness import Robustness
from backtest_pipeline.model.task_kind import TaskKind, backtest_of

if TYPE_CHECKING:
    from backtest_pipeline.model.candles import Candles
    from backtest_pipeline.model.funding_rates import FundingRates
    from backtest_pipeline.model.request import BacktestRequest

FinalState = Literal["completed", "failed", "cancelled"]


def _iso_utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_empty(found: list[object]) -> bool:
    return not found


Moment = Annotated[AwareDatetime, PlainSerializer(_iso_utc, return_type=str, when_used="json")]
Metric = Annotated[float, Field(allow_inf_nan=False)] | None


def of_another_system(record: object) -> bool:
    """Whether a parsed `manifest.json` is none of ours, such as the predecessor's: ours name their schema."""
    return isinstance(record, dict) and bool(record) and "schema_version" not in record


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ResultFile(_Record):
    """A file in the task's folder, as it was when published."""

    name: str = Field(description="`signals`, `trades`, `equity`, …")
    path: str = Field(description="relative to the task's folder; with `/` where it lies in `best/`")
    kind: str = Field(description="`parquet`, `png` or `html`")
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    rows: int | None = Field(ge=0, description="rows of a table; null for anything else")


class CandleFingerprint(_Record):
    """The candles of one symbol that the backtest saw, traded or as its benchmark."""

    symbol: str
    rows: int = Field(ge=1)
    first: Moment
    last: Moment
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="over timestamps and columns, see Candles.fingerprint"
    )
    timeframe: str | None = Field(None, description="of a sweep's candles; null: the task's")
    calendar: str | None = Field(
        None, description="of a sweep's candles: the calendar that is recorded for them, null where none is"
    )
    warmup_rows: int = Field(
        0, ge=0, description="candles right before `first` that a strategy may have seen, and nobody traded"
    )
    warmup_sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="over these, as `sha256`; null: there are none"
    )

    @classmethod
    def of(cls, candles: Candles, warmup_rows: int = 0) -> Self:
        """The fingerprint of candles, of which there is at least one behind those of the warm-up."""
        traded = candles.slice(warmup_rows, len(candles)) if warmup_rows else candles
        warm_up = candles.slice(0, warmup_rows).fingerprint() if warmup_rows else None
        first, last = (stamp.item() for stamp in traded.timestamp[[0, -1]])
        return cls(
            symbol=traded.symbol,
            rows=len(traded),
            first=first.replace(tzinfo=UTC),
            last=last.replace(tzinfo=UTC),
            sha256=traded.fingerprint(),
            warmup_rows=warmup_rows,
            warmup_sha256=warm_up,
        )

    def has_bytes_of(self, other: Self) -> bool:
        """Whether both are of the same candles, to the last digit, those of the warm-up included."""
        return (self.sha256, self.warmup_sha256) == (other.sha256, other.warmup_sha256)


class FundingFingerprint(_Record):
    """The funding rates of one symbol that the backtest paid and received."""

    symbol: str
    rates: int = Field(ge=1)
    first: Moment
    last: Moment
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="over moments and rates, see FundingRates.fingerprint"
    )

    @classmethod
    def of(cls, rates: FundingRates) -> Self:
        """The fingerprint of funding rates, of which there is at least one."""
        first, last = (stamp.item().replace(tzinfo=UTC) for stamp in rates.timestamp[[0, -1]])
        return cls(symbol=rates.symbol, rates=len(rates), first=first, last=last, sha256=rates.fingerprint())


class Timestamps(_Record):
    """When things happened, UTC."""

    submitted_at: Moment
    started_at: Moment | None
    finished_at: Moment
    expires_at: Moment | None = Field(description="when the results may be deleted; null: never")


class Summary(_Record):
    """Counts at a glance."""

    total_signals: int = Field(ge=0)
    total_trades: int = Field(ge=0)
    symbols_processed: int = Field(ge=0)
    symbols_failed: int = Field(ge=0)
    trials: dict[str, int] | None = Field(
        None, description="of a search: how many trials completed, failed, were invalid, and rank"
    )
    folds: int | None = Field(None, description="of a walk-forward: how many, or combinations of them")
    best_trial: int | None = Field(
        None, description="of a sweep: the trial of rank 1, whose signals, trades and metrics these are"
    )


class TaskErrorRecord(_Record):
    """Why a task did not complete."""

    type: str = Field(description="name of the error's class")
    message: str
    retryable: bool
    stage: str = Field(description="what the pipeline was doing")
    file: str | None = Field(None, description="the strategy's file where it raised; null: it did not raise")
    line: int | None = Field(None, ge=1, description="number of the line there, from 1")
    source: str | None = Field(None, description="what stands in that line")


class Environment(_Record):
    """The code and machine that computed the result."""

    backtest_pipeline: str
    python: str
    dagster: str
    numpy: str
    pandas: str
    pyarrow: str
    numba: str
    platform: str
    host: str
    code_sha256: str | None = Field(
        None,
        description="over the sources that decide a result, the strategy's own among them; null: not known",
    )
    submitted_code_sha256: str | None = Field(
        None,
        description="the same of the submitter's sources; null: not stated, as by the web UI",
    )


class Manifest(_Record):
    """`manifest.json`, schema version 1. Its presence says that every listed file is there, whole."""

    schema_version: Literal[1] = 1
    kind: TaskKind = "backtest"
    task_id: str
    user: str | None = Field(
        None,
        description="who submitted the task, by the guard's word, or by the submitter's own where nobody is "
        "asked; null: not said, or the version did not record it",
    )
    status: FinalState
    strategy_id: str
    params: dict[str, JsonValue]
    symbols: list[str]
    timeframe: str
    start: str | None
    end: str | None
    request: dict[str, JsonValue]
    request_digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    result_files: list[ResultFile]
    candles: list[CandleFingerprint]
    detail_candles: list[CandleFingerprint] = Field(
        default_factory=list,
        exclude_if=_is_empty,
        description="the finer candles that decided what came first inside a bar, each with its timeframe; "
        "left out where `detail_timeframe` asked for none",
    )
    funding_rates: list[FundingFingerprint] = Field(
        default_factory=list,
        exclude_if=_is_empty,
        description="left out where `funding` is not asked for",
    )
    timestamps: Timestamps
    duration_ms: int = Field(ge=0)
    attempt: int = Field(ge=1)
    run_ids: list[str] = Field(min_length=1, description="the task's Dagster runs, oldest first")
    summary: Summary
    metrics: dict[str, Metric]
    by_symbol: dict[str, dict[str, Metric]]
    calendars: CalendarsUsed | None = Field(
        None,
        description="by which the account and each symbol were annualised; null: no result, or of a version "
        "that did not record it",
    )
    checks: dict[str, Any]
    diagnostics: list[str]
    pinned: bool
    environment: Environment
    error: TaskErrorRecord | None
    robustness: Robustness | None = Field(
        None,
        description="statistics that tell luck from skill, added after the task has completed; null: not "
        "yet, or not completed",
    )

    @property
    def benchmark(self) -> str | None:
        """The symbol that the account is measured against; `None`: buy and hold of its own."""
        asked = backtest_of(self.request).get("benchmark")
        return asked if isinstance(asked, str) else None

    @property
    def traded_candles(self) -> list[CandleFingerprint]:
        """The candles of the symbols that were traded; `candles` has those of the benchmark as well."""
        return [seen for seen in self.candles if seen.symbol in self.symbols]

    def candles_of(self, request: BacktestRequest) -> list[CandleFingerprint]:
        """The candles that one backtest of the task traded: of its symbols, in its timeframe."""
        return [
            seen
            for seen in self.candles
            if seen.symbol in request.symbols and seen.timeframe in {None, request.timeframe}
        ]

    def to_json(self) -> str:
        """The manifest as it stands in `manifest.json`."""
        return self.model_dump_json(indent=2) + "\n"
