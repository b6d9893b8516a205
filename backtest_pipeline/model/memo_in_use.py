"""The memo in which computations are looked up meanwhile, if there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")


class Memo(Protocol):
    """What remembers computations of some candles.

    Attributes:
        copies: whether strategies get arrays of their own, to which they may write.
    """

    copies: bool

    def find(self, compute: Callable[..., Any], arrays: tuple[Any, ...], rest: tuple[Any, ...]) -> Any:
        """The result of a computation, remembered or new.

        Args:
            compute: the function.
            arrays: its first arguments.
            rest: its other arguments.
        """


_in_use: ContextVar[Memo | None] = ContextVar("memo_in_use", default=None)


@contextmanager
def sharing(memo: Memo) -> Iterator[None]:
    """Remembers computations in the memo meanwhile, in this thread alone."""
    token = _in_use.set(memo)
    try:
        yield
    finally:
        _in_use.reset(token)


def shared(compute: Callable[..., Result], arrays: int, *args: Any) -> Result:
    """The result of a computation, for other computations, which do not write to it.

    Args:
        compute: a function that is the same object at every call.
        arrays: how many of its arguments are arrays, which come first; the others are plain values.
        args: its arguments.
    """
    memo = _in_use.get()
    if memo is None:
        return compute(*args)
    return memo.find(compute, args[:arrays], args[arrays:])  # type: ignore[no-any-return]  # what it computes


def handed_out(compute: Callable[..., Result], arrays: int, *args: Any) -> Result:
    """The same for a strategy, which gets arrays of its own where it might write to them."""
    memo = _in_use.get()
    if memo is None:
        return compute(*args)
    result = memo.find(compute, args[:arrays], args[arrays:])
    if not memo.copies:
        return result  # type: ignore[no-any-return]  # what it computes
    if isinstance(result, tuple):
        return tuple(own.copy() for own in result)  # type: ignore[return-value]  # as long as it was
    return result.copy()  # type: ignore[no-any-return]  # an array
