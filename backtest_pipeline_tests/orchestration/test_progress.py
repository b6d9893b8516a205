"""Progress as run tags."""

from __future__ import annotations

import dagster as dg

from backtest_pipeline.model import tags
from backtest_pipeline.orchestration.tasks.progress_tags import ProgressTags


class _Recorder:
    """Stands in for the instance and keeps what is written."""

    def __init__(self) -> None:
        self.written: list[dict[str, str]] = []

    def add_run_tags(self, run_id: str, values: dict[str, str]) -> None:
        assert run_id == "run"
        self.written.append(values)


class _Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _progress() -> tuple[ProgressTags, _Recorder, _Clock]:
    recorder, clock = _Recorder(), _Clock()
    instance: dg.DagsterInstance = recorder  # type: ignore[assignment]  # a stub with the one method used
    return ProgressTags(instance, "run", clock), recorder, clock


def test_a_thousand_reports_in_ten_seconds_are_at_most_eleven_writes() -> None:
    progress, recorder, clock = _progress()
    for step in range(1_000):
        clock.now_s = step / 100
        progress(step / 1_000, "simulating")
    assert 10 <= len(recorder.written) <= 11


def test_a_part_of_the_work_is_scaled_into_the_whole() -> None:
    progress, recorder, clock = _progress()
    part = progress.part(0.1, 0.9, bars=3_000_000)
    for fraction in (0.0, 0.5, 1.0):
        clock.now_s += 1
        part(fraction, "simulating")
    assert [written[tags.PROGRESS] for written in recorder.written] == ["0.10", "0.50", "0.90"]
    assert [written[tags.STAGE] for written in recorder.written] == [
        "simulating",
        "simulating, 1,500,000 of 3,000,000 bars, 750,000 a second",  # after 2 s
        "simulating, 3,000,000 of 3,000,000 bars, 1,000,000 a second",  # after 3 s
    ]


def test_a_direct_write_is_never_held_back() -> None:
    progress, recorder, _ = _progress()
    progress(0.1, "loading")
    progress.write({tags.STAGE: "failed"})
    assert len(recorder.written) == 2
