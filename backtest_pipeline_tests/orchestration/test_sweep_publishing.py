"""The heatmap and the report that come after a sweep has completed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from backtest_pipeline import IntRange
from backtest_pipeline.model.errors import ResultDamaged, ResultMissing
from backtest_pipeline.model.manifest import Manifest, ResultFile
from backtest_pipeline.orchestration.dagster_internals.web_server_command import _drawn
from backtest_pipeline.orchestration.tasks.others_wait import OthersWait
from backtest_pipeline.orchestration.tasks.report_publishing import add_sweep_picture, add_sweep_report
from backtest_pipeline.orchestration.tasks.sweep_page import sweep_materialization
from backtest_pipeline.results.task_store import TaskStore
from backtest_pipeline.settings import Settings
from backtest_pipeline.workflows.render_report import rendered_heatmap, rendered_report
from backtest_pipeline_tests.orchestration.queued_runs import queued_run
from backtest_pipeline_tests.reports.made import OTHER_TASK, TASK
from backtest_pipeline_tests.reports.made_sweep import manifest_of_sweep, stored, sweep_of, table_of

BOTH = (add_sweep_picture, add_sweep_report)
REQUEST = sweep_of({"params.fast": IntRange(2, 6), "params.slow": [10, 20, 40]})


@pytest.fixture
def published(tmp_path: Path) -> tuple[TaskStore, Manifest]:
    """A completed sweep without its picture and its report."""
    store, table = TaskStore(tmp_path), table_of(REQUEST)
    with store.staging(TASK) as staged:
        best = stored(staged, REQUEST, table).summary.best_trial
        files = [
            ResultFile(
                name=path.stem,
                path=path.name,
                kind="parquet",
                size_bytes=path.stat().st_size,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                rows=1,
            )
            for path in sorted(staged.glob("*.parquet"))
        ]
        store.publish(manifest_of_sweep(REQUEST, table, best, files), staged)
    return store, store.manifest(TASK)


def test_a_completed_sweep_gets_both_listed_with_their_checksums(
    published: tuple[TaskStore, Manifest],
) -> None:
    store, manifest = published
    for add in BOTH:
        add(store, manifest, OthersWait(None))
    listed = {file.name: file for file in store.manifest(TASK).result_files}
    assert (listed["heatmap"].path, listed["report"].path) == ("heatmap.png", "report.html")
    for name in ("heatmap", "report"):
        content = (store.layout.task(TASK) / listed[name].path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == listed[name].sha256


def test_what_is_drawn_on_demand_is_what_would_have_been_added(
    published: tuple[TaskStore, Manifest],
) -> None:
    store, manifest = published
    settings = Settings(data_root=store.layout.data_root)
    picture, page = (_drawn(settings, TASK, name) for name in ("heatmap.png", "report.html"))
    assert _drawn(settings, TASK, "equity.png") is None  # that of a backtest
    assert _drawn(settings, OTHER_TASK, "heatmap.png") is None
    for add in BOTH:
        add(store, manifest, OthersWait(None))
    folder = store.layout.task(TASK)
    assert (folder / "heatmap.png").read_bytes() == picture
    assert (folder / "report.html").read_bytes() == page


@pytest.mark.parametrize("add", BOTH)
def test_nothing_is_drawn_while_others_wait(
    published: tuple[TaskStore, Manifest], add: Callable[..., None]
) -> None:
    store, manifest = published
    with dg.instance_for_test() as instance, closing(OthersWait(instance.root_directory)) as others_wait:
        waiting = queued_run(instance)
        add(store, manifest, others_wait)
        assert len(store.manifest(TASK).result_files) == 2
        instance.delete_run(waiting.run_id)
        add(store, manifest, others_wait)
        assert len(store.manifest(TASK).result_files) == 3


@pytest.mark.parametrize("add", BOTH)
def test_a_sweep_that_is_deleted_meanwhile_is_left_alone(
    published: tuple[TaskStore, Manifest], add: Callable[..., None]
) -> None:
    store, manifest = published
    shutil.rmtree(store.layout.task(TASK))
    add(store, manifest, OthersWait(None))
    assert not store.layout.task(TASK).exists()


def test_a_damaged_table_is_not_drawn(published: tuple[TaskStore, Manifest]) -> None:
    store, _ = published
    (store.layout.task(TASK) / "best_equity.parquet").write_bytes(b"PAR1")
    with pytest.raises(ResultDamaged, match="best_equity"):
        rendered_report(store.layout.data_root, "UTC", TASK)
    with pytest.raises(ResultDamaged, match="best_equity"):
        rendered_heatmap(store.layout.data_root, TASK)


def test_a_sweep_that_failed_has_no_report(published: tuple[TaskStore, Manifest]) -> None:
    store, _ = published
    path = store.layout.manifest(TASK)
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "failed"}))
    with pytest.raises(ResultMissing, match="failed"):
        rendered_report(store.layout.data_root, "UTC", TASK)


def test_the_run_page_links_the_report_and_shows_the_heatmap(published: tuple[TaskStore, Manifest]) -> None:
    store, manifest = published
    shown = sweep_materialization(manifest, REQUEST, store.layout.task(TASK)).metadata
    assert shown["report"].value == f"/tasks/{TASK}/report.html"
    assert shown["result"].value == f"/results/{TASK}"
    assert shown["heatmap"].value == f"![best sharpe of the trials](/tasks/{TASK}/heatmap.png)"
    assert float(str(shown["sharpe"].value)) == manifest.metrics["sharpe"]
    table = shown["best trials"]
    assert isinstance(table, dg.TableMetadataValue)
    assert table.records[0].data["trial"] == manifest.summary.best_trial
    assert shown["look-ahead check"].value == {"passed": True}
