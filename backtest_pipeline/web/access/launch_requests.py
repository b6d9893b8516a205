"""What requests say of runs, checked before Dagster reads it: run configs, tags, and whose attempt a run is.

Arguments are recognised by their names in Dagster's schema, which a query cannot change; values come from
literals, from variables or from both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from graphql import FieldNode, ValueNode, Visitor, print_ast, value_from_ast_untyped, visit

from backtest_pipeline.model import tags
from backtest_pipeline.model.errors import RequestInvalid
from backtest_pipeline.model.plain_data import plain_data_problem, shortened
from backtest_pipeline.model.run_config import refuse_unsafe_config
from backtest_pipeline.model.tag_rules import RUN_ID, refuse_bad_tags
from backtest_pipeline.web.access.graphql_documents import GraphQLRequest
from backtest_pipeline.web.access.refusal import Refusal
from backtest_pipeline.web.access.yaml_configs import loaded

KnowsRun = Callable[[str], bool]

_RUN_CONFIG = "runConfigData"
_OF_RUNS = ("executionParams", "executionParamsList", "reexecutionParams", "backfillParams")
_CHECKING = {"isPipelineConfigValid", "isRunConfigValid"}  # they say what is wrong with YAML that is no YAML
_OF_RETRIES = (
    tags.RETRY_NUMBER,
    tags.WILL_RETRY,
    tags.AUTO_RETRY_RUN,
    tags.FAILURE_REASON,
    tags.ROOT_RUN,
    tags.PARENT_RUN,
    tags.RESUME,
    tags.RESUME_ASSETS,
)


def refuse_bad_launch(request: GraphQLRequest, knows_run: KnowsRun | None = None) -> None:
    """Looks at every argument of every operation that speaks of a run to be made or checked.

    Args:
        request: what a client has sent.
        knows_run: whether there is a run of an id; `None` where nobody knows.

    Raises:
        Refusal: a run config names an environment variable, a tag is one that Dagster could not use, or a run
            would be another attempt of a run that is not there.
    """
    try:
        for field, name, value in _arguments(request):
            for config in _named(name, value):
                _check_config(config, broken_is_told=field in _CHECKING)
            if name in _OF_RUNS:
                for one in _as_list(value):
                    _check_run(one if isinstance(one, Mapping) else {}, knows_run)
    except RequestInvalid as error:
        raise Refusal(400, str(error)) from error


def _arguments(request: GraphQLRequest) -> list[tuple[str, str, Any]]:
    """Field, name and value of every argument, whichever operation is to be run."""
    variables = {**_defaults(request), **request.variables}
    found: list[tuple[str, str, Any]] = []

    class Arguments(Visitor):
        def enter_field(self, field: FieldNode, *_: Any) -> None:
            for argument in field.arguments:
                value = _value(argument.name.value, argument.value, variables)
                found.append((field.name.value, argument.name.value, value))

    visit(request.document, Arguments())
    return found


def _defaults(request: GraphQLRequest) -> dict[str, Any]:
    """What variables are where a request does not say, the same in all operations.

    Raises:
        RequestInvalid: two operations give a variable different defaults.
    """
    texts: dict[str, str] = {}
    values: dict[str, Any] = {}
    for operation in request.operations:
        for definition in operation.variable_definitions or ():
            if definition.default_value is None:
                continue
            name, text = definition.variable.name.value, print_ast(definition.default_value)
            if texts.setdefault(name, text) != text:
                raise RequestInvalid([(name[:80], "give a variable the same default in every operation")])
            values[name] = _value(name, definition.default_value, {})
    return values


def _value(name: str, node: ValueNode, variables: Mapping[str, Any]) -> Any:
    value = value_from_ast_untyped(node, dict(variables))  # numbers that are too long become NaN
    if problem := plain_data_problem(value):
        raise RequestInvalid([(name[:80], problem)])
    return value


def _named(name: str, value: Any) -> Iterator[Any]:
    """Every run config in an argument: itself, or a field of what it holds."""
    if name == _RUN_CONFIG:
        yield value
    elif isinstance(value, Mapping):
        for key, inside in value.items():
            yield from _named(key, inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _named("", inside)


def _check_config(config: Any, *, broken_is_told: bool) -> None:
    content = loaded(config, broken_is_told=broken_is_told)
    if not isinstance(content, Mapping | None):
        raise RequestInvalid([("run config", f"write a mapping, not {shortened(content)}")])
    refuse_unsafe_config(content)


def _check_run(asked: Mapping[str, Any], knows_run: KnowsRun | None) -> None:
    metadata = asked.get("executionMetadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    root, parent = metadata.get("rootRunId"), metadata.get("parentRunId")
    if (root is None) != (parent is None):
        raise RequestInvalid([("executionMetadata", "name both rootRunId and parentRunId, or neither")])
    repeated = {"rootRunId": root, "parentRunId": parent or asked.get("parentRunId")}
    for name, run_id in repeated.items():
        if run_id is not None:
            _check_run_id(name, run_id, knows_run)
    written = _tags(metadata.get("tags"))
    if root is None:
        for name in _OF_RETRIES:
            if name in written:
                raise RequestInvalid([(f"tag {name}", "Dagster writes it on retries itself; leave it out")])
    for name, run_id in ((tags.ROOT_RUN, root), (tags.PARENT_RUN, parent)):
        if written.get(name, run_id) != run_id:
            raise RequestInvalid(
                [(f"tag {name}", f"it is not the run that is repeated, {shortened(run_id)}")]
            )
    for given in (written, _tags(asked.get("tags")), _tags(asked.get("extraTags"))):
        refuse_bad_tags(given, by_client=True)


def _check_run_id(name: str, run_id: object, knows_run: KnowsRun | None) -> None:
    if not isinstance(run_id, str) or not RUN_ID.fullmatch(run_id):
        raise RequestInvalid([(name, f"write the id of a run, not {shortened(run_id)}")])
    if knows_run is not None and not knows_run(run_id):
        raise RequestInvalid([(name, f"there is no run {run_id}")])


def _tags(given: Any) -> dict[str, str]:
    """Tags as Dagster reads them; what has another form is left to its schema."""
    found = {}
    for one in _as_list(given):
        if isinstance(one, Mapping):
            name, value = one.get("key"), one.get("value")
            if isinstance(name, str) and isinstance(value, str):
                if name in found:
                    raise RequestInvalid([(f"tag {shortened(name)}", "give it once")])
                found[name] = value
    return found


def _as_list(value: Any) -> list[Any]:
    """A list where GraphQL would make one: a single value stands for a list of itself."""
    return value if isinstance(value, list) else [value]
