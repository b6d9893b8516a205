"""Which GraphQL requests reach Dagster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from backtest_pipeline.web.access.graphql_gate import GraphQLGate
from backtest_pipeline.web.access.refusal import Refusal

READ = "query Q { version }"
CHANGE = "mutation M { reloadWorkspace { __typename } }"
KNOWN = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f0"
UNKNOWN = "0f1e2d3c-4b5a-4978-8695-000000000000"
GATE = GraphQLGate(lambda run_id: run_id == KNOWN)
LAUNCH = "mutation L($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename } }"
PLAN = (
    "query P($config: RunConfigData) "
    "{ executionPlanOrError(pipeline: {}, mode: 'default', runConfigData: $config) { __typename } }"
).replace("'", '"')
DRY_RUN = {"ops": {"delete_expired": {"config": {"dry_run": {"env": "HOME"}}}}}


def _view(content: object) -> None:
    GATE.check_body(json.dumps(content).encode(), "viewer")


def _send(query: str, **variables: Any) -> None:
    GATE.check_body(json.dumps({"query": query, "variables": variables}).encode(), "full")


def _launch(**params: Any) -> None:
    _send(LAUNCH, params={"selector": {"jobName": "cleanup_task_results"}, **params})


def test_subscriptions_go_over_the_websocket() -> None:
    with pytest.raises(Refusal, match="WebSocket"):
        _view({"query": "subscription S { logs }"})
    GATE.check_message(json.dumps({"type": "start", "payload": {"query": "subscription { a }"}}), "viewer")


@pytest.mark.parametrize("query", [READ, "{ version }", "fragment F on X { a } " + READ])
def test_reading_documents_pass(query: str) -> None:
    _view({"query": query})
    _view({"query": query, "variables": None, "operationName": None, "extensions": {}})


@pytest.mark.parametrize(
    "content",
    [
        {"query": CHANGE},
        {"query": f"{READ} {CHANGE}", "operationName": "Q"},
        {"query": "# query\n" + CHANGE},
        {"query": "mutation{a}"},
        {"query": "\ufeff,,mutation\n@x\n{a}"},
        [{"query": READ}, {"query": CHANGE}],
    ],
)
def test_a_mutation_is_found_wherever_it_stands(content: object) -> None:
    with pytest.raises(Refusal, match="viewers only read") as refused:
        _view(content)
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"mutation { a }",
        b"{}",
        b"1",
        b"null",
        b'"{version}"',
        b"[1]",
        b"[]",
        b'[{"query": "{version}"}]',
        b'{"query": 1}',
        b'{"query": null}',
        b'{"query": ["mutation {a}"]}',
        b'{"query": "muta"}',
        b'{"query": "{version}", "variables": [1]}',
        b'{"query": "{version}", "variables": "{}"}',
        b'{"query": "{version}", "variables": {"a": NaN}}',
        b'{"query": "{version}", "variables": {"a": 1e999}}',
        b'{"query": "{version}", "variables": {"a": 99999999999999999999}}',
        b'{"query": "{version}", "variables": {"a": "\\ud800"}}',
        b'{"query": "{version}", "variables": {"a\\u0000": 1}}',
        b'{"query": "{version}", "operationName": 1}',
        b'{"query": "{version}", "operation_name": {}}',
        b'{"query": "' + b"{a" * 9_000 + b'"}',  # deeper than Python's stack
        b"[" * 100_000,
        b'{"query": "{version}", "variables": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}",
        b'{"query": "{version}", "variables": {"a": ' + b"9" * 5_000 + b"}}",
        b'{"query": "{a(b: ' + b"9" * 5_000 + b')}"}',
        b'{"query": "query($a: I = ' + b"9" * 5_000 + b') {a}"}',
        b'{"query": "{a(b: ' + b"[" * 100 + b"]" * 100 + b')}"}',
        b"\xff\xfe\xff",
    ],
)
@pytest.mark.parametrize("role", ["viewer", "full"])
def test_what_cannot_be_read_is_refused_rather_than_passed_on(body: bytes, role: Any) -> None:
    with pytest.raises(Refusal) as refused:
        GATE.check_body(body, role)
    assert refused.value.status == 400
    assert len(str(refused.value).splitlines()) == 1
    assert len(str(refused.value)) < 500


def test_the_last_of_two_fields_counts_as_it_does_for_the_server() -> None:
    with pytest.raises(Refusal, match="viewers only read"):
        GATE.check_body(f'{{"query": "{READ}", "query": "{CHANGE}"}}'.encode(), "viewer")


def test_documents_in_other_encodings_of_json_are_read_as_the_server_reads_them() -> None:
    with pytest.raises(Refusal, match="viewers only read"):
        GATE.check_body(json.dumps({"query": CHANGE}).encode("utf-16"), "viewer")


def test_messages_of_a_websocket_are_looked_at_where_they_carry_a_document() -> None:
    GATE.check_message('{"type": "connection_init"}', "viewer")
    GATE.check_message(json.dumps({"type": "start", "payload": {"query": "subscription { a }"}}), "viewer")
    for kind in ("start", "subscribe"):
        with pytest.raises(Refusal, match="viewers only read"):
            GATE.check_message(json.dumps({"type": kind, "payload": {"query": CHANGE}}), "viewer")


@pytest.mark.parametrize(
    "text",
    ["[]", "{", "1", "{}", '{"type": 1}', '{"type": "stop", "id": {}}', '{"type": "start", "id": "1"}'],
)
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(Refusal):
        GATE.check_message(text, "full")


@pytest.mark.parametrize(
    "config",
    [
        DRY_RUN,
        json.dumps(DRY_RUN),
        json.dumps(DRY_RUN).replace("env", "\\u0065nv"),
        "ops: {delete_expired: {config: {dry_run: {'env': HOME}}}}",
        "ops:\n  delete_expired:\n    config:\n      dry_run:\n        env: HOME",
        'ops: {a: {"\\x65nv": HOME}}',
        "<<: {ops: {delete_expired: {config: {dry_run: {env: HOME}}}}}",
        {"resources": {"io_manager": {"config": {"base_dir": {"env": "HOME"}}}}},
        {"ops": [{"a": [{"env": "HOME"}]}]},
        {"strategy": {"env": "HOME"}},
        {"symbols": {"env": "HOME"}, "labels": {"env": "prod"}},
        {"labels": {"desk": {"env": "HOME"}}},
    ],
)
def test_no_run_config_names_an_environment_variable(config: Any) -> None:
    """Whoever sends it, in whatever field takes a run config, in literals and variables."""
    backfill = "mutation B($b: LaunchBackfillParams!) { launchBackfill(backfillParams: $b) { __typename } }"
    several = "mutation L($all: [ExecutionParams!]!) { launchMultipleRuns(executionParamsList: $all) { a } }"
    valid = PLAN.replace("executionPlanOrError", "isPipelineConfigValid")
    nested = "query N($c: RunConfigData) { schema { ... on R { isRunConfigValid(runConfigData: $c) } } }"
    requests: list[tuple[str, dict[str, Any]]] = [
        (PLAN, {"config": config}),
        (valid, {"config": config}),
        (nested, {"c": config}),
        (LAUNCH, {"params": {"runConfigData": config}}),
        (LAUNCH.replace("$params)", "{runConfigData: $c})").replace("$params: E", "$c: E"), {"c": config}),
        (several, {"all": [{}, {"runConfigData": config}]}),
        (several, {"all": {"runConfigData": config}}),
        (backfill, {"b": {"runConfigData": config}}),
        (
            f"fragment F on Q {{ plan(runConfigData: {_literal(config)}) {{ a }} }} {{ ...F }}",
            {},
        ),
        (
            f"query D($c: RunConfigData = {_literal(config)}) {{ executionPlanOrError(runConfigData: $c) }}",
            {},
        ),
        (f"mutation {{ launchRun(executionParams: {{runConfigData: {_literal(config)}}}) {{ a }} }}", {}),
    ]
    for query, variables in requests:
        with pytest.raises(Refusal, match="environment variables"):
            _send(query, **variables)


def _literal(value: Any) -> str:
    """A value as GraphQL writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_literal(inside)}" for name, inside in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value)


