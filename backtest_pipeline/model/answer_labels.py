"""Labels and masks of a strategy's answer, which is read by position: refused where they mean another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def label_problem(name: str, answer: object, symbols: Sequence[str] = ()) -> str | None:
    """What an array would lose as it is read by position, and what to write instead; `None`: nothing.

    Args:
        name: of the array, for the message.
        answer: an array, or a pandas Series or DataFrame.
        symbols: what the columns stand for, of weights.
    """
    if isinstance(answer, np.ma.MaskedArray) and np.ma.getmaskarray(answer).any():
        return f"{name} has masked values; give an array without a mask, as {name}.filled(...) makes it"
    index = getattr(answer, "index", None)  # of a list, a method
    if not getattr(index, "is_monotonic_increasing", True):
        return f"{name} has an index that is not in the order of the bars; give {name}.sort_index()"
    columns = [str(column) for column in getattr(answer, "columns", ())]
    if columns != list(symbols) and set(columns) & set(symbols):
        shown = ", ".join(columns[:8])
        cure = f"give {name}[list(panel.symbols)]"
        return f"{name} has the columns {shown}, not the panel's symbols in their order; {cure}"
    return None
