"""Which code decides a result, as a digest of its sources.

The sources are read when they are first asked for, which `registry` does as it loads a strategy: what is
known then is what runs in this process, whatever happens to the files afterwards.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from backtest_pipeline.model.signals import Strategy

PACKAGE = Path(__file__).resolve().parents[1]
DECIDING = ("engine", "strategies", "model", "backtest.py", "storage/result_tables.py")
"""What decides a result's bytes, relative to the package: folders with all below them, and files."""

_INSTALLED = {"site-packages", "dist-packages"}


@cache
def package_version() -> str:
    """This package's version, as installed."""
    return version("backtest-pipeline")


@cache
def code_sha256(strategy: type[Strategy]) -> str | None:
    """SHA-256 over the package's deciding sources, the strategy's module and what lies beside that.

    Beside a strategy's own module count the modules that it imports, directly or not, from its own package,
    or where it has none from its own folder. Installed libraries do not count.

    Returns:
        None where there are no sources, as for a class typed into a notebook.
    """
    digest = hashlib.sha256(_package_digest())
    module = sys.modules.get(strategy.__module__)
    if module is None or _source_of(module) is None:
        return None
    for name, path in sorted(_own_sources(module).items()):
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _package_digest() -> bytes:
    digest = hashlib.sha256()
    for name in DECIDING:
        place = PACKAGE / name
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


def _own_sources(strategy_module: ModuleType) -> dict[str, Path]:
    """Files by module name: the strategy's module and what it imports from beside itself."""
    found: dict[str, Path] = {}
    home = _home_of(strategy_module)
    waiting = [strategy_module]
    while waiting:
        module = waiting.pop()
        path = _source_of(module)
        if path is None or module.__name__ in found or path.is_relative_to(PACKAGE):
            continue
        if module is not strategy_module and not _lies_in(path, home):
            continue
        found[module.__name__] = path
        waiting += [sys.modules[name] for name in _imported_by(module, path) if name in sys.modules]
    return found


def _home_of(module: ModuleType) -> Path | None:
    """The folder of the module's top-level package, or else of the module, unless libraries lie there too."""
    top = sys.modules.get(module.__name__.partition(".")[0], module)
    path = _source_of(top) or _source_of(module)
    if path is None or path.parent.name in _INSTALLED:
        return None
    return path.parent


def _lies_in(path: Path, home: Path | None) -> bool:
    return (
        home is not None and path.is_relative_to(home) and _INSTALLED.isdisjoint(path.relative_to(home).parts)
    )


def _imported_by(module: ModuleType, path: Path) -> Iterator[str]:
    """Names of the modules that a source imports; what it imports *from* one may be a module as well."""
    package = module.__package__ or ""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _source_of(module: ModuleType) -> Path | None:
    try:
        name = inspect.getsourcefile(module)
    except TypeError:
        return None
    path = Path(name).resolve() if name else None
    return path if path is not None and path.is_file() else None
