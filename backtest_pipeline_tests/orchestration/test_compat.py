"""What we rely on in other libraries is declared, and a process does not start without it."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from dagster._daemon import controller
from dagster._grpc import server as dagster_server
from dagster_graphql.implementation.execution import launch_execution
from dagster_webserver import cli as dagster_cli
from pydantic import BaseModel

import backtest_pipeline
from backtest_pipeline.model.errors import BacktestError, InternalsChanged
from backtest_pipeline.orchestration.dagster_internals import code_server_command as code_server
from backtest_pipeline.orchestration.dagster_internals import compat
from backtest_pipeline.orchestration.dagster_internals import daemon_command as daemon
from backtest_pipeline.orchestration.dagster_internals import web_server_command as web_server
from backtest_pipeline.orchestration.dagster_internals.compat import Declaration, declared, replace

PACKAGE = Path(backtest_pipeline.__file__).parent


def _modules() -> list[ModuleType]:
    """All modules of ours that know Dagster."""
    folder = PACKAGE / "orchestration"
    names = [name for _, name, _ in pkgutil.walk_packages([str(folder)], "backtest_pipeline.orchestration.")]
    return [import_module(name) for name in names]


@pytest.fixture(autouse=True)
def _as_they_were() -> Iterator[None]:
    """Puts back what the tests replace in Dagster's modules."""
    kept = [
        (module, dict(vars(module))) for module in (controller, dagster_server, dagster_cli, launch_execution)
    ]
    yield
    for module, names in kept:
        vars(module).update(names)


def _library() -> ModuleType:
    """A library's module with a function that looks up two of its names."""
    library = ModuleType("library")
    lines = (
        "def serve(): return 'unguarded'",
        "def make(): return [serve() for _ in range(1)]",
        "def other(): return 1",
    )
    exec("\n".join(lines), vars(library))  # noqa: S102  the test's own
    return library


def test_a_name_that_is_looked_up_is_replaced() -> None:
    library = _library()
    replace(library, "serve", lambda: "guarded", used_by=library.make)
    assert library.make() == ["guarded"]


def test_a_name_that_is_gone_is_not_replaced_and_the_message_says_what_to_do() -> None:
    library = _library()
    del library.serve
    with pytest.raises(InternalsChanged, match=r"library\.serve is gone: .* install what requirements\.lock"):
        replace(library, "serve", print, used_by=library.make)
    assert not hasattr(library, "serve")


def test_a_name_that_nobody_looks_up_any_more_is_not_replaced() -> None:
    library = _library()
    usual = library.serve
    with pytest.raises(InternalsChanged, match="is not looked up by other any more"):
        replace(library, "serve", print, used_by=library.other)
    assert library.serve is usual


def test_a_replacement_for_a_while_is_taken_back_whatever_happens() -> None:
    library = _library()
    usual = library.serve
    with (
        pytest.raises(ZeroDivisionError),
        compat.replaced(library, "serve", lambda: 1 / 0, used_by=library.make),
    ):
        library.make()
    assert library.serve is usual


@pytest.mark.slow
def test_all_that_is_declared_holds_with_the_versions_that_are_installed() -> None:
    _modules()
    web_server.install()
    daemon.install()
    code_server.install()
    assert len(declared()) > 40
    compat.check_all()


def test_every_declaration_notices_that_its_name_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    _modules()
    for one in declared():
        if one.used_by is not None:
            unused = Declaration(one.owner, one.name, one.kind, used_by=lambda: None)
            with pytest.raises(InternalsChanged):
                unused.check()
        if one.used_by is None or one.kind != "used":
            gone = Declaration(one.owner, f"{one.name}_as_it_was", one.kind, one.used_by)
            with pytest.raises(InternalsChanged, match=f"{one.name}_as_it_was is gone"):
                gone.check()


def _foreign_owner(cls: type, name: str) -> type | None:
    """The class of another library whose name a class of ours has overridden."""
    for parent in cls.__mro__[1:]:
        if name in vars(parent) and not parent.__module__.startswith(("backtest_pipeline", "builtins")):
            return parent
    return None


