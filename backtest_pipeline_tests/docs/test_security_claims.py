"""The security page says what is true: each row of its tables is a test's, and its figures are the code's."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from backtest_pipeline.model import request_values, tag_rules
from backtest_pipeline.settings import Settings
from backtest_pipeline.web.access import guard, query_costs, yaml_configs
from backtest_pipeline.web.access import rate_limits as rates
from backtest_pipeline_tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
DOOR, FUZZ, BROWSER = (
    "acceptance/test_guarded_service.py",
    "acceptance/test_guard_fuzz.py",
    "acceptance/test_guard_browser.py",
)
GATE, RULES = "web/test_graphql_gate.py", "web/test_guard.py"

# The beginning of each row, and the tests that would fail if it were not true.
CLAIMS = {
    "a version of Dagster that serves past these checks": [
        "orchestration/test_compat.py::test_a_process_does_not_start_where_what_it_replaces_is_gone",
        "orchestration/test_compat.py::test_an_app_without_the_guard_is_not_served",
    ],
    "`full`": [f"{DOOR}::test_clients_work_with_a_token_and_a_viewers_cannot_submit"],
    "`viewer`": [
        f"{DOOR}::test_a_viewer_can_use_no_mutation_of_the_schema",
        f"{DOOR}::test_a_viewer_changes_nothing_over_the_websocket_either",
        f"{FUZZ}::test_a_viewer_hears_that_the_role_only_reads",
    ],
    "a mutation by GET": [
        f"{DOOR}::test_mutations_arrive_by_json_and_by_nothing_else",
        f"{FUZZ}::test_only_json_objects_are_executed_whatever_the_header_says",
        "web/test_guard_rules.py::test_the_guard_keeps_its_rules_whatever_the_headers_are",
    ],
    "a body that Dagster would stumble over": [
        f"{GATE}::test_what_cannot_be_read_is_refused_rather_than_passed_on",
        f"{FUZZ}::test_no_body_makes_the_service_fail",
        f"{FUZZ}::test_a_broken_message_of_a_websocket_is_answered_by_a_close_frame",
    ],
    "another origin's page sends": [
        f"{RULES}::test_another_sites_page_changes_nothing",
        f"{BROWSER}::test_a_hostile_page_in_the_users_browser_starts_nothing",
    ],
    "another origin's page opens": [f"{DOOR}::test_websockets_open_for_the_servers_own_pages_only"],
    "a name that was made": [
        "web/test_hosts.py::test_a_name_that_was_made_to_point_here_is_not_answered_for"
    ],
    "our pages inside": [f"{RULES}::test_every_answer_stays_out_of_frames_and_is_not_guessed_at"],
    "foreign pages load": [f"{RULES}::test_every_answer_stays_out_of_frames_and_is_not_guessed_at"],
    "no token, a wrong one": [
        f"{RULES}::test_without_proof_nothing_is_told",
        f"{RULES}::test_the_user_is_told_to_the_app_and_the_proof_is_not",
    ],
    "a viewer changes": [f"{DOOR}::test_a_viewer_changes_nothing_over_the_websocket_either"],
    "a body that is too large": [
        f"{DOOR}::test_a_body_that_never_ends_is_cut_off",
        f"{RULES}::test_a_websocket_takes_text_of_limited_length",
    ],
    "a query that costs": [
        "web/test_query_costs.py::test_every_query_of_dagsters_pages_passes",
        f"{FUZZ}::test_a_thousand_aliases_are_refused_and_as_many_as_a_client_needs_are_not",
    ],
    "one request that keeps": [
        "test_patterns.py::test_no_pattern_is_worse_than_linear",
        f"{FUZZ}::test_the_service_answers_others_while_it_works_on_a_large_body",
    ],
    "more requests than": [f"{FUZZ}::test_our_client_goes_on_when_it_has_sent_too_much"],
    "tags that Dagster reads": [
        f"{GATE}::test_a_tag_that_dagster_could_not_use_is_refused_before_it_reads_it",
        f"{FUZZ}::test_no_tag_or_label_makes_the_service_fail_or_leaves_a_run_that_was_refused",
        "orchestration/test_admission.py::test_a_run_that_is_refused_is_gone",
    ],
    "another attempt of a task": [
        f"{GATE}::test_a_run_repeats_only_what_is_there",
        "orchestration/test_admission.py::test_a_further_attempt_is_one_of_a_task_of_the_same_job",
    ],
    "SQL and stack traces": [f"{DOOR}::test_an_error_leaves_without_its_stack_and_its_id_is_in_the_log"],
    "path traversal": [
        "web/test_results.py::test_only_regular_files_in_real_folders_are_read",
        f"{FUZZ}::test_paths_that_name_nothing_are_not_found",
    ],
    "a report's scripts": [f"{BROWSER}::test_a_report_runs_its_own_scripts_and_reaches_nothing_of_ours"],
    "a run reads secrets": [
        f"{DOOR}::test_no_worker_and_no_log_knows_a_secret",
        f"{GATE}::test_no_run_config_names_an_environment_variable",
        f"{FUZZ}::test_no_job_tells_which_variables_the_code_server_has",
        "orchestration/test_admission.py::test_no_job_has_a_field_that_would_read_the_environment",
    ],
    "names, labels, parameters": ["web/test_result_tables.py::test_hostile_text_is_inert_on_every_page"],
    "a page of results changes": [
        "web/test_result_tables.py::test_pinning_keeps_a_task_and_is_refused_to_viewers_and_foreign_pages"
    ],
    "a file of a result": ["web/test_result_tables.py::test_every_listed_file_can_be_taken_and_nothing_else"],
    "a server open": [f"{DOOR}::test_a_server_without_a_login_does_not_listen_for_others"],
    "a body, or a message": [f"{RULES}::test_a_body_is_counted_while_it_comes"],
    "requests a second": ["web/test_rates.py::test_ten_seconds_worth_passes_at_once_and_then_the_rate"],
    "one query": ["web/test_query_costs.py::test_a_field_is_asked_for_a_limited_number_of_times"],
    "a run config as YAML": [f"{GATE}::test_a_run_config_that_could_not_be_kept_is_refused"],
    "a run's tags": [f"{GATE}::test_a_tag_that_dagster_could_not_use_is_refused_before_it_reads_it"],
    "a request": ["model/test_request.py::test_a_request_that_makes_no_sense_is_refused_with_its_reason"],
}


def _rows(*titles: str) -> list[str]:
    """What stands in the first column of the tables under some titles."""
    found = []
    for title in titles:
        section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("| ")]
        found += [line.split("|")[1].strip() for line in lines[2:]]
    return found


@cache
def _tests_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / "backtest_pipeline_tests" / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_row_is_claimed_once_and_no_claim_is_without_a_row() -> None:
    rows = _rows("Roles", "What is refused", "Limits")
    assert len(rows) > 25
    for row in rows:
        assert any(f"{row} ".startswith((f"{start} ", f"{start},", f"{start}:")) for start in CLAIMS), row
    for start in CLAIMS:
        assert any(row.startswith(start) for row in rows), start


@pytest.mark.parametrize("claim", sorted({test for tests in CLAIMS.values() for test in tests}))
def test_what_claims_a_row_is_a_test(claim: str) -> None:
    file, _, name = claim.partition("::")
    assert name in _tests_in(file)


def test_the_figures_are_those_of_the_code() -> None:
    usual = {name: field.default for name, field in Settings.model_fields.items()}
    per_second = usual["backtest_requests_per_second"]
    assert per_second == guard.REQUESTS_PER_SECOND
    assert guard.BODY_LIMIT_BYTES == usual["backtest_body_limit_bytes"] == 1_048_576
    for told in (
        f"{per_second:g} in the long run, {per_second * rates.BURST_S:g} at once",
        f"{query_costs.MOST_TOKENS:,} tokens, {query_costs.MOST_FIELDS:,} fields",
        f"{query_costs.MOST_DEPTH} levels, one field {query_costs.MOST_OF_ONE_FIELD} times",
        f"{query_costs.MOST_FRAGMENTS} fragments",
        f"{yaml_configs.LONGEST_CHARACTERS:,} characters, without references",
        f"{tag_rules.MOST_TAGS}, names of {tag_rules.LONGEST_NAME} characters",
        f"values of {tag_rules.MOST_VALUE_BYTES:,} bytes",
        f"{request_values.MOST_SYMBOLS} symbols, {request_values.MOST_LABELS} labels, money up to 1e15",
    ):
        assert told in PAGE, told
    assert request_values.MOST_CASH == 1e15


def test_every_setting_that_the_page_names_is_one() -> None:
    names = set(re.findall(r"`(BACKTEST_[A-Z_]+)`", PAGE))
    known = {name.upper() for name in Settings.model_fields}
    assert len(names) > 5
    assert names <= known
