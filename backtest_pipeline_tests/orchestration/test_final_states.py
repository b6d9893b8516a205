"""The sensor that records what workers could not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.jobs.final_states import final_states
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import get_settings


@pytest.mark.parametrize("odd", [{"initial_cash": math.inf}, {"initial_cash": math.nan}, {"start": "\ud800"}])
def test_a_request_that_cannot_be_recorded_keeps_no_other_waiting(
    odd: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    get_settings.cache_clear()
    with dg.instance_for_test() as instance:
        configs = [odd, {}]
        runs = [
            instance.add_run(
                dg.DagsterRun(
                    job_name=tags.JOB,
                    run_config=config,
                    status=dg.DagsterRunStatus.FAILURE,
                    tags={tags.WILL_RETRY: "false"},
                )
            )
            for config in configs
        ]
        final_states(dg.build_sensor_context(instance))
        recorded = [instance.get_run_by_id(run.run_id).tags.get(tags.RECORDED) for run in runs]  # type: ignore[union-attr]
    get_settings.cache_clear()
    assert recorded[1] == "true"
    assert TaskStore(tmp_path / "data").manifest(runs[1].run_id).status == "failed"
