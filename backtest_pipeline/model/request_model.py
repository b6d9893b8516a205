"""What requests of every kind have in common, and how pydantic's findings on them read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.nearest_names import did_you_mean
from backtest_pipeline.model.plain_data import shortened


class RequestModel(BaseModel):
    """What requests of every kind have in common: immutable, unknown fields refused, known by a digest."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, fields: Any) -> Any:
        """Refuses True as 1, which pydantic takes.

        One look at all fields: a validator for each would make the request of a trial take thrice as long.
        """
        if isinstance(fields, dict):
            for name, value in fields.items():
                field = cls.model_fields.get(name) if isinstance(value, bool) else None
                if field is not None and field.annotation is not bool:
                    raise ValueError(f"{name} should be no truth value, not {value}")
        return fields

    def to_dict(self) -> dict[str, Any]:
        """All fields, defaults written out, as JSON values."""
        return self.model_dump(mode="json")

    def canonical_json(self) -> str:
        """The request as JSON with sorted keys, no spaces and every default written out."""
        return canonical_json_of(self.to_dict())

    def digest(self) -> str:
        """SHA-256 of `canonical_json()`, in hexadecimal."""
        return digest_of(self.to_dict())


def require_kind(request: object, *kinds: type[RequestModel]) -> None:
    """Refuse what is no request of one of these kinds, as a mapping of its fields.

    Raises:
        RequestInvalid: with the kinds that there are.
    """
    if not isinstance(request, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise RequestInvalid([("", f"give a {wanted}, not {type(request).__name__}")])


def digest_of(fields: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a request's fields, in hexadecimal."""
    return hashlib.sha256(canonical_json_of(fields).encode()).hexdigest()


def canonical_json_of(fields: Mapping[str, Any]) -> str:
    """JSON of a request's fields with sorted keys and no spaces."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)


def problems_of(error: ValidationError, known: Iterable[str] = ()) -> list[tuple[str, str]]:
    """Turns pydantic's findings into `(field, problem)` pairs that name the refused value.

    Args:
        error: what pydantic found.
        known: the names of fields that there are, of which one may have been meant.
    """
    problems = []
    for finding in error.errors(include_url=False):
        field = ".".join(str(part) for part in finding["loc"])
        message = finding["msg"].removeprefix("Value error, ")
        if finding["type"] not in {"value_error", "missing", "extra_forbidden"}:
            message = f"{message}, not {shortened(finding['input'])}"
        if finding["type"] == "literal_error" and isinstance(finding["input"], str):
            message += did_you_mean(finding["input"], _QUOTED.findall(finding["ctx"]["expected"]))
        elif finding["type"] == "extra_forbidden":
            message = f"there is no such field{did_you_mean(field, known)}"
        problems.append((field, message))
    return problems


_QUOTED = re.compile("'([^']*)'")
