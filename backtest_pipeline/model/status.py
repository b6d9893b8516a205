"""Where a task stands, as users see it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from backtest_pipeline.model.task_kind import TaskKind

TaskState = Literal["queued", "running", "completed", "failed", "cancelled"]
WAITING_STAGE = "waiting for a free worker"
FINAL_STATES: frozenset[TaskState] = frozenset({"completed", "failed", "cancelled"})

STATE_OF: Mapping[str, TaskState] = {
    "NOT_STARTED": "queued",
    "QUEUED": "queued",
    "MANAGED": "queued",
    "STARTING": "running",
    "STARTED": "running",
    "SUSPENDED": "running",
    "CANCELING": "running",
    "SUCCESS": "completed",
    "FAILURE": "failed",
    "CANCELED": "cancelled",
}
"""The state that a run's status stands for, by Dagster's name of it; a failed run that will be retried is
queued all the same."""


class TaskStatus(BaseModel):
    """The state of a task's newest attempt; a failed attempt that will be retried counts as queued."""

    model_config = ConfigDict(frozen=True)

    task_id: str
    kind: TaskKind = Field("backtest", description="what was asked for")
    state: TaskState
    progress: float = Field(ge=0, le=1, description="share of the work done")
    stage: str = Field(description="what is being done, for people")
    attempt: int = Field(ge=1)
    result_path: str | None = Field(description="the task's folder, once results are published")
    error: str | None = Field(description="why the task failed; null otherwise")
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    strategy: str | None
    symbols: list[str]
    labels: Mapping[str, str]
    code_sha256: str | None = Field(
        None, description="the code that runs or ran, as in the manifest; null until a worker has begun"
    )
    submitted_code_sha256: str | None = Field(
        None, description="the code that the submitter had; null: not stated, as by the web UI"
    )

    @property
    def final(self) -> bool:
        """Whether the task has ended."""
        return self.state in FINAL_STATES
