"""Replacing, overriding and calling names that other libraries do not promise to keep.

Whoever does so declares it here, beside the code that relies on it. A declaration is checked where it
stands, so that a process that relies on a name which is gone ends at its start, with a message, instead of
going on without what it replaced. `check_all` repeats the checks.

The names were read in the versions of `READ_IN`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from inspect import unwrap
from types import CodeType, MappingProxyType, ModuleType
from typing import Any, Literal

from backtest_pipeline.model.errors import InternalsChanged

READ_IN: Mapping[str, str] = MappingProxyType(
    {
        "celery": "5.7.0",
        "dagster": "1.13.27",
        "dagster_webserver": "1.13.27",
        "dagster_celery": "0.29.27",
        "dagster_postgres": "0.29.27",
        "multiprocessing": "3.11",
        "xdist": "3.8.0",
    }
)
_DISTRIBUTIONS = {"xdist": "pytest-xdist"}

Owner = ModuleType | type
Kind = Literal["replaced", "overridden", "used"]


@dataclass(frozen=True)
class Declaration:
    """One name of another library that we rely on.

    Attributes:
        owner: the module or class that has the name.
        name: the name.
        kind: what is done with it.
        used_by: a function of that library which must mention the name, as a replacement has no effect
            otherwise; `None` where only its presence counts.
    """

    owner: Owner
    name: str
    kind: Kind
    used_by: Callable[..., Any] | None = None

    @property
    def label(self) -> str:
        """The name with that of its owner."""
        return f"{_full_name(self.owner)}.{self.name}"

    def check(self) -> None:
        """Raises where the name is gone or nobody looks it up.

        Raises:
            InternalsChanged: naming the version that is installed and the one that it was written for.
        """
        if self.kind != "used" or self.used_by is None:
            self._check_presence()
        if self.used_by is not None and self.name not in names_in(self.used_by):
            raise self._changed(f"is not looked up by {_function_name(self.used_by)} any more")

    def _check_presence(self) -> None:
        if not hasattr(self.owner, self.name):
            raise self._changed("is gone")

    def _changed(self, problem: str) -> InternalsChanged:
        library = _full_name(self.owner).partition(".")[0]
        return InternalsChanged(self.label, problem, library, _installed(library), READ_IN.get(library, "?"))


_declared: dict[tuple[str, Kind, str], Declaration] = {}


def declared() -> list[Declaration]:
    """All declarations of the modules that this process has imported."""
    return list(_declared.values())


def check_all() -> None:
    """Repeats the checks of all declarations.

    Raises:
        InternalsChanged: the first that does not hold.
    """
    for declaration in declared():
        declaration.check()


def replace(owner: Owner, name: str, value: object, *, used_by: Callable[..., Any]) -> None:
    """Puts a value in the place of a module's or a class's own.

    Args:
        owner: the module or class that has the name.
        name: the name.
        value: what stands for it from now on.
        used_by: the function that looks the name up.

    Raises:
        InternalsChanged: there is no such name, or that function does not look it up; nothing was replaced.
    """
    _declare(Declaration(owner, name, "replaced", used_by))
    setattr(owner, name, value)


@contextmanager
def replaced(owner: Owner, name: str, value: object, *, used_by: Callable[..., Any]) -> Iterator[None]:
    """Replaces, as `replace` does, for the block only."""
    usual = getattr(owner, name, None)
    replace(owner, name, value, used_by=used_by)
    try:
        yield
    finally:
        setattr(owner, name, usual)


def overrides(parent: type, name: str, *, used_by: Callable[..., Any] | None = None) -> None:
    """Declares that a subclass of ours has a method or attribute in the place of the parent's.

    Args:
        parent: the class whose name it is.
        name: the name.
        used_by: a function that calls it; `None` for names that a protocol fixes, as of gRPC's methods.

    Raises:
        InternalsChanged: the parent has no such name, or that function does not call it.
    """
    _declare(Declaration(parent, name, "overridden", used_by))


def uses(owner: Owner, *names: str, within: Callable[..., Any] | None = None) -> None:
    """Declares that names are read, called or set that are private or may change.

    Args:
        owner: the module or class that has them.
        names: the names.
        within: a function of that library which mentions them, for attributes that only instances have.

    Raises:
        InternalsChanged: one of them is gone.
    """
    for name in names:
        _declare(Declaration(owner, name, "used", within))


def names_in(function: Callable[..., Any]) -> frozenset[str]:
    """All names that a function's code mentions, in the functions and comprehensions inside it too."""
    found: set[str] = set()
    waiting: list[CodeType] = [_function_of(function).__code__]
    while waiting:
        code = waiting.pop()
        found |= {*code.co_names, *code.co_varnames, *code.co_freevars}
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return frozenset(found)


def _declare(declaration: Declaration) -> None:
    declaration.check()
    user = _function_name(declaration.used_by) if declaration.used_by else ""
    _declared[declaration.label, declaration.kind, user] = declaration


def _function_of(wrapped: Any) -> Any:
    """The function inside a method, a command of click or a decorator's wrapping."""
    inner = getattr(wrapped, "callback", None) or wrapped
    return unwrap(getattr(inner, "__func__", inner))


def _function_name(function: Callable[..., Any]) -> str:
    return str(_function_of(function).__qualname__)


def _full_name(owner: Owner) -> str:
    if isinstance(owner, ModuleType):
        return owner.__name__
    return f"{owner.__module__}.{owner.__qualname__}"


def _installed(library: str) -> str:
    try:
        return version(_DISTRIBUTIONS.get(library, library.replace("_", "-")))
    except PackageNotFoundError:  # a part of Python
        return platform.python_version()