def _overridden() -> set[tuple[str, str]]:
    """`(class, name)` of all overrides in our subclasses of Dagster's and multiprocessing's classes."""
    found = set()
    for module in _modules():
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if cls.__module__ != module.__name__ or issubclass(cls, BaseModel):
                continue
            for name in vars(cls):
                owner = _foreign_owner(cls, name)
                library = owner.__module__.partition(".")[0] if owner else ""
                if library in {"dagster", "dagster_webserver", "dagster_postgres", "multiprocessing"}:
                    found.add((cls.__qualname__, name))
    return found


def test_every_override_is_declared() -> None:
    found = {name for _, name in _overridden() if not name.startswith(("__", "_abc_"))}
    declarations = {one.name for one in declared() if one.kind == "overridden"}
    assert found >= {"StartRun", "_priority_sort", "capture_logs", "submit_run", "_launch"}
    assert found - declarations == set()


def test_nothing_is_assigned_to_another_modules_names_past_the_one_helper() -> None:
    """`module.name = value` would go on without a word where the name is gone."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {
            alias.asname or alias.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        for node in ast.walk(tree):
            targets = node.targets if isinstance(node, ast.Assign) else []
            found += [
                f"{path.name}: {ast.unparse(target)}"
                for target in targets
                if isinstance(target, ast.Attribute)
                and isinstance(target.value, ast.Name)
                and target.value.id in imported
            ]
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"setattr", "vars"}:
                of = ast.unparse(node.args[0])
                found += [f"{path.name}: {ast.unparse(node)}"] if of.startswith("sys.modules") else []
    assert found == []


def _without(module: str, name: str, then: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process in which a module of Dagster lacks a name."""
    code = f"import {module} as gone\ndel gone.{name}\n{then}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name", "process"),
    [
        ("dagster_webserver.cli", "host_dagster_ui_with_workspace_process_context", "web_server"),
        ("dagster_webserver.cli", "create_app_from_workspace_process_context", "web_server"),
        (
            "dagster_graphql.implementation.execution.launch_execution",
            "create_valid_pipeline_run",
            "web_server",
        ),
        ("dagster._daemon.controller", "QueuedRunCoordinatorDaemon", "daemon"),
        ("dagster._daemon.controller", "EventLogConsumerDaemon", "daemon"),
        ("dagster._grpc.server", "EVENT_QUEUE_POLL_INTERVAL", "code_server"),
    ],
)
def test_a_process_does_not_start_where_what_it_replaces_is_gone(
    module: str, name: str, process: str
) -> None:
    room = "backtest_pipeline.orchestration.dagster_internals"
    start = f"import {room}.{process}_command as started\nstarted.prepare()"
    done = _without(module, name, start)
    assert done.returncode != 0
    assert f"{name} is gone" in done.stderr
    assert "requirements.lock" in done.stderr


def test_the_web_server_does_not_start_where_dagster_serves_by_another_function(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dagster_cli.dagster_webserver, "callback", lambda **_: None)
    with pytest.raises(InternalsChanged, match="is not looked up by"):
        web_server.install()
    with pytest.raises(InternalsChanged):
        web_server.prepare()


def test_dagsters_own_way_of_serving_makes_no_app_once_ours_is_installed() -> None:
    usual: Any = dagster_cli.host_dagster_ui_with_workspace_process_context
    web_server.install()
    served_by: Any = dagster_cli.host_dagster_ui_with_workspace_process_context
    assert served_by is web_server.serve_guarded
    with pytest.raises(web_server.Unguarded, match="nothing is served"):
        vars(dagster_cli)["create_app_from_workspace_process_context"](None, "", None)
    assert "create_app_from_workspace_process_context" in compat.names_in(usual)
    assert issubclass(web_server.Unguarded, BacktestError)


def test_an_app_without_the_guard_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    async def bare(*_: object) -> None: ...

    monkeypatch.setattr(web_server, "create_app_from_workspace_process_context", lambda *_, **__: bare)
    monkeypatch.setattr(web_server, "guarded_app", lambda *_, **__: bare)
    monkeypatch.setattr("uvicorn.run", lambda *_, **__: pytest.fail("served without the guard"))
    with pytest.raises(web_server.Unguarded):
        web_server.serve_guarded(None, None, None, "", "info")  # type: ignore[arg-type]  # never looked at