@pytest.mark.parametrize(
    "config",
    [
        {"labels": {"env": "prod"}, "strategy": {"sma_cross": {"fast": 3}}, "symbols": ["AAPL"]},
        {"strategy": {"own": {"env": "a strategy's parameter"}}},
        {"note": "env", "env": 1, "further": 2},
        "labels: {env: prod}",
        "",
        None,
        {},
    ],
)
def test_env_is_a_name_like_any_other_where_nothing_replaces_it(config: Any) -> None:
    _send(PLAN, config=config)
    _launch(runConfigData=config)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"symbols": ["A"] * 501}, "symbols: name at most 500, not 501"),
        ({"labels": {"a": "\ud800"}}, "Unicode"),
        ('{labels: {a: "\\ud800"}}', "Unicode"),
        ('{labels: {a: "\\0"}}', "NUL"),
        ("a: &a [1]\nb: *a", "references"),
        ("symbols: [AAPL]\nsymbols: [IBM]", "'symbols' stands there twice; leave out one"),
        ("strategy: {sma_cross: {fast: 10, slow: 20, fast: 5}}", "'fast' stands there twice"),
        ("a: .inf", "finite"),
        ("a: !!binary aGk=", "plain value"),
        ("1: 2", "names are texts"),
        (f"a: {'9' * 5_000}", "YAML cannot be read"),
        ("[" * 20_000, "YAML cannot be read"),
        ("a: " + "x" * 70_000, "65,536 characters"),
        ("{", "this is no YAML"),
    ],
)
def test_a_run_config_that_could_not_be_kept_is_refused(config: Any, says: str) -> None:
    with pytest.raises(Refusal, match=says):
        _launch(runConfigData=config)


