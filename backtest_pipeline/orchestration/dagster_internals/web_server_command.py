"""Dagster's command for its web server, with the guard in front of it."""

from __future__ import annotations

import logging
import os
import time
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import uvicorn
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster_webserver import cli as dagster_cli
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.types import ASGIApp

from backtest_pipeline.model.errors import BacktestError
from backtest_pipeline.orchestration.dagster_internals import (
    form_gate,
    launch_gate,
    migration_scripts,
    pooled_postgres,
    pooled_sqlite,
)
from backtest_pipeline.orchestration.dagster_internals.compat import check_all, replace, uses
from backtest_pipeline.orchestration.dagster_internals.instance_databases import (
    create_databases,
)
from backtest_pipeline.orchestration.dagster_internals.run_writes import write_one_at_a_time
from backtest_pipeline.orchestration.dagster_internals.service_health import Health
from backtest_pipeline.orchestration.dagster_internals.unopened_instance import start_runs_without_it
from backtest_pipeline.orchestration.tasks.cluster_figures import cluster_figures
from backtest_pipeline.orchestration.tasks.running_tasks import running_tasks
from backtest_pipeline.orchestration.tasks.task_counts import Counter
from backtest_pipeline.settings import Settings, get_settings
from backtest_pipeline.storage.layout import CHART, HEATMAP, Layout
from backtest_pipeline.web.access.guard import Guard
from backtest_pipeline.web.access.hosts import AllowedHosts
from backtest_pipeline.web.access.identity import access_of, refuse_open_bind
from backtest_pipeline.web.monitoring.liveness import sign_file
from backtest_pipeline.web.monitoring.watch import EventLoop, Watch
from backtest_pipeline.web.pages.own_pages import OwnPages, open_paths
from backtest_pipeline.web.pages.result_pages import RenderMissing, ResultPages
from backtest_pipeline.web.pages.results_app import ResultsApp

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from backtest_pipeline.model.result import BacktestResult

_log = logging.getLogger("dagster-webserver.guard")

_SERVES = "host_dagster_ui_with_workspace_process_context"
uses(dagster_cli, _SERVES, "DEFAULT_WEBSERVER_HOST", "DEFAULT_WEBSERVER_PORT", "_lifespan", "cli")


class Unguarded(BacktestError):
    """Dagster's app would have been served without the guard in front of it."""

    def __init__(self) -> None:
        super().__init__(
            "Dagster would have served its pages to everybody, past this package's access checks; nothing is "
            "served. Install the version of dagster-webserver that requirements.lock names"
        )


def guarded_app(
    dagster: ASGIApp,
    context: WorkspaceProcessContext,
    settings: Settings,
    *,
    host: str,
    prefix: str,
    render_missing: RenderMissing | None = None,
) -> Guard:
    """The whole web server: the guard, our pages, and Dagster behind them.

    Args:
        dagster: Dagster's own app.
        context: what Dagster's app looks through, for the health and the counts.
        settings: who may come in, under which hosts, with how much.
        host: the address that the server listens on.
        prefix: the path prefix of the whole server, or empty.
        render_missing: draws the report or the chart of a task that has none.

    Raises:
        BacktestError: the settings cannot be used, or would let strangers in.
    """
    access = access_of(settings)
    refuse_open_bind(host, access)
    layout = Layout(settings.data_root)
    pages = OwnPages(
        dagster,
        prefix=prefix,
        results=ResultPages(layout, render_missing),
        tables=ResultsApp(
            layout,
            prefix=prefix,
            ttl_days=settings.task_result_ttl_days,
            live=partial(running_tasks, context.instance),
            benchmark=partial(_benchmark, settings),
            compare_sweeps=partial(_compared_sweeps, settings),
        ),
        checks=Health(context, settings).checks,
        figures=Counter(
            context.instance, layout, time.time, cluster_figures(context.instance, settings)
        ).figures,
    )
    return Guard(
        pages,
        hosts=AllowedHosts(host, settings.hosts),
        access=access,
        read_only=context.read_only,
        open_paths=open_paths(prefix),
        body_limit_bytes=settings.backtest_body_limit_bytes,
        requests_per_second=settings.backtest_requests_per_second,
        knows_run=context.instance.has_run,
    )


