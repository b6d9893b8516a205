"""Which code decides a result, as a digest of its sources: as this process has loaded it, and as it is now.

The first is noted when `registry` loads a strategy, and is what runs in this process, whatever happens to the
files afterwards. Where the second differs, the files were changed since.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from backtest_pipeline.model.strategy import AnyStrategy

PACKAGE = Path(__file__).resolve().parents[1]
DECIDING = (
    "engine",
    "research",
    "strategies",
    "model",
    "workflows/run_backtest.py",
    "workflows/run_sweep.py",
    "workflows/run_walk_forward.py",
    "workflows/sweep_chunks.py",
    "workflows/sweep_files.py",
    "workflows/trial_pool.py",
    "workflows/trial_tally.py",
    "workflows/walk_forward_chunks.py",
    "workflows/walk_forward_files.py",
    "workflows/walked_folds.py",
    "results/streamed_table.py",
    "results/sweep_parts.py",
    "results/tables.py",
)
"""What decides a result's bytes, relative to the package: folders with all below them, and files."""

_INSTALLED = {"site-packages", "dist-packages"}


@cache
def package_version() -> str:
    """This package's version, as installed."""
    return version("backtest-pipeline")


@cache
def code_sha256(strategy: type[AnyStrategy]) -> str | None:
    """The digest of `code_sha256_on_disk`, as it was when it was asked for first: of what has been loaded."""
    return code_sha256_on_disk(strategy)


def code_sha256_on_disk(strategy: type[AnyStrategy]) -> str | None:
    """SHA-256 over the package's deciding sources, the strategy's module and what lies beside that, now.

    Beside a strategy's own module count the modules that it imports, directly or not, from its own package,
    or where it has none from its own folder, and the packages that they lie in. Installed libraries do not
    count. A repeated call reads only files that have changed.

    Returns:
        None where there are no sources, as for a class typed into a notebook.
    """
    try:
        return _digest(strategy, _package_digest())
    except OSError:  # a file was taken away just now
        return None


def changed_since_loaded(strategies: Iterable[type[AnyStrategy]]) -> list[type[AnyStrategy]]:
    """Those whose sources on disk are no longer the ones that this process has loaded."""
    try:
        package = _package_digest()
    except OSError:
        package = b""  # of no source
    changed = []
    for strategy in strategies:
        loaded = code_sha256(strategy)
        try:
            now = _digest(strategy, package)
        except OSError:
            now = None
        if loaded is not None and loaded != now:
            changed.append(strategy)
    return changed


def _digest(strategy: type[AnyStrategy], package: bytes) -> str | None:
    module = sys.modules.get(strategy.__module__)
    if module is None or _source_of(module) is None:
        return None
    digest = hashlib.sha256(package)
    for name, path in sorted(own_sources(strategy).items()):
        digest.update(name.encode() + b"\0" + _content(path) + b"\0")
    return digest.hexdigest()


def own_sources(strategy: type[AnyStrategy]) -> dict[str, Path]:
    """Files by module name, outside this package: the strategy's module and what it imports beside itself."""
    module = sys.modules.get(strategy.__module__)
    source = _source_of(module) if module is not None else None
    if module is None or source is None or source.is_relative_to(PACKAGE):
        return {}
    parts = module.__name__.split(".")
    is_package = source.name == "__init__.py"
    root = source.parents[len(parts) - (0 if is_package else 1)]
    home = _home_of(module, source)
    found: dict[str, Path] = {}
    waiting = [(module.__name__, source)]
    while waiting:
        name, path = waiting.pop()
        if name in found:
            continue
        found[name] = path
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for wanted in {*_with_parents(name), *_imported_by(_content(path), package)}:
            beside = _file_of(wanted, root)
            if beside is not None and _lies_in(beside, home):
                waiting.append((wanted, beside))
    return found


def _package_digest() -> bytes:
    places = (PACKAGE / name for name in DECIDING)
    paths = (path for place in places for path in ([place] if place.is_file() else place.rglob("*.py")))
    return _digest_of_package(tuple(sorted((path, _signature(path)) for path in paths)))


Signature = tuple[int, int, int]


@lru_cache(maxsize=4)
def _digest_of_package(files: tuple[tuple[Path, Signature], ...]) -> bytes:
    digest = hashlib.sha256()
    for path, _ in files:
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


def _signature(path: Path) -> Signature:
    """Time, size and identity of a file: while they are the same, so is what is in it."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _content(path: Path) -> bytes:
    """What is in a file, read again only where it has changed."""
    return _read(path, _signature(path))


@lru_cache(maxsize=1_000)
def _read(path: Path, _: Signature) -> bytes:
    return path.read_bytes()


def _home_of(module: ModuleType, source: Path) -> Path | None:
    """The folder of the module's top-level package, or else of the module, unless libraries lie there too."""
    top = sys.modules.get(module.__name__.partition(".")[0], module)
    home = (_source_of(top) or source).parent
    return None if home.name in _INSTALLED else home


def _lies_in(path: Path, home: Path | None) -> bool:
    return (
        home is not None
        and path.is_relative_to(home)
        and not path.is_relative_to(PACKAGE)
        and _INSTALLED.isdisjoint(path.relative_to(home).parts)
    )


def _file_of(name: str, root: Path) -> Path | None:
    """The source of a module below a folder, by its dotted name."""
    place = root.joinpath(*name.split("."))
    for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if path.is_file():
            return path
    return None


def _with_parents(name: str) -> Iterator[str]:
    """`a.b.c` and the packages `a.b` and `a`, whose code runs before."""
    while name:
        yield name
        name = name.rpartition(".")[0]


@lru_cache(maxsize=1_000)
def _imported_by(source: bytes, package: str) -> frozenset[str]:
    """Names of the modules that a source imports; what it imports *from* one may be a module as well."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # being written; what it will import is not known yet
        return frozenset()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return frozenset(parent for name in names for parent in _with_parents(name) if name)


def _source_of(module: ModuleType) -> Path | None:
    try:
        name = inspect.getsourcefile(module)
    except TypeError:
        return None
    path = Path(name).resolve() if name else None
    return path if path is not None and path.is_file() else None
