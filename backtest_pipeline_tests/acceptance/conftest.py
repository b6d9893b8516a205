"""The real processes, started once for all acceptance tests.

Where ACCEPTANCE_URL is set, all tests that share them use what runs there instead, with BACKTEST_TOKEN,
ACCEPTANCE_LOGIN (name:password, for the browser), DATA_ROOT and DAGSTER_HOME; tests that start processes of
their own are left out. test_deployment.py does so with a whole deployment.

Where ACCEPTANCE_WORKERS is set, runs and chunks are taken by a worker behind a broker, see `with_workers`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from backtest_pipeline.candles.demo import import_demo
from backtest_pipeline.candles.store import CandleStore
from backtest_pipeline.local_service.service import LocalService
from backtest_pipeline.settings import Settings
from backtest_pipeline_tests.acceptance import with_workers
from backtest_pipeline_tests.acceptance.live import Pipeline, free_port, log_end, logs_of
from backtest_pipeline_tests.acceptance.postgres import postgres_server
from backtest_pipeline_tests.deploy.project import Project, running_project

ELSEWHERE = os.environ.get("ACCEPTANCE_URL", "")
SHARED = {"pipeline", "sqlite_pipeline"}
OF_THIS_MACHINE = {"own_postgres", "processes_here"}
MEASURED = pytest.StashKey[dict[str, str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what would not use the pipeline elsewhere."""
    if with_workers.WANTED:
        others = [item for item in items if item.name.partition("[")[0] in with_workers.OF_THE_CODE_SERVER]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]
    if ELSEWHERE:
        others = [item for item in items if not _is_of_use_elsewhere(set(getattr(item, "fixturenames", ())))]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


def _is_of_use_elsewhere(fixtures: set[str]) -> bool:
    return bool(SHARED & fixtures) and not OF_THIS_MACHINE & fixtures


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows beside a failure what the processes of the test have logged last."""
    report = yield
    if report.failed:
        for name, used in getattr(item, "funcargs", {}).items():
            for log in logs_of(used):
                report.sections.append((f"{name}: end of {log.name}", log_end(log)))
    return report


@pytest.fixture(scope="session", autouse=True)
def workers() -> Iterator[None]:
    """A worker behind every service, where ACCEPTANCE_WORKERS asks for them."""
    if not with_workers.WANTED:
        yield
        return
    with with_workers.workers_behind_every_service():
        yield


@pytest.fixture
def processes_here() -> None:
    """For tests that start, look at or kill processes: elsewhere the same ids are those of others."""


@pytest.fixture(scope="session")
def demo_candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with five companies' daily candles."""
    if ELSEWHERE:
        return Path(os.environ["DATA_ROOT"])
    data_root = tmp_path_factory.mktemp("data")
    import_demo(CandleStore(data_root))
    return data_root


@pytest.fixture(scope="session")
def postgres() -> Iterator[dict[str, str]]:
    """Environment of a PostgreSQL server of the tests' own."""
    with postgres_server() as server:
        yield server.env


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[dict[str, str]]:
    """Environment of a PostgreSQL server for one service: two on a database take each other's runs."""
    with postgres_server() as server:
        yield server.env


@pytest.fixture(scope="session", params=["elsewhere"] if ELSEWHERE else ["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> dict[str, str]:
    """Environment of each database in turn: whatever uses it is tested on both."""
    env: dict[str, str] = request.getfixturevalue("postgres") if request.param == "postgres" else {}
    return env


@pytest.fixture(scope="session")
def pipelines(
    tmp_path_factory: pytest.TempPathFactory, demo_candles: Path
) -> Iterator[Callable[[dict[str, str]], Pipeline]]:
    """Starts a pipeline for each database on first use; all run until the session ends."""
    with ExitStack() as stack:

        @cache
        def started(database: tuple[tuple[str, str], ...]) -> Pipeline:
            home = tmp_path_factory.mktemp("home")
            service = LocalService(
                Settings(data_root=demo_candles, dagster_home=home, reports_ahead=False), port=free_port()
            )
            with pytest.MonkeyPatch.context() as patch:  # for the start only: other tests have their own
                for name, value in database:
                    patch.setenv(name, value)
                stack.enter_context(service.running())
            return Pipeline(service.url, demo_candles, home, dict(database))

        def on(database: dict[str, str]) -> Pipeline:
            return started(tuple(database.items()))

        yield on


@pytest.fixture(scope="session")
def pipeline(
    database: dict[str, str], pipelines: Callable[[dict[str, str]], Pipeline], demo_candles: Path
) -> Pipeline:
    """Web server, daemon and code server over the demo's candles."""
    if ELSEWHERE:
        return Pipeline(ELSEWHERE, demo_candles, Path(os.environ["DAGSTER_HOME"]))
    return pipelines(database)


@pytest.fixture(scope="session")
def sqlite_pipeline(pipelines: Callable[[dict[str, str]], Pipeline], demo_candles: Path) -> Pipeline:
    """A pipeline for tests of what does not depend on the database: pages, commands as printed."""
    if ELSEWHERE:
        return Pipeline(ELSEWHERE, demo_candles, Path(os.environ["DAGSTER_HOME"]))
    return pipelines({})


@pytest.fixture(scope="session")
def project(pytestconfig: pytest.Config) -> Iterator[Project]:
    """docker-compose.yml in containers, for the tests marked `deployment`."""
    strategies = Path(__file__).with_name("trouble_strategies.py")
    with running_project(strategies) as project, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(project.authority))
        pytestconfig.stash[MEASURED] = project.measured
        yield project


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says how long the images took to build, how large they are, and how soon the services were well."""
    for what, figure in config.stash.get(MEASURED, {}).items():
        terminalreporter.write_line(f"{what}: {figure}")
