"""Indicators that are computed once for many backtests of the same candles.

While a memo is in use, an indicator of the candles, or of another indicator of them, is remembered by
function, arrays and arguments. What is remembered cannot be written to; strategies that might are given
copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Sequence[NDArray[Any]]

Computation = TypeVar("Computation", bound=Callable[..., Any])
Result = TypeVar("Result")

MOST_BYTES = 128 * 2**20

_in_use: ContextVar[IndicatorMemo | None] = ContextVar("indicator_memo", default=None)


class IndicatorMemo:
    """Remembers indicators of some candles, the latest ones where they are too many.

    A key holds identities of arrays. They stay true as each entry keeps the arrays that it was made of.

    Args:
        most_bytes: of all results together.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.copies = True
        self._most_bytes = most_bytes
        self._bytes = 0
        self._sources: list[NDArray[Any]] = []
        self._known: set[int] = set()
        self._entries: dict[tuple[Any, ...], tuple[Any, Arrays]] = {}

    def of(self, compute: Callable[..., Any], arrays: int, args: tuple[Any, ...]) -> Any:
        """The result of a computation, whose first arguments are arrays."""
        key = (compute, *map(id, args[:arrays]), *args[arrays:], *map(type, args[arrays:]))
        try:
            entry = self._entries.get(key)
        except TypeError:  # an argument that cannot be remembered
            return compute(*args)
        if entry is not None:
            return entry[0]
        result = compute(*args)
        if self._known.issuperset(map(id, args[:arrays])):
            self._keep(key, result, args[:arrays])
        return result

    def begin(self, sources: Iterable[NDArray[Any]]) -> None:
        """Forgets all indicators unless the candles are still the same arrays."""
        arrays = list(sources)
        if [id(own) for own in arrays] == [id(own) for own in self._sources]:
            return
        self._entries.clear()
        self._bytes = 0
        self._sources = arrays
        self._known = {id(own) for own in arrays}

    def _keep(self, key: tuple[Any, ...], result: Any, arrays: Arrays) -> None:
        for own in _parts(result):
            own.flags.writeable = False
            self._bytes += own.nbytes
            self._known.add(id(own))
        self._entries[key] = (result, arrays)
        while self._bytes > self._most_bytes and len(self._entries) > 1:
            oldest, _ = self._entries.pop(next(iter(self._entries)))
            for own in _parts(oldest):
                self._bytes -= own.nbytes
                self._known.discard(id(own))


@contextmanager
def sharing(memo: IndicatorMemo) -> Iterator[None]:
    """Remembers indicators in the memo meanwhile, in this thread alone."""
    token = _in_use.set(memo)
    try:
        yield
    finally:
        _in_use.reset(token)


def shared(arrays: int) -> Callable[[Computation], Computation]:
    """Lets a computation be remembered, whose first so many arguments are arrays and the others plain values.

    It is called with positional arguments alone, and nobody writes to what it returns.
    """

    def decorate(compute: Computation) -> Computation:
        def remembered(*args: Any) -> Any:
            memo = _in_use.get()
            return compute(*args) if memo is None else memo.of(compute, arrays, args)

        return remembered  # type: ignore[return-value]  # it takes what the computation takes

    return decorate


def handed_out(result: Result) -> Result:
    """A result of a remembered computation for a strategy: the strategy's own where it might write to it."""
    memo = _in_use.get()
    if memo is None or not memo.copies:
        return result
    if isinstance(result, tuple):
        return tuple(own.copy() for own in result)  # type: ignore[return-value]  # as long as it was
    return result.copy()  # type: ignore[attr-defined,no-any-return]  # an array


def _parts(result: Any) -> Arrays:
    return result if isinstance(result, tuple) else (result,)
