"""Every code of the table of errors: which test makes it occur, or why it cannot occur here.

A test that is named here exists, and its text holds the code (or its symbol). A code that is new in the table fails until it
has its place.
"""

import ast
import re
from pathlib import Path

import pytest

from services.api.answers.errors import AGENTS, OF_MODELS, TABLE
from services.api.dialects.agent import code_of

TESTS = Path(__file__).parents[1]
OCCURS: dict[int, str] = {
    460: "services/api/test_bad_input.py::test_a_body_that_is_not_what_it_must_be_is_460",
    20000: "services/api/test_apps.py::test_a_disabled_key_or_app_opens_nothing_with_the_next_request",
    20001: "services/api/test_apps.py::test_a_disabled_key_or_app_opens_nothing_with_the_next_request",
    20002: "services/api/test_flows.py::test_only_its_app_or_a_tenant_may_touch_a_flow",
    20003: "services/api/test_apps.py::test_a_key_is_used_for_nothing_but_its_scopes",
    20004: "services/api/test_chat.py::test_licence_release_and_ownership_are_looked_at_on_each_start",
    20005: "services/api/test_chat.py::test_another_app_cannot_read_the_stream",
    20006: "services/api/test_flows.py::test_operations_and_platforms",
    20007: "services/api/test_flow_records.py::test_an_app_that_was_unbound_may_not_call_until_it_is_bound_again",
    20100: "services/api/test_chat.py::test_a_flow_without_content_cannot_be_debugged",
    20101: "services/api/test_flows.py::test_a_build_says_only_its_end_or_what_is_wrong",
    20102: "services/api/test_flows.py::test_a_reference_of_somebody_else_cannot_be_used",
    20103: "services/api/test_flow_records.py::test_a_comparison_runs_in_debug_and_is_never_called_or_released",
    20104: "services/api/test_flows.py::test_a_broken_document_is_refused_everywhere_and_changes_nothing",
    20201: "services/api/test_errors.py::test_the_running_systems_code_comes_first_and_the_documents_beside_it",
    20204: "services/api/test_chat.py::test_licence_release_and_ownership_are_looked_at_on_each_start",
    20205: "core/test_flow.py::test_a_release_without_an_app_is_refused",
    20206: "services/api/test_flows.py::test_what_is_unknown_or_malformed_has_its_code",
    20209: "services/api/test_doors.py::test_what_nobody_foresaw_is_said_without_a_trace",
    20380: "services/processor/effects/test_llm_failures.py::test_a_failure_is_told_with_its_evidence_first",
    20500: "core/nodes/test_wiki_retrieve.py::test_a_failure_ends_the_run_in_this_node",
    20501: "services/processor/effects/test_knowledge.py::test_a_deep_answer_that_fails_is_told",
    20502: "core/nodes/test_tool_kinds.py::test_documents_that_are_missing_are_20502",
    20600: "core/nodes/test_start.py::test_a_key_below_that_the_schema_does_not_have_fails_who_reads_it_with_20600",
    20601: "core/nodes/test_extractor_parameter.py::test_a_value_of_another_type_is_20601",
    20602: "core/test_failure.py::test_an_index_out_of_range_in_a_prompt_fails_the_node_with_20602",
    20805: "services/api/test_chat.py::test_what_cannot_begin_is_json_with_nulls",
    20902: "services/api/test_limits.py::test_an_app_over_its_rate_is_told_when_to_come_again",
    20903: "services/api/test_limits.py::test_one_request_too_many_is_refused_until_another_ends",
    21000: "services/processor/effects/test_database.py::test_what_cannot_be_done_is_said",
    21002: "services/processor/effects/test_database.py::test_what_cannot_be_done_is_said",
    21100: "core/test_audit.py::test_another_failure_than_the_provider_s_is_the_audit_s_own",
    21101: "core/test_audit.py::test_a_provider_that_fails_ends_the_run_without_showing_anything",
    21102: "core/test_audit.py::test_a_refused_input_ends_the_run_before_anything_began",
    21103: "core/test_audit.py::test_a_refused_sentence_ends_the_run_and_none_of_it_is_shown",
    21104: "core/test_audit.py::test_a_refused_question_is_never_put",
    21600: "services/api/test_debugging.py::test_a_code_that_fails_answers_its_code",
    21601: "services/api/test_debugging.py::test_a_code_that_fails_answers_its_code",
    21602: "services/api/test_debugging.py::test_a_code_that_fails_answers_its_code",
    21603: "services/processor/effects/test_code.py::test_each_failure_has_its_code",
    21700: "services/api/test_debugging.py::test_what_cannot_be_debugged_is_refused",
    21900: "core/nodes/test_extractor_parameter.py::test_an_answer_without_an_object_is_21900",
    22100: "core/nodes/test_question_answer.py::test_a_second_default_option_is_refused_with_22100",
    22101: "services/api/test_debugging.py::test_what_cannot_be_debugged_is_refused",
    22300: "core/nodes/test_if_else.py::test_an_edge_that_names_no_case_is_refused_with_the_cases",
    22301: "services/api/test_chat.py::test_a_cancelled_run_ends_its_stream_and_the_call_of_the_model",
    22302: "core/test_failure.py::test_a_silent_node_is_timed_out_and_says_so",
    22500: "services/api/test_measures.py::test_a_stream_whose_run_fails_is_an_error_and_reading_its_record_is_none",
    22801: "services/api/test_subflows.py::test_a_flow_that_runs_itself_ends_with_a_sentence",
    22802: "core/nodes/test_flow.py::test_outputs_that_are_missing_or_wrong_fail_the_node",
    22900: "core/nodes/test_node_variable.py::test_a_stored_value_of_another_type_is_22900",
    23100: "core/nodes/test_if_else.py::test_a_number_is_not_compared_with_a_word",
    23200: "core/test_rounds.py::test_a_value_of_another_type_than_an_array_fails_with_23200",
    23300: "services/processor/effects/test_llm_leaving.py::test_a_mistake_of_ours_ends_the_node_with_a_sentence_and_not_the_program",
    23400: "services/processor/effects/test_http_tool.py::test_what_is_missing_is_said_before_anything_goes_out",
    23601: "services/api/test_file_variables.py::test_a_file_that_is_not_as_it_must_be_ends_it",
    23602: "core/test_file_variables.py::test_a_wrong_file_variable_ends_the_run_before_its_first_node",
    23603: "services/api/test_file_variables.py::test_a_file_that_is_not_as_it_must_be_ends_it",
    23604: "services/api/test_codes.py::test_a_store_that_takes_no_file_is_23604",
    23700: "services/api/test_codes.py::test_an_agent_without_its_tools_fails_with_23700",
    23800: "core/nodes/test_question_answer.py::test_no_fitting_option_and_no_default_one_is_23800",
    23801: "core/nodes/test_question_answer.py::test_a_flow_may_ask_for_more_time_up_to_the_limit_of_the_house",
    23802: "services/api/test_questions.py::test_other_kinds_of_answers_are_told_at_once",
    23803: "core/nodes/test_question_answer.py::test_after_enough_further_questions_the_run_fails_with_23803",
    23900: "services/api/test_chat.py::test_resume_of_a_run_that_asks_nothing_is_23900",
    23901: "services/api/test_questions.py::test_of_many_answers_at_once_one_is_taken_and_the_others_are_23901",
    40001: "services/api/test_agent_chat.py::test_an_unknown_bot_and_another_apps_bot_are_40001",
    40002: "services/api/test_agent_chat.py::test_what_was_not_understood_is_a_chunk_without_choices",
    40003: "services/api/test_bots.py::test_a_reference_of_another_app_is_refused",
    40023: "services/api/test_agent_chat.py::test_a_bot_says_which_of_its_plugins_is_missing",
    40025: "services/api/test_agent_chat.py::test_a_bot_says_which_of_its_plugins_is_missing",
    40029: "services/api/test_agent_chat.py::test_a_failing_model_is_told_at_200_after_what_was_said",
    40040: "services/api/test_agent_chat.py::test_nobody_unknown_apps_and_wrong_keys",
    40053: "services/api/test_bots.py::test_a_bot_is_created_read_changed_and_removed",
    40500: "services/api/test_sockets.py::test_cancel_ends_the_run_and_the_models_call",
}
_OF_SPARK = "services/kit/test_models_failures.py::test_each_number_of_spark_is_the_entry_that_means_the_same"
OCCURS |= dict.fromkeys(range(20356, 20377), _OF_SPARK)
_UNUSED = "the running system never answers it either"
_NO_SPARK_SOCKET = "models are called over HTTP: there is no WebSocket of Spark to fail"
_NO_METERING = "there is no metering service; limits of our own are 20902 and 20903"
_SAVED = "what the node needs is checked when the flow is saved (22101), and a template that cannot be filled is 20602"
_OBSERVED = "a tool that fails is told to the agent's model, which goes on"
_COMMAND = "a change of a bot is refused with the code that says why, or not answered at all (503)"
_LINK = "a tool that fails is 23400 wherever it runs, with the tool's own words"
CANNOT: dict[int, str] = {
    20202: _UNUSED,
    20207: "a draft is 20204: it is not published",
    20208: _UNUSED,
    20301: "a model that calls no function is 21900 where one is needed, and the default branch of a decision",
    20302: "the provider's intervention is 20363 or 20364",
    20303: "a model that does not answer is 20380",
    **dict.fromkeys(range(20350, 20356), _NO_SPARK_SOCKET),
    20804: "a stream is kept alive by pings, and a run that says nothing ends with its own limits (22301, 22302)",
    20900: _NO_METERING,
    20901: _NO_METERING,
    20904: _NO_METERING,
    20905: _NO_METERING,
    21001: "a statement that cannot be run is 21000, one that cannot be written is 21002",
    **dict.fromkeys(range(21800, 21813), _LINK),
    22600: _SAVED,
    22601: _SAVED,
    22701: _SAVED,
    23500: _SAVED,
    **dict.fromkeys((40004, 40005, 40006, 40022, 40024, 40026, 40027, 40028), _OBSERVED),
    **dict.fromkeys((40050, 40051, 40052), _COMMAND),
}
OF_AGENTS = {code + AGENTS for code in OF_MODELS}
"""The same errors of models, in an agent's numbers."""


