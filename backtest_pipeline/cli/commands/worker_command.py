"""`backtest worker`: takes backtests and sweeps' chunks from the broker, on as many machines as you like."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from backtest_pipeline.compute.broker import QUEUES
from backtest_pipeline.compute.local_processes import cores
from backtest_pipeline.local_service.home import prepare_beside
from backtest_pipeline.model.errors import BrokerUnusable, RequestInvalid
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.settings import get_settings


def worker(
    *,
    concurrency: Annotated[
        int, typer.Option(min=0, max=1_024, help="runs, and chunks, at a time; 0: as many as there are cores")
    ] = 0,
    queues: Annotated[
        str, typer.Option(help="what it takes: runs, chunks or both, separated by a comma")
    ] = ",".join(QUEUES),
) -> None:
    """Works on backtests and chunks of sweeps that the broker hands out, until it is stopped."""
    settings = get_settings()
    asked = [name.strip() for name in queues.split(",") if name.strip()]
    for name in asked or [queues]:
        if name not in QUEUES:
            problem = f"there is no {name!r}{did_you_mean(name, QUEUES)}; there are {' and '.join(QUEUES)}"
            raise RequestInvalid([("queues", problem)])
    if not settings.backtest_broker_url:
        raise BrokerUnusable(
            "BACKTEST_BROKER_URL is not set, so everything runs where `backtest up` does; set it, for the "
            "service and for each worker, to an address like redis://:password@host:6379/0"
        )
    if find_spec("dagster_celery") is None or find_spec("redis") is None:
        raise BrokerUnusable("Celery is missing; install backtest-pipeline[celery]")
    prepare_beside(settings.dagster_home)
    from backtest_pipeline.orchestration.processes.worker_keeper import (  # noqa: PLC0415  Dagster and Celery
        WorkerKeeper,
    )

    WorkerKeeper(settings, concurrency=concurrency or cores(), queues=asked).run()
