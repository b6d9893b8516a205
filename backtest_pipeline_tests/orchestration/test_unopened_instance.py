"""An instance that is opened when something of it is asked for."""

from __future__ import annotations

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef
from dagster._core.test_utils import create_run_for_test, instance_for_test

from backtest_pipeline.orchestration.dagster_internals import unopened_instance
from backtest_pipeline.orchestration.dagster_internals.unopened_instance import UnopenedInstance


class _Counting:
    """In the place of `DagsterInstance`: counts what is opened."""

    opened = 0

    @classmethod
    def from_ref(cls, reference: InstanceRef) -> dg.DagsterInstance:
        cls.opened += 1
        return dg.DagsterInstance.from_ref(reference)


def test_a_start_that_succeeds_opens_nothing_and_one_that_fails_writes_down_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unopened_instance, "DagsterInstance", _Counting)
    monkeypatch.setattr(_Counting, "opened", 0)
    with instance_for_test() as instance:
        run = create_run_for_test(instance, job_name="backtest")
        with UnopenedInstance.from_ref(instance.get_ref()):
            pass
        assert _Counting.opened == 0
        with UnopenedInstance.from_ref(instance.get_ref()) as asked:
            found = asked.get_run_by_id(run.run_id)
            asked.report_engine_event("the code server is away", found)
        assert _Counting.opened == 1
        [told] = instance.all_logs(run.run_id)
    assert found == run
    assert told.get_dagster_event().message == "the code server is away"