@pytest.mark.parametrize("code", sorted(TABLE.keys() - OF_AGENTS))
def test_a_code_occurs_in_a_test_or_says_why_it_cannot(code: int):
    assert sum(code in places for places in (OCCURS, CANNOT)) == 1


def test_nothing_is_named_that_is_not_in_the_table():
    assert (OCCURS.keys() | CANNOT.keys()) <= TABLE.keys()


@pytest.mark.parametrize("code", OCCURS)
def test_the_test_that_is_named_is_there_and_holds_the_code(code: int):
    path, _, name = OCCURS[code].partition("::")
    text = (TESTS / path).read_text()
    (found,) = [one for one in ast.parse(text).body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name == name]
    first = min([found.lineno, *(one.lineno for one in found.decorator_list)])
    words = "\n".join(text.splitlines()[first - 1 : found.end_lineno])
    assert re.search(rf"\b({code}|Code\.{TABLE[code].symbol})\b", words)


def test_nobody_decides_a_code_that_cannot_occur():
    words = "\n".join(file.read_text() for file in (TESTS.parent / "services").rglob("*.py"))
    decided = set(re.findall(r"\bCode\.([A-Z_]+)\b", words))
    assert {TABLE[code].symbol for code in CANNOT} & decided == set()


@pytest.mark.parametrize("code", sorted(OF_MODELS))
def test_an_error_of_a_model_has_its_number_in_an_agent(code: int):
    assert code_of(code) == code + AGENTS
    assert code + AGENTS in TABLE
