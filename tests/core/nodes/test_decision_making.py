"""`decision-making`: what the model is asked in each mode, and which branch its answer takes (4.9.5)."""

import pytest

from services.core.language.graph import compile_
from services.core.problems import Problem
from services.core.running.effects import Done, FunctionCall
from tests.support.flows import at, changed, decision, end, flow, joiner, retry, start
from tests.support.spec import told

INTENTS = ("tea", "car", "default")


def deciding(*intents, **more):
    names = intents or INTENTS
    ways = "; ".join(f"it -intent_chain|intent-one-of::{one}-> {one} > end" for one in names)
    said = {f"v{number}": at(f"{one}.output") for number, one in enumerate(names)}
    return flow(
        start(q="string"), decision("it", *names, q=at("start.q"), **more), *(joiner(one, one) for one in names),
        end("".join(f"{{{{{one}}}}}" for one in said) + ".{{c}}", c=at("it.class_name"), **said), edges=f"start > it; {ways}",
    )  # fmt: skip


def test_in_prompt_mode_the_model_is_told_the_categories_and_asked_for_json():
    asked = told(deciding(prefix="Mind {{q}}."), q="oolong").asked("it")
    system, user = asked.messages
    assert system.role == "system"
    assert '- "tea": about tea\n- "car": about car\n' in system.content
    assert '{"category_name": "<name of the category>"}' in system.content
    assert system.content.endswith("Mind oolong.")
    assert (user.role, user.content, asked.tools) == ("user", "oolong", ())


def test_in_the_other_prompt_mode_it_is_asked_for_a_destination():
    system, _ = told(deciding(mode=0), q="x").asked("it").messages
    assert '"destination": "<name of the destination>", "next_inputs"' in system.content


def test_with_function_calls_the_intents_are_functions_and_the_default_is_none():
    asked = told(deciding(mode=0, calls=True, prefix="About {{q}}"), q="x").asked("it")
    assert [(one.name, one.description) for one in asked.tools] == [("tea", "about tea"), ("car", "about car")]
    assert (asked.messages[0].content, asked.tool_choice) == ("About x", "auto")


def test_an_intent_whose_name_no_function_may_have_gets_another_and_is_understood():
    document = deciding(mode=0, calls=True)
    document["data"]["nodes"][1]["data"]["nodeParam"]["intentChains"][0]["name"] = "绿茶"
    run = told(document, q="x")
    assert [one.name for one in run.asked("it").tools] == ["intent_0", "car"]
    assert run.tell("it", Done(calls=(FunctionCall("c", "intent_0", "{}"),))).text == "tea.绿茶"


@pytest.mark.parametrize(
    ("mode", "answer", "text"),
    [
        (1, '{"category_name": "car"}', "car.car"), (1, 'So:\n```json\n{"category_name": "tea"}\n```', "tea.tea"),
        (1, '{"category_name": "boat"}', "default.DEFAULT"), (1, '{"category_name": "default"}', "default.DEFAULT"),
        (1, '{"category_name": ["car"]}', "default.DEFAULT"), (1, '["car"]', "default.DEFAULT"), (1, "no json", "default.DEFAULT"),
        (1, "", "default.DEFAULT"), (0, '{"destination": "car", "next_inputs": "x"}', "car.car"),
    ],
)  # fmt: skip
def test_the_branch_is_the_intent_that_the_answer_names_else_the_default(mode, answer, text):
    run = told(deciding(mode=mode), q="x").say("it", *answer).done("it")
    assert run.text == text
    assert run.of("node.completed", "it")[0].raw_output.words == answer


@pytest.mark.parametrize(("calls", "text"), [(("car",), "car.car"), (("boat", "tea"), "tea.tea"), ((), "default.DEFAULT")])
def test_the_branch_is_the_function_that_was_called_else_the_default(calls, text):
    run = told(deciding(mode=0, calls=True), q="x")
    assert run.tell("it", Done(calls=tuple(FunctionCall("c", name, "{}") for name in calls))).text == text


def test_an_intent_named_default_is_the_default_where_none_has_the_type():
    document = deciding()
    document["data"]["nodes"][1]["data"]["nodeParam"]["intentChains"][2]["intentType"] = 2
    assert told(document, q="x").say("it", "?").done("it").text == "default.DEFAULT"


def test_an_unknown_answer_without_a_default_intent_fails_with_22301():
    run = told(deciding("tea", "car"), q="x").say("it", "?").done("it")
    assert (run.last.code, run.last.node) == (22301, "decision-making::it")
    assert run.last.message == "Branch not found: the model named no intent of it, and there is no default one"


def test_a_model_that_fails_fails_the_node_and_is_no_silent_default():
    run = told(deciding(), q="x").fails("it", 20380, "no credit")
    assert (run.last.type, run.last.code) == ("run.failed", 20380)


def test_an_attempt_that_broke_off_within_its_answer_is_tried_again_and_forgotten():
    run = told(deciding(retry=retry(0, 1)), q="x").say("it", '{"category_name": "t').fails("it")
    assert run.asked("it").recorded == ""
    assert run.say("it", '{"category_name": "car"}').done("it").text == "car.car"


def test_a_new_owner_goes_on_from_the_recorded_part_of_the_answer():
    run = told(deciding(), q="x").say("it", '{"category_name": ').taken_over()
    assert run.asked("it").recorded == '{"category_name": '
    assert run.say("it", '"car"}').done("it").text == "car.car"


def test_the_time_limit_of_a_decision_is_that_of_the_whole_attempt():
    run = told(deciding(retry=retry(0, timeout=3)), q="x")
    run.wait(2_000).say("it", "a").wait(2_000).say("it", "b")
    assert run.due == run.now + 1_000
    assert run.wait(1_000).last.code == 22302


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"intentChains": []}, "a decision needs intents"), ({"source": "bing"}, "nodeParam.source"),
        ({"intentChains": [{"id": "tea", "name": "t", "description": "d", "intentType": 2}]}, "nodeParam.intentChains.0.id"),
        ({"intentChains": [{"id": f"intent-one-of::{one}", "name": "t", "description": "d", "intentType": 2} for one in "ab"]},
        "the same name"),
        ({"intentChains": [{"id": f"intent-one-of::{one}", "name": one, "description": "d", "intentType": 1} for one in "ab"]},
        "one default"),
    ],
)  # fmt: skip
def test_a_wrong_decision_is_refused_with_its_place(change, said):
    part = decision("it", *INTENTS)
    with pytest.raises(Problem) as problem:
        compile_(flow(start(), changed(part, param={**part.param, **change}), end(), edges="start > it -intent-one-of::tea-> end"))
    assert "decision-making::it" in problem.value.message
    assert said in problem.value.message