def test_yaml_that_is_none_is_told_by_dagster_where_that_is_the_question() -> None:
    _send(PLAN.replace("executionPlanOrError", "isPipelineConfigValid"), config="{")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dagster/retry_number", "1"),
        ("dagster/priority", "high"),
        ("dagster/priority", "9" * 30),
        ("dagster/priority", " 1"),
        ("dagster/priority", "٣"),
        ("dagster/max_retries", "11"),
        ("dagster/max_retries", "-1"),
        ("dagster/max_runtime", "nan"),
        ("dagster/max_runtime", "1e9"),
        ("dagster/max_runtime_seconds", "0"),
        ("dagster/will_retry", "true"),
        ("dagster/auto_retry_run_id", KNOWN),
        ("dagster/failure_reason", "STEP_FAILURE"),
        ("dagster/root_run_id", KNOWN),
        ("dagster/parent_run_id", "../../etc"),
        ("dagster/is_resume_retry", "perhaps"),
        ("dagster/retry_on_asset_or_op_failure", "1"),
        ("dagster/retry_strategy", "NONE"),
        (".dagster/grpc_info", '{"host": "evil.example"}'),
        ("", "a"),
        ("a\nb", "a"),
        ("x" * 256, "a"),
        ("label/a", "x" * 2_049),
    ],
)
def test_a_tag_that_dagster_could_not_use_is_refused_before_it_reads_it(name: str, value: str) -> None:
    given = [{"key": name, "value": value}]
    literal = f"{{key: {json.dumps(name)}, value: {json.dumps(value)}}}"
    for sent in (given, given[0]):  # GraphQL makes a list of one
        with pytest.raises(Refusal, match="tag"):
            _launch(executionMetadata={"tags": sent})
    with pytest.raises(Refusal, match="tag"):
        _send(
            f"mutation {{ launchRun(executionParams: {{executionMetadata: {{tags: {literal}}}}}) {{ a }} }}"
        )


@pytest.mark.parametrize("field", ["backfillParams", "reexecutionParams"])
def test_tags_are_checked_wherever_a_run_gets_them(field: str) -> None:
    name = "tags" if field == "backfillParams" else "extraTags"
    change = f"mutation M($p: P) {{ launch({field}: $p) {{ a }} }}"
    _send(change, p={name: [{"key": "desk", "value": "rates"}]})
    with pytest.raises(Refusal, match="whole number from 0 to 100"):
        _send(change, p={name: [{"key": "dagster/retry_number", "value": "99999"}]})


def test_tags_that_are_right_pass_and_filters_are_no_tags_of_a_run() -> None:
    right = {
        "dagster/priority": "-3",
        "dagster/max_retries": "10",
        "dagster/max_runtime": "12.5",
        "dagster/from_ui": "true",
        "dagster/solid_selection": "*",
        "label/desk": "rates",
        "user": "ann",
    }
    _launch(executionMetadata={"tags": [{"key": name, "value": value} for name, value in right.items()]})
    _send(
        "query R($f: RunsFilter) { runsOrError(filter: $f) { __typename } }",
        f={
            "tags": [
                {"key": "dagster/root_run_id", "value": "x"},
                {"key": ".dagster/repository", "value": "r"},
            ]
        },
    )


@pytest.mark.parametrize(
    "metadata",
    [
        {"rootRunId": UNKNOWN, "parentRunId": UNKNOWN},
        {"rootRunId": KNOWN, "parentRunId": UNKNOWN},
        {"rootRunId": "../../tasks", "parentRunId": KNOWN},
        {"rootRunId": KNOWN},
        {"parentRunId": KNOWN},
        {"rootRunId": "", "parentRunId": ""},
        {
            "rootRunId": KNOWN,
            "parentRunId": KNOWN,
            "tags": [{"key": "dagster/root_run_id", "value": UNKNOWN}],
        },
    ],
)
def test_a_run_repeats_only_what_is_there(metadata: Mapping[str, Any]) -> None:
    with pytest.raises(Refusal):
        _launch(executionMetadata=metadata)
    with pytest.raises(Refusal):
        _send("mutation M($p: P) { launch(reexecutionParams: $p) { a } }", p={"parentRunId": UNKNOWN})


def test_a_run_may_repeat_another_with_its_tags() -> None:
    tags = {"dagster/root_run_id": KNOWN, "dagster/parent_run_id": KNOWN, "dagster/retry_number": "2"}
    given = [{"key": name, "value": value} for name, value in tags.items()]
    _launch(executionMetadata={"rootRunId": KNOWN, "parentRunId": KNOWN, "tags": given})
    _send("mutation M($p: P) { launch(reexecutionParams: $p) { a } }", p={"parentRunId": KNOWN})


def test_a_variable_has_one_default() -> None:
    change = "query A($c: RunConfigData = {}) { a(runConfigData: $c) } query B($c: RunConfigData = %s) { a }"
    _send(change % "{}")
    with pytest.raises(Refusal, match="same default"):
        _send(change % '{a: "b"}')
