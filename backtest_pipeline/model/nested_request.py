"""A request inside another one, whose problems are named together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from backtest_pipeline.model.errors import RequestInvalid

if TYPE_CHECKING:
    from backtest_pipeline.model.request_model import RequestModel
    from backtest_pipeline.model.space_values import Problems


def checked_inner(
    name: str, kind: type[RequestModel], fields: Mapping[str, Any], problems: Problems
) -> dict[str, Any]:
    """Makes a request of the mapping that stands for a field, if one does.

    Args:
        name: the field's.
        kind: what the request is.
        fields: of the outer request.
        problems: takes those of the inner one, named `<name>.<field>`.

    Returns:
        The field with the request, or with None where it has problems; nothing where it holds no mapping.
    """
    given = fields.get(name)
    if not isinstance(given, Mapping):
        return {}
    try:
        return {name: kind(**given)}
    except RequestInvalid as error:
        problems += [(f"{name}.{field}".removesuffix("."), text) for field, text in error.problems]
    except TypeError:  # names that are no texts
        problems.append((name, "names are texts; put them in quotes"))
    return {name: None}


def is_reported(field: str, problems: Problems) -> bool:
    """Whether a problem of a field, or of what is in it, is known."""
    return any(field == known.partition(".")[0] for known, _ in problems)