def serve_guarded(
    context: WorkspaceProcessContext,
    host: str | None,
    port: int | None,
    path_prefix: str,
    log_level: str,
    live_data_poll_rate: int | None = None,
    **_: Any,
) -> None:
    """Serves until it is stopped; stands in for Dagster's function of the same arguments."""
    host, port = host or dagster_cli.DEFAULT_WEBSERVER_HOST, port or dagster_cli.DEFAULT_WEBSERVER_PORT
    settings = get_settings()
    dagster = create_app_from_workspace_process_context(
        context,
        path_prefix,
        live_data_poll_rate,
        lifespan=dagster_cli._lifespan,  # noqa: SLF001  how Dagster ends on Ctrl-C
    )
    app = guarded_app(
        dagster,
        context,
        settings,
        host=host,
        prefix=path_prefix,
        render_missing=partial(_drawn, settings),
    )
    if not isinstance(app, Guard):
        raise Unguarded
    _log.info("serving http://%s:%d%s in process %d", host, port, path_prefix, os.getpid())
    loop = EventLoop(app)
    Watch(sign_file(settings.dagster_home, f"web-{port}"), loop.look).start()
    uvicorn.run(
        loop,
        host=host,
        port=port,
        log_level=log_level,
        server_header=False,
        ws_max_size=settings.backtest_body_limit_bytes,
    )


def _benchmark(settings: Settings, result: BacktestResult) -> NDArray[np.float64] | None:
    from backtest_pipeline.workflows import render_report  # noqa: PLC0415  as below

    return render_report.benchmark_of(settings.data_root, settings.candle_timezone, result)


def _compared_sweeps(settings: Settings, task_ids: Sequence[str]) -> str:
    from backtest_pipeline.results.task_store import TaskStore  # noqa: PLC0415  as below
    from backtest_pipeline.workflows import render_report  # noqa: PLC0415  as below

    return render_report.compared_sweeps(TaskStore(settings.data_root), task_ids)


def _drawn(settings: Settings, task_id: str, name: str) -> bytes | None:
    """Draws what a task was left without because others were waiting."""
    from backtest_pipeline.workflows import render_report  # noqa: PLC0415  pandas, which nothing else here needs

    try:
        if name == CHART:
            return render_report.rendered_chart(settings.data_root, settings.candle_timezone, task_id)
        if name == HEATMAP:
            return render_report.rendered_heatmap(settings.data_root, task_id)
        page, _ = render_report.rendered_report(
            settings.data_root, settings.candle_timezone, task_id, only_built_in=True
        )
    except (BacktestError, OSError) as error:
        _log.info("no %s of task %s: %s", name, task_id, error)
        return None
    return page


def install() -> None:
    """Puts our way of serving where Dagster's command looks its own up, and closes the way around it.

    Raises:
        InternalsChanged: the command has another way of serving or of launching; it must not be started.
    """
    launch_gate.install()
    form_gate.install()
    usual = dagster_cli.host_dagster_ui_with_workspace_process_context
    replace(dagster_cli, _SERVES, serve_guarded, used_by=dagster_cli.dagster_webserver)
    replace(dagster_cli, "create_app_from_workspace_process_context", _refuse_to_make_app, used_by=usual)


def _refuse_to_make_app(*_: object, **__: object) -> None:
    """Stands where Dagster would make an app that it serves itself.

    Raises:
        Unguarded: always; `serve_guarded` makes the app by Dagster's own function.
    """
    raise Unguarded


def prepare() -> None:
    """Install our way of serving and check everything that it relies on.

    Raises:
        InternalsChanged: Dagster is not as this package knows it.
    """
    install()
    if get_settings().backtest_broker_url:
        import_module("backtest_pipeline.orchestration.dagster_internals.broker_launcher")  # a second's work
    migration_scripts.read_once()
    pooled_sqlite.keep_connections()
    pooled_postgres.keep_those_of_a_launch()
    write_one_at_a_time()
    start_runs_without_it()
    check_all()


def run() -> None:
    """Run `dagster-webserver` with this process's arguments, until it is stopped."""
    create_databases()
    dagster_cli.cli(auto_envvar_prefix="DAGSTER_WEBSERVER")
